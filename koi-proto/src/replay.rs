//! Tells new messages from duplicates and old ones.
//!
//! Sequence numbers grow within a session, so a message is new if its number was not seen in the sender's session. Several
//! sessions of one node are remembered: two machines may speak with one id, and an earlier run's datagrams may be late. Datagrams overtake one another: a window of the newest [`WINDOW`] numbers remembers which were seen (the
//! anti-replay window of IPsec, RFC 4303 §3.4.3).
//!
//! A node's guardian speaks in its daemon's name and session, with numbers of its own from [`GUARDIAN_SEQ`] on: it cannot
//! know how far the daemon had come, and must not be taken for a duplicate. Each half of the numbers has its own window.

use std::collections::BTreeMap;

use koi_core::limits;
use koi_core::types::{NodeId, Session};

/// How far behind the newest a message may be and still be told from a duplicate.
pub const WINDOW: u64 = 1024;

/// The first sequence number of a node's guardian.
pub const GUARDIAN_SEQ: u64 = 1 << 63;

/// Sessions of one node that are remembered.
pub const SESSIONS: usize = 4;

/// Nodes that are remembered. More than a cluster may have, since a node that was set up anew has a new id.
pub const NODES: usize = 2 * limits::NODES;

/// What a message is, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// New: use it.
    Fresh,
    /// Seen already.
    Duplicate,
    /// So far behind that it cannot be told whether it was seen.
    Old,
    /// Of one run of its node's daemon too many: each of those that are remembered has spoken to this node by its session.
    OldSession,
}

impl Verdict {
    /// A word for counters. It never changes.
    pub fn kind(self) -> &'static str {
        match self {
            Verdict::Fresh => "fresh",
            Verdict::Duplicate => "duplicate",
            Verdict::Old => "old",
            Verdict::OldSession => "old-session",
        }
    }
}

/// Remembers what was seen of each node. Feed it only messages whose seal was good.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    nodes: BTreeMap<NodeId, Vec<PeerWindow>>,
    /// Grows with each fresh message: tells who has been silent the longest.
    clock: u64,
}

/// What was seen of one session of a node.
#[derive(Clone, Debug)]
struct PeerWindow {
    session: Session,
    daemon: Window,
    guardian: Window,
    last: u64,
    /// It has named this node's session: it is no recording.
    proven: bool,
}

impl Filter {
    /// Remembers nothing yet.
    pub fn new() -> Filter {
        Filter::default()
    }

    /// Judges the message `seq` of a node's session, and remembers it. `proves`: it names this node's session, and so is no recording of
    /// an earlier time.
    pub fn accept(&mut self, node: NodeId, session: Session, seq: u64, proves: bool) -> Verdict {
        if !self.nodes.contains_key(&node) {
            self.make_room();
        }
        let sessions = self.nodes.entry(node).or_default();
        let known = sessions.iter().position(|seen| seen.session == session);
        let at = match known {
            Some(at) => at,
            None => match Self::place(sessions, session, proves) {
                Some(at) => at,
                None => return Verdict::OldSession,
            },
        };
        let seen = &mut sessions[at];
        seen.proven |= proves;
        let window = if seq < GUARDIAN_SEQ { &mut seen.daemon } else { &mut seen.guardian };
        let verdict = window.accept(seq);
        if verdict == Verdict::Fresh {
            // Only what is new counts as a sign of life: replays keep nobody in memory.
            self.clock += 1;
            seen.last = self.clock;
        }
        verdict
    }

    /// How many nodes are remembered.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// A place for one more session. Recordings of earlier runs drive out no run that has spoken to this node.
    fn place(sessions: &mut Vec<PeerWindow>, session: Session, proves: bool) -> Option<usize> {
        if sessions.len() < SESSIONS {
            sessions.push(PeerWindow::new(session));
            return Some(sessions.len() - 1);
        }
        let unproven = sessions.iter().enumerate().filter(|(_, seen)| !seen.proven);
        let silent = unproven.min_by_key(|(_, seen)| seen.last).map(|(at, _)| at);
        let earliest = || sessions.iter().enumerate().min_by_key(|(_, seen)| seen.session).map(|(at, _)| at);
        let newest = sessions.iter().all(|seen| seen.session < session);
        let at = silent.or_else(|| earliest().filter(|_| proves || newest))?;
        sessions[at] = PeerWindow::new(session);
        Some(at)
    }

