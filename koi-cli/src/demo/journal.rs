//! What the hooks of all nodes wrote down: when each began and ended. Whether two nodes were ever promoted at once is
//! read from it, whatever the daemons say of themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::services::hooks_log;
use crate::local_cluster::cluster::Cluster;

/// An instant by the wall clock, since 1970: the scripts know no other.
pub(crate) type Stamp = Duration;

/// Now.
pub(crate) fn now() -> Stamp {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A line: something that a hook did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) at: Stamp,
    pub(crate) node: String,
    pub(crate) service: String,
    pub(crate) hook: String,
    /// `begin`, `end`, or what else the script had to say.
    pub(crate) what: String,
}

impl Note {
    /// Reads `nanoseconds node service event what epoch`.
    fn read(line: &str) -> Option<Note> {
        let mut words = line.split(' ');
        let at = Stamp::from_nanos(words.next()?.parse().ok()?);
        let mut word = || words.next().map(str::to_owned);
        Some(Note { at, node: word()?, service: word()?, hook: word()?, what: word()? })
    }

    pub(crate) fn is(&self, hook: &str, what: &str) -> bool {
        self.hook == hook && self.what == what
    }
}

/// A time during which two nodes were promoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Which.
    pub(crate) nodes: [String; 2],
    /// From when.
    pub(crate) from: Stamp,
    /// Until when; none: to the end.
    pub(crate) until: Option<Stamp>,
}

/// The log of all hooks.
#[derive(Debug)]
pub(crate) struct Journal(PathBuf);

impl Journal {
    /// Of the hooks of this cluster.
    pub(crate) fn of(cluster: &Cluster) -> Journal {
        Journal(hooks_log(&cluster.folder))
    }

    /// Everything that was noted so far, in order of time.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        let mut notes: Vec<Note> = text.lines().filter_map(Note::read).collect();
        notes.sort_by_key(|note| note.at);
        notes
    }

    /// What was noted at or after `since`.
    pub(crate) fn since(&self, since: Stamp) -> Vec<Note> {
        let mut notes = self.notes();
        notes.retain(|note| note.at >= since);
        notes
    }

    /// The first promote hook that began at or after `since`.
    pub(crate) fn promotion_since(&self, since: Stamp) -> Option<Note> {
        self.since(since).into_iter().find(|note| note.is("promote", "begin"))
    }
}

/// Who is promoted with what after all these notes: from the beginning of the first promote hook to the end of the last
/// demote hook (or of the stop hook, which comes without a demote when a service has failed).
pub(crate) fn promoted(notes: &[Note]) -> BTreeMap<String, usize> {
    let mut promoted = PromotedServices::default();
    notes.iter().for_each(|note| promoted.apply(note));
    promoted.0.into_iter().map(|(node, services)| (node, services.len())).collect()
}

/// Every time during which two nodes were promoted.
pub(crate) fn overlaps(notes: &[Note]) -> Vec<Overlap> {
    let mut promoted = PromotedServices::default();
    let mut found: Vec<Overlap> = Vec::new();
    let mut open = false;
    for note in notes {
        promoted.apply(note);
        match (promoted.two_nodes(), open) {
            (Some(nodes), false) => {
                open = true;
                found.push(Overlap { nodes, from: note.at, until: None });
            }
            (None, true) => {
                open = false;
                if let Some(last) = found.last_mut() {
                    last.until = Some(note.at);
                }
            }
            (Some(_), true) | (None, false) => {}
        }
    }
    found
}

/// The services that are promoted, by node; nodes without any are not in it.
#[derive(Default)]
struct PromotedServices(BTreeMap<String, Vec<String>>);

impl PromotedServices {
    fn apply(&mut self, note: &Note) {
        let services = self.0.entry(note.node.clone()).or_default();
        if note.is("promote", "begin") {
            if !services.contains(&note.service) {
                services.push(note.service.clone());
            }
        } else if note.is("demote", "end") || note.is("stop", "end") {
            services.retain(|service| *service != note.service);
        }
        self.0.retain(|_, services| !services.is_empty());
    }

    fn two_nodes(&self) -> Option<[String; 2]> {
        let mut nodes = self.0.keys().cloned();
        Some([nodes.next()?, nodes.next()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(lines: &[&str]) -> Vec<Note> {
        lines.iter().map(|line| Note::read(line).unwrap()).collect()
    }

    #[test]
    fn a_switch_over_that_waits_for_the_last_demote_is_none_too_many() {
        let notes = notes(&[
            "10 a address promote begin 1",
            "20 a web promote begin 1",
            "30 a web demote end 1",
            "40 a address demote end 1",
            "50 b address promote begin 2",
        ]);
        assert_eq!(overlaps(&notes), []);
        assert_eq!(promoted(&notes), BTreeMap::from([("b".to_owned(), 1)]));
    }

    #[test]
    fn a_promotion_before_the_last_demote_has_ended_is_found() {
        let notes = notes(&[
            "10 a address promote begin 1",
            "20 a web promote begin 1",
            "30 a web demote end 1",
            "35 a address demote begin 1",
            "40 b address promote begin 2",
            "45 a address demote end 1",
        ]);
        let nodes = ["a".to_owned(), "b".to_owned()];
        let expected = Overlap { nodes, from: Stamp::from_nanos(40), until: Some(Stamp::from_nanos(45)) };
        assert_eq!(overlaps(&notes), [expected]);
    }

    #[test]
    fn a_failed_node_is_down_after_its_stop_and_a_dead_one_never() {
        let notes = notes(&[
            "10 a web promote begin 1",
            "20 a web failed begin 1",
            "30 a web stop end 1",
            "40 b web promote begin 2",
            "50 c web promote begin 3",
        ]);
        let found = overlaps(&notes);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from, found[0].until), (Stamp::from_nanos(50), None));
    }

    #[test]
    fn a_line_that_is_being_written_is_no_note_yet() {
        assert_eq!(Note::read("17000000000 a web pro"), None);
        assert_eq!(Note::read(""), None);
    }
}
