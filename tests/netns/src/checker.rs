//! The promise (docs/safety.md), computed from the hook log: who was promoted when.
//!
//! A node counts as promoted from the beginning of its first promote hook to the end of the demote or stop hook of the last of
//! its services. A hook that was killed has no end in the log: then the node counts as promoted until the hook that koid, its
//! guardian or the next run of koid has sent after it ends, or until the harness has written [`GONE`] because it has ended
//! everything on the node. `koi-mark` reads the clock a millisecond or two after a hook begins and before it ends: an
//! overlap shorter than that is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use koi_cluster_tests::{Entry, HookLog};

/// The hook of a line that the harness writes: from then on nothing of the node is left.
pub const GONE: &str = "gone";

/// A node was promoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Mastership {
    /// Which.
    pub node: String,
    /// The fencing token of its first promote.
    pub epoch: u64,
    /// The beginning of its first promote hook, in seconds of CLOCK_MONOTONIC.
    pub from: f64,
    /// The end of its last demote or stop hook; none: it is still promoted.
    pub until: Option<f64>,
}

/// Two nodes were promoted at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Dual {
    /// The one that was promoted first.
    pub first: Mastership,
    /// The one that came in addition.
    pub second: Mastership,
}

impl Dual {
    /// From when on.
    pub fn from(&self) -> f64 {
        self.second.from
    }

    /// Until when; none: it goes on.
    pub fn until(&self) -> Option<f64> {
        match (self.first.until, self.second.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl fmt::Display for Mastership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (epoch {}) from {:.4} ", self.node, self.epoch, self.from)?;
        match self.until {
            Some(until) => write!(f, "until {until:.4}"),
            None => write!(f, "on"),
        }
    }
}

impl fmt::Display for Dual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts =
            self.until().map_or("without end".to_owned(), |u| format!("for {:.4} s", u - self.from()));
        write!(f, "two promoted {lasts}: {} and {}", self.first, self.second)
    }
}

/// Every time that a node was promoted in this group, by the time that it began.
pub fn masterships(log: &HookLog, group: &str) -> Vec<Mastership> {
    // A node that is gone is so for every group.
    let mut entries: Vec<&Entry> = log.0.iter().filter(|e| e.group == group || e.hook == GONE).collect();
    // The clock is read before the line is written: two nodes' lines may stand the other way round.
    entries.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut done: Vec<Mastership> = Vec::new();
    let mut open: BTreeMap<&str, (Mastership, BTreeSet<&str>)> = BTreeMap::new();
    for entry in entries {
        let node = entry.node.as_str();
        if (entry.hook.as_str(), entry.ended) == ("promote", false) {
            let begun = || Mastership { node: node.into(), epoch: entry.epoch, from: entry.at, until: None };
            open.entry(node).or_insert_with(|| (begun(), BTreeSet::new())).1.insert(&entry.service);
            continue;
        }
        let Some((mastership, up)) = open.get_mut(node) else { continue };
        match (entry.hook.as_str(), entry.ended) {
            ("demote" | "stop", true) => drop(up.remove(entry.service.as_str())),
            (GONE, _) => up.clear(),
            _ => continue,
        }
        if up.is_empty() {
            mastership.until = Some(entry.at);
            done.extend(open.remove(node).map(|(mastership, _)| mastership));
        }
    }
    done.extend(open.into_values().map(|(mastership, _)| mastership));
    done.sort_by(|a, b| a.from.total_cmp(&b.from));
    done
}

/// Every time that two nodes were promoted at once; by the promise none.
pub fn duals(masterships: &[Mastership]) -> Vec<Dual> {
    let mut found = Vec::new();
    for (n, first) in masterships.iter().enumerate() {
        let later = masterships[n + 1..].iter().filter(|second| second.node != first.node);
        let overlapping = later.filter(|second| first.until.is_none_or(|until| second.from < until));
        found.extend(overlapping.map(|second| Dual { first: first.clone(), second: second.clone() }));
    }
    found
}

/// Masterships whose epoch is not greater than all before (R9).
pub fn stale_epochs(masterships: &[Mastership]) -> Vec<Mastership> {
    let mut newest = 0;
    let mut stale = Vec::new();
    for mastership in masterships {
        if mastership.epoch <= newest {
            stale.push(mastership.clone());
        }
        newest = newest.max(mastership.epoch);
    }
    stale
}

/// How a failover went.
#[derive(Clone, Debug, PartialEq)]
pub struct Failover {
    /// Who is promoted now.
    pub to: String,
    /// Seconds from the fault to the beginning of the promote hook.
    pub after_fault: f64,
    /// Seconds from the end of the old master's last demote hook to there; none: it had not demoted by then.
    pub after_demote: Option<f64>,
}