    /// Drops the longest silent node if one more would be too many.
    fn make_room(&mut self) {
        if self.nodes.len() < NODES {
            return;
        }
        let last = |sessions: &[PeerWindow]| sessions.iter().map(|seen| seen.last).max();
        let silent = self.nodes.iter().min_by_key(|(_, sessions)| last(sessions)).map(|(node, _)| *node);
        if let Some(node) = silent {
            self.nodes.remove(&node);
        }
    }
}

impl PeerWindow {
    fn new(session: Session) -> PeerWindow {
        PeerWindow { session, daemon: Window::default(), guardian: Window::default(), last: 0, proven: false }
    }
}

const WORDS: usize = (WINDOW / 64) as usize;

/// A ring of bits: number `n` has the bit `n % WINDOW`, valid while `n` is within [`WINDOW`] of the newest.
#[derive(Clone, Debug, Default)]
struct Window {
    newest: Option<u64>,
    bits: [u64; WORDS],
}

impl Window {
    fn accept(&mut self, seq: u64) -> Verdict {
        match self.newest {
            None => {}
            Some(newest) if seq > newest => self.forget_between(newest, seq),
            Some(newest) if newest - seq >= WINDOW => return Verdict::Old,
            Some(_) if self.has(seq) => return Verdict::Duplicate,
            Some(_) => {}
        }
        self.newest = self.newest.max(Some(seq));
        self.bits[word(seq)] |= bit(seq);
        Verdict::Fresh
    }

    fn has(&self, seq: u64) -> bool {
        self.bits[word(seq)] & bit(seq) != 0
    }

    /// Clears the places of the numbers after `newest` up to `seq`: they held numbers that now fall out of the window.
    fn forget_between(&mut self, newest: u64, seq: u64) {
        if seq - newest >= WINDOW {
            self.bits = [0; WORDS];
            return;
        }
        for n in newest + 1..=seq {
            self.bits[word(n)] &= !bit(n);
        }
    }
}

fn word(seq: u64) -> usize {
    (seq % WINDOW / 64) as usize
}

