//! Which of several nodes that can be master is made it (rules R9 and R15).

use crate::placing::Preference;
use crate::types::{NodeId, Time};

/// A node that can be master of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) node: NodeId,
    /// It is promoted, or holds a mastership.
    pub(crate) promoted: bool,
    /// No group that this one is to be apart from has its master there.
    pub(crate) apart: bool,
    /// That of its services; 0: they have no opinion.
    pub(crate) score: i64,
    pub(crate) preference: Preference,
    /// Of other groups, there.
    pub(crate) masterships: usize,
    /// Whole seconds, so that a report's way does not decide between nodes that started together.
    pub(crate) uptime: u64,
    /// When its report came.
    pub(crate) seen: Time,
}

/// One of what is promoted already, if there is any. Of those one that keeps apart, if any does. Of those one whose score is the greatest, or less by
/// no more than `slack`. Of those the most preferred; then the one with the fewest masterships; then the one that runs longest; ties by who was
/// seen last.
pub(crate) fn best_of(contenders: &[Contender], slack: u64) -> Option<NodeId> {
    let mut left: Vec<&Contender> = contenders.iter().collect();
    narrow(&mut left, |c| c.promoted);
    narrow(&mut left, |c| c.apart);
    let best = left.iter().map(|c| c.score).max()?;
    let close = best.saturating_sub_unsigned(slack);
    let key = |c: &Contender| (c.preference, std::cmp::Reverse(c.masterships), c.uptime, c.seen, c.node);
    left.into_iter().filter(|c| c.score >= close).max_by_key(|c| key(c)).map(|c| c.node)
}

/// Keeps those of which this is so, if it is so of any.
fn narrow(contenders: &mut Vec<&Contender>, so: impl Fn(&Contender) -> bool) {
    if contenders.iter().any(|c| so(c)) {
        contenders.retain(|c| so(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u128) -> Contender {
        Contender {
            node: NodeId(id),
            promoted: false,
            apart: true,
            score: 0,
            preference: Preference::default(),
            masterships: 0,
            uptime: 100,
            seen: Time(0),
        }
    }

    fn preferred(number: u64) -> Preference {
        Preference::new(number).expect("it is in range")
    }

    /// What is compared, the worse node first although it is better in all that comes later, and how close scores count as equal.
    fn table() -> Vec<(&'static str, Contender, Contender, u64)> {
        let most = |c: Contender| Contender { score: 9, preference: preferred(1000), uptime: 999, ..c };
        vec![
            (
                "what is promoted stays",
                most(node(2)),
                Contender { promoted: true, apart: false, score: -9, masterships: 3, ..node(1) },
                0,
            ),
            (
                "apart comes before the score",
                Contender { apart: false, ..most(node(2)) },
                Contender { score: -9, masterships: 3, ..node(1) },
                0,
            ),
            (
                "the score comes before the preference",
                Contender { score: 4, ..most(node(2)) },
                Contender { score: 5, preference: preferred(1), masterships: 3, ..node(1) },
                0,
            ),
            (
                "a score that is not close enough",
                Contender { score: 4, ..most(node(2)) },
                Contender { score: 15, preference: preferred(1), ..node(1) },
                10,
            ),
            (
                "scores that are close leave it to the preference",
                Contender { score: 15, uptime: 999, ..node(2) },
                Contender { score: 5, preference: preferred(501), masterships: 3, ..node(1) },
                10,
            ),
            (
                "the preference comes before the masterships",
                Contender { uptime: 999, ..node(2) },
                Contender { preference: preferred(501), masterships: 3, ..node(1) },
                0,
            ),
            (
                "the masterships come before the uptime",
                Contender { masterships: 1, uptime: 999, ..node(2) },
                node(1),
                0,
            ),
            ("the uptime", node(2), Contender { uptime: 101, ..node(1) }, 0),
            ("who was seen last", node(2), Contender { seen: Time(1), ..node(1) }, 0),
            ("the id", node(1), node(2), 0),
            (
                "the least and the greatest score",
                Contender { score: i64::MIN, ..most(node(2)) },
                Contender { score: i64::MAX, preference: preferred(1), ..node(1) },
                10,
            ),
            (
                "slack without bounds",
                Contender { score: i64::MAX, ..node(2) },
                Contender { score: i64::MIN, preference: preferred(501), ..node(1) },
                u64::MAX,
            ),
        ]
    }

    #[test]
    fn each_reason_comes_before_all_that_follow() {
        for (what, worse, better, slack) in table() {
            for both in [[worse, better], [better, worse]] {
                assert_eq!(best_of(&both, slack), Some(better.node), "{what}");
            }
        }
        assert_eq!(best_of(&[], 0), None);
    }

    #[test]
    fn a_wish_that_nobody_keeps_decides_nothing() {
        let crowd = [Contender { apart: false, ..node(1) }, Contender { apart: false, score: 1, ..node(2) }];
        assert_eq!(best_of(&crowd, 0), Some(NodeId(2)));
    }
}
