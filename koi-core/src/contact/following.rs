//! Whom a node follows, and what it has told that leader. Messages come and go in `node::contact::following`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use crate::contact::roster::KnownRosters;
use crate::group::GroupName;
use crate::limits;
use crate::types::{NodeId, Session, Term, Time};

/// The leader that this node follows.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub(crate) id: NodeId,
    pub(crate) session: Session,
    pub(crate) term: Term,
    pub(crate) name: String,
    pub(crate) heard: Time,
    /// The newest heartbeat of it that was heard.
    pub(crate) number: u64,
    pub(crate) lease: Duration,
    pub(crate) master_address: Option<SocketAddr>,
    /// Where the masters of the other groups can be reached.
    pub(crate) other_masters: BTreeMap<GroupName, SocketAddr>,
    /// Where its API answers, by its own word.
    pub(crate) address: Option<SocketAddr>,
}

/// The follower's half of a node: whom it follows, and what it has told that leader. A leader reports to itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Following {
    leader: Option<Leader>,
    /// Reports of which an answer still counts, with the instant that they were sent.
    reports: VecDeque<(u64, Time)>,
    /// The number of the last report.
    last_report: u64,
    /// The newest report that was answered.
    answered: u64,
    /// This run has heard from a leader what counts: what its disk said may be old.
    informed: bool,
    /// Who else runs the groups of this node. What a leader has said stands until another says something else.
    rosters: KnownRosters,
}

impl Following {
    /// The leader that was heard last.
    pub(crate) fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref()
    }

    /// This is the leader now.
    pub(crate) fn follow(&mut self, leader: Leader) {
        self.leader = Some(leader);
    }

    /// Follows nobody any more.
    pub(crate) fn leave(&mut self) -> Option<Leader> {
        self.leader.take()
    }

    /// This run knows what counts.
    pub(crate) fn is_informed(&self) -> bool {
        self.informed
    }

    /// A leader has said what counts, or this node leads and a quorum has its record.
    pub(crate) fn inform(&mut self) {
        self.informed = true;
    }

    /// Numbers a report that is sent now.
    pub(crate) fn number_report(&mut self, now: Time) -> u64 {
        self.last_report += 1;
        if self.reports.len() >= limits::IN_FLIGHT {
            self.reports.pop_front();
        }
        self.reports.push_back((self.last_report, now));
        self.last_report
    }

    /// A report was answered; returns when it was sent, if that still counts.
    pub(crate) fn note_answer(&mut self, report: u64) -> Option<Time> {
        let (_, sent) = *self.reports.iter().find(|(number, _)| *number == report)?;
        self.answered = self.answered.max(report);
        Some(sent)
    }

    /// When the newest report was sent, if no leader has answered it.
    pub(crate) fn unanswered_since(&self) -> Option<Time> {
        self.leader.as_ref().filter(|_| self.answered < self.last_report)?;
        self.reports.back().map(|(_, sent)| *sent)
    }

    /// Who else runs the groups of this node, by the word of a leader.
    pub(crate) fn rosters(&self) -> &KnownRosters {
        &self.rosters
    }

    /// The same, for whoever hears more.
    pub(crate) fn rosters_mut(&mut self) -> &mut KnownRosters {
        &mut self.rosters
    }

    /// How much is kept for later.
    pub(crate) fn backlog(&self) -> usize {
        self.reports.len() + self.rosters.backlog()
    }
}