fn bit(seq: u64) -> u64 {
    1 << (seq % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use Verdict::{Duplicate, Fresh, Old, OldSession};

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn run(count: u64) -> Session {
        Session { count, random: 77 }
    }

    #[test]
    fn duplicates_over_a_second_address_are_dropped() {
        let mut filter = Filter::new();
        for seq in 0..5000 {
            assert_eq!(filter.accept(A, run(1), seq, false), Fresh);
            assert_eq!(filter.accept(A, run(1), seq, false), Duplicate);
        }
        assert_eq!(filter.accept(B, run(1), 0, false), Fresh, "each node has numbers of its own");
    }

    #[test]
    fn an_overtaken_message_is_fresh_once_and_old_beyond_the_window() {
        let mut filter = Filter::new();
        assert_eq!(filter.accept(A, run(1), 5000, false), Fresh);
        assert_eq!(filter.accept(A, run(1), 4999, false), Fresh);
        assert_eq!(filter.accept(A, run(1), 4999, false), Duplicate);
        assert_eq!(filter.accept(A, run(1), 5001 - WINDOW, false), Fresh);
        assert_eq!(filter.accept(A, run(1), 5000 - WINDOW, false), Old);
        assert_eq!(filter.accept(A, run(1), 0, false), Old);
    }

    #[test]
    fn each_run_of_a_node_has_numbers_of_its_own() {
        // Restarts reset sequence numbers, and late datagrams of the run before are not those of the new one.
        let mut filter = Filter::new();
        assert_eq!(filter.accept(A, run(1), 90_000, false), Fresh);
        assert_eq!(filter.accept(A, run(2), 0, false), Fresh);
        assert_eq!(filter.accept(A, run(1), 90_001, false), Fresh, "it may still run, on another machine");
        assert_eq!(filter.accept(A, run(1), 90_000, false), Duplicate);
        assert_eq!(filter.accept(A, run(2), 0, false), Duplicate);
    }

    #[test]
    fn recordings_of_earlier_runs_drive_out_no_run_that_has_spoken_to_us() {
        let mut filter = Filter::new();
        assert_eq!(filter.accept(A, run(50), 7, true), Fresh);
        for count in 1..50 {
            filter.accept(A, run(count), 1, false);
        }
        assert_eq!(filter.accept(A, run(50), 7, true), Duplicate);
        for count in 51..54 {
            assert_eq!(filter.accept(A, run(count), 1, true), Fresh);
        }
        assert_eq!(filter.accept(A, run(9), 2, false), OldSession);
        assert_eq!(filter.accept(A, run(54), 1, false), Fresh, "a newer run always has a place");
    }

    #[test]
    fn an_obituary_is_fresh_whatever_the_daemon_had_said() {
        let mut filter = Filter::new();
        assert_eq!(filter.accept(A, run(1), 7, false), Fresh);
        assert_eq!(filter.accept(A, run(1), GUARDIAN_SEQ, false), Fresh);
        assert_eq!(filter.accept(A, run(1), GUARDIAN_SEQ, false), Duplicate);
        assert_eq!(filter.accept(A, run(1), GUARDIAN_SEQ + 1, false), Fresh);
        assert_eq!(
            filter.accept(A, run(1), 8, false),
            Fresh,
            "what the daemon sent before it died may come later"
        );
        assert_eq!(filter.accept(A, run(2), 0, false), Fresh);
        assert_eq!(
            filter.accept(A, run(1), GUARDIAN_SEQ + 2, false),
            Fresh,
            "last words count after the next run has begun"
        );
    }

    #[test]
    fn the_ends_of_the_numbers_do_no_harm() {
        let mut filter = Filter::new();
        for seq in [0, GUARDIAN_SEQ - 1, GUARDIAN_SEQ, u64::MAX] {
            assert_eq!(filter.accept(A, run(1), seq, false), Fresh);
            assert_eq!(filter.accept(A, run(1), seq, false), Duplicate);
        }
        assert_eq!(filter.accept(A, run(1), 0, false), Old);
    }

    #[test]
    fn the_longest_silent_node_makes_room_for_a_new_one() {
        let mut filter = Filter::new();
        for n in 0..NODES as u128 {
            assert_eq!(filter.accept(NodeId(n), run(1), 1, false), Fresh);
        }
        assert_eq!(filter.accept(NodeId(0), run(1), 2, false), Fresh, "it speaks again");
        assert_eq!(filter.accept(NodeId(1), run(1), 1, false), Duplicate, "a replay is no sign of life");
        assert_eq!(filter.accept(NodeId(999), run(1), 1, false), Fresh);
        assert_eq!(filter.nodes(), NODES);
        assert_eq!(filter.accept(NodeId(0), run(1), 2, false), Duplicate, "kept");
        assert_eq!(filter.accept(NodeId(2), run(1), 1, false), Duplicate, "kept");
        assert_eq!(filter.accept(NodeId(1), run(1), 1, false), Fresh, "forgotten");
    }

    proptest::proptest! {
        #[test]
        fn no_message_is_ever_fresh_twice(
            steps in proptest::collection::vec((0u64..4000, proptest::bool::ANY, 0u64..3), 1..400)
        ) {
            let mut filter = Filter::new();
            let mut taken = BTreeSet::new();
            for (seq, guardian, count) in steps {
                let seq = if guardian { GUARDIAN_SEQ + seq } else { seq };
                if filter.accept(A, run(count), seq, false) == Fresh {
                    assert!(taken.insert((count, seq)), "{count} {seq} was fresh twice");
                }
            }
        }
    }
}