/// The first promotion of another node than `old` since the fault, which came at `fault` by CLOCK_MONOTONIC.
pub fn failover(masterships: &[Mastership], old: &str, fault: f64) -> Option<Failover> {
    let next = masterships.iter().find(|m| m.node != old && m.from >= fault)?;
    let ended = masterships.iter().filter(|m| m.node == old && m.from < next.from).filter_map(|m| m.until);
    let demoted =
        ended.filter(|until| *until >= fault && *until <= next.from).fold(None, |_, until| Some(until));
    Some(Failover {
        to: next.node.clone(),
        after_fault: next.from - fault,
        after_demote: demoted.map(|until| next.from - until),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `AT NODE SERVICE HOOK WHAT EPOCH`.
    fn log(lines: &[&str]) -> HookLog {
        let entry = |line: &&str| {
            let (line, epoch) = line.rsplit_once(' ').unwrap();
            format!("{line} 1 {epoch} Slave main").parse().unwrap()
        };
        HookLog(lines.iter().map(entry).collect())
    }

    fn masterships(log: &HookLog) -> Vec<Mastership> {
        super::masterships(log, "main")
    }

    fn told(log: &HookLog) -> Vec<(String, f64, Option<f64>)> {
        masterships(log).into_iter().map(|m| (m.node, m.from, m.until)).collect()
    }

    #[test]
    fn a_node_is_promoted_from_the_first_promote_to_the_last_demote() {
        let log = log(&[
            "1.0 a vip promote begin 7",
            "1.1 a vip promote end 7",
            "1.2 a db promote begin 7",
            "1.3 a db promote end 7",
            "2.0 a db demote begin 7",
            "2.1 a db demote end 7",
            "2.2 a vip demote begin 7",
            "2.3 a vip demote end 7",
        ]);
        assert_eq!(told(&log), [("a".into(), 1.0, Some(2.3))]);
        assert_eq!(masterships(&log)[0].epoch, 7);
    }

    #[test]
    fn one_after_the_other_is_well() {
        let log = log(&["1.0 a vip promote begin 1", "2.0 a vip demote end 1", "2.0 b vip promote begin 2"]);
        let masterships = masterships(&log);
        assert_eq!(duals(&masterships), []);
        assert_eq!(stale_epochs(&masterships), []);
    }

    #[test]
    fn two_at_once_are_found_however_short() {
        let log = log(&[
            "1.0 a vip promote begin 1",
            "1.9 a vip demote begin 1",
            "2.0 b vip promote begin 2",
            "2.001 a vip demote end 1",
        ]);
        let duals = duals(&masterships(&log));
        assert_eq!(duals.len(), 1);
        assert_eq!((duals[0].from(), duals[0].until()), (2.0, Some(2.001)));
        assert!(duals[0].to_string().contains("for 0.0010 s"), "{}", duals[0]);
    }

    #[test]
    fn two_at_once_without_end_are_found() {
        let log = log(&["1.0 a vip promote begin 1", "2.0 b vip promote begin 2"]);
        let duals = duals(&masterships(&log));
        assert_eq!((duals.len(), duals[0].until()), (1, None));
    }

    #[test]
    fn a_promotion_within_anothers_is_found() {
        let log = log(&[
            "1.0 a vip promote begin 1",
            "2.0 b vip promote begin 2",
            "3.0 b vip demote end 2",
            "4.0 c vip promote begin 3",
            "5.0 a vip demote end 1",
        ]);
        let found: Vec<_> = duals(&masterships(&log)).into_iter().map(|d| d.second.node).collect();
        assert_eq!(found, ["b", "c"]);
    }

    #[test]
    fn a_killed_promote_counts_until_somebody_has_taken_it_down() {
        let log = log(&[
            "1.0 a vip promote begin 1", // killed with koid; the guardian demotes and stops
            "1.5 a vip demote begin 1",
            "1.6 a vip demote end 1",
            "1.7 b vip promote begin 2",
        ]);
        assert_eq!(told(&log)[0], ("a".into(), 1.0, Some(1.6)));
    }

    #[test]
    fn a_killed_demote_is_not_an_end() {
        let log = log(&[
            "1.0 a vip promote begin 1",
            "1.5 a vip demote begin 1", // killed
            "1.6 b vip promote begin 2",
            "1.8 a vip stop end 1",
        ]);
        assert_eq!(duals(&masterships(&log)).len(), 1);
    }

    #[test]
    fn a_node_that_is_gone_holds_nothing() {
        let log = log(&["1.0 a vip promote begin 1", "2.0 a * gone end 0", "4.0 b vip promote begin 2"]);
        assert_eq!(told(&log)[0], ("a".into(), 1.0, Some(2.0)));
    }

    #[test]
    fn lines_that_overtook_each_other_are_put_in_order() {
        let log = log(&["1.0 a vip promote begin 1", "2.1 b vip promote begin 2", "2.0 a vip demote end 1"]);
        assert_eq!(duals(&masterships(&log)), []);
    }

    #[test]
    fn an_epoch_that_does_not_grow_is_found() {
        let log = log(&["1.0 a vip promote begin 5", "2.0 a vip demote end 5", "3.0 b vip promote begin 5"]);
        assert_eq!(stale_epochs(&masterships(&log))[0].node, "b");
    }

    #[test]
    fn failover_is_measured_from_the_fault_and_from_the_demote() {
        let log = log(&["1.0 a vip promote begin 1", "5.5 a vip demote end 1", "5.75 b vip promote begin 2"]);
        let masterships = masterships(&log);
        let expected = Failover { to: "b".into(), after_fault: 0.75, after_demote: Some(0.25) };
        assert_eq!(failover(&masterships, "a", 5.0), Some(expected));
        assert_eq!(failover(&masterships, "b", 5.8), None);
    }

    #[test]
    fn a_master_that_never_demoted_has_no_time_from_its_demote() {
        let log = log(&["1.0 a vip promote begin 1", "7.0 b vip promote begin 2"]);
        assert_eq!(failover(&masterships(&log), "a", 5.0).unwrap().after_demote, None);
    }
}
