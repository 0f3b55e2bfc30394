//! What has failed of late, on every node that has told it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::group::GroupName;
use crate::limits;
use crate::message::FailureNote;
use crate::types::Time;

/// Two notes of one node about the same hook within this are one failure that was told twice.
const NEAR: Duration = Duration::from_secs(2);

/// A failure that a node has told.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) at: Time,
    /// The node's name.
    pub(crate) node: String,
    pub(crate) group: GroupName,
    pub(crate) note: FailureNote,
}

/// The newest of them, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures(VecDeque<Failed>);

impl Failures {
    /// A node tells its last failure in a group, with each report.
    pub(crate) fn note(&mut self, node: &str, group: &GroupName, note: FailureNote, now: Time) {
        let at = now - note.ago;
        let same = |old: &Failed| {
            old.node == node
                && old.group == *group
                && old.note.service == note.service
                && old.note.hook == note.hook
                && at.since(old.at) < NEAR
                && old.at.since(at) < NEAR
        };
        if self.0.iter().any(same) {
            return;
        }
        if self.0.len() >= limits::FAILURES {
            self.0.pop_front();
        }
        self.0.push_back(Failed { at, node: node.to_owned(), group: group.clone(), note });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Failed> {
        self.0.iter()
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
