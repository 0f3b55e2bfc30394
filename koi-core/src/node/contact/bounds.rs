//! Numbers from others that would end or storm the cluster's life. They are refused where they come in, never clamped: a lease that was cut
//! short would be promised shorter than its leader counts on.

use std::fmt;
use std::time::Duration;

use crate::event::Event;
use crate::message::{Body, Heartbeat, RunnerSummary};
use crate::node::handlers::ContactHandler;
use crate::node::node_ref::NodeRef;
use crate::reason::WarnReason;
use crate::record::Record;
use crate::types::{Epoch, NodeId, Term, Version};

/// Terms end here: an epoch has a term in its high bits, and must fit.
const TERMS: u64 = 1 << 47;
/// How far a term, or the count of a version, may be beyond the newest that this node knows.
const LEAP: u64 = 1 << 32;
/// The longest leader lease that a configuration may have.
const LEADER_LEASE: Duration = Duration::from_mins(5);
/// The longest master lease and demote grace together that a configuration may have.
const HOLD: Duration = Duration::from_mins(70);
/// The longest that a fence may take by a configuration.
const FENCE: Duration = Duration::from_hours(1);
/// The longest demote grace that a configuration may have.
const GRACE: Duration = Duration::from_hours(1);

/// What is implausible about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implausible {
    Term(Term),
    Version(Version),
    Epoch(Epoch),
    LeaderLease(Duration),
    MasterLease(Duration),
    Grace(Duration),
    Fence(Duration),
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Implausible::Term(term) => write!(f, "the term {}", term.0),
            Implausible::Version(version) => write!(f, "the version {version} of the record"),
            Implausible::Epoch(epoch) => write!(f, "the epoch {}", epoch.0),
            Implausible::LeaderLease(lease) => write!(f, "a leader lease of {} s", lease.as_secs()),
            Implausible::MasterLease(lease) => write!(f, "a master lease of {} s", lease.as_secs()),
            Implausible::Fence(limit) => write!(f, "a fence that may take {} s", limit.as_secs()),
            Implausible::Grace(grace) => write!(f, "a demote grace of {} s", grace.as_secs()),
        }
    }
}

impl ContactHandler<'_> {
    /// Says who sent it, once in a while.
    pub(crate) fn refuse_implausible(&mut self, from: NodeId, said: Implausible) {
        let what = format!(
            "{} ({from}) says {said}, which no node of this cluster can have come to: it is not listened to",
            self.node().name_of(from)
        );
        if self.peers.note_implausible(from, &what, self.ctx.now) {
            self.ctx.event(Event::Warned { what: WarnReason::Implausible { what } });
        }
    }
}

impl NodeRef<'_> {
    /// Whether every number of a message is one that a node could have come to.
    pub(crate) fn plausible(&self, body: &Body) -> Result<(), Implausible> {
        if mutant!(ImplausibleTaken) {
            return Ok(());
        }
        match body {
            Body::Heartbeat(heartbeat) => self.plausible_heartbeat(heartbeat),
            Body::Report(report) => {
                self.term(report.term)?;
                self.version(report.durable, None)?;
                self.version(report.applied, None)?;
                report.summaries().try_for_each(|(_, told)| summary(told))
            }
            Body::Answer(answer) => {
                self.term(answer.term)?;
                for lease in answer.verdicts().filter_map(|(_, verdict)| verdict.lease) {
                    at_most(lease.remaining, HOLD, Implausible::MasterLease)?;
                    epoch(lease.epoch, answer.term)?;
                    lease.since.map_or(Ok(()), |since| self.version(since, Some(answer.term)))?;
                }
                answer.record.as_ref().map_or(Ok(()), |record| self.record(record, Some(answer.term)))
            }
            Body::PreVote(poll) => self.term(poll.term),
            Body::RequestVote(claim) => self.term(claim.term),
            Body::PreVoteAnswer(answer) => {
                self.term(answer.newest)?;
                answer.record.as_ref().map_or(Ok(()), |record| self.record(record, None))
            }
            Body::Vote(vote) => {
                self.term(vote.newest)?;
                self.record(&vote.record, None)
            }
            Body::StaleTerm(refuse) => self.term(refuse.newest),
            Body::Attributes(told) => self.version(told.copy.changed, None),
            Body::AttributesWanted(wanted) => {
                wanted.states.values().try_for_each(|version| self.version(*version, None))
            }
            Body::AttributeWrite(write) => epoch(write.number.epoch, Term(TERMS - 1)),
            Body::WriteRefused(refused) => epoch(refused.number.epoch, Term(TERMS - 1)),
            Body::Roster(part) => self.term(part.term),
            Body::Resign(_) | Body::Farewell(_) | Body::Obituary(_) | Body::Hello(_) | Body::OtherRun(_) => {
                Ok(())
            }
        }
    }

    fn plausible_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), Implausible> {
        self.term(heartbeat.term)?;
        at_most(heartbeat.lease, LEADER_LEASE, Implausible::LeaderLease)?;
        self.version(heartbeat.committed, Some(heartbeat.term))?;
        self.record(&heartbeat.record, Some(heartbeat.term))
    }

    fn term(&self, term: Term) -> Result<(), Implausible> {
        let known = self.durable.term.max(self.election.newest()).0;
        match term.0 < TERMS && term.0 <= known.saturating_add(LEAP) {
            true => Ok(()),
            false => Err(Implausible::Term(term)),
        }
    }

    /// `leader`: the term of whoever leads with this version.
    fn version(&self, version: Version, leader: Option<Term>) -> Result<(), Implausible> {
        let newest = self.durable.record.version.n.saturating_add(LEAP);
        let sound = version.n <= newest && leader.is_none_or(|term| version.term <= term);
        if sound { self.term(version.term) } else { Err(Implausible::Version(version)) }
    }

    fn record(&self, record: &Record, leader: Option<Term>) -> Result<(), Implausible> {
        self.version(record.version, leader)?;
        epoch(record.last_epoch, record.version.term)?;
        for (_, group) in record.groups() {
            let over = [group.promoted, group.previous.map(|past| past.epoch)];
            over.into_iter().flatten().try_for_each(|e| epoch(e, record.version.term))?;
        }
        for (_, which) in record.attributes() {
            epoch(which.written.epoch, record.version.term)?;
            self.version(which.changed, Some(record.version.term))?;
        }
        for (_, master) in record.masters() {
            epoch(master.epoch, record.version.term)?;
            at_most(master.hold, HOLD, Implausible::MasterLease)?;
        }
        if let Some(fence) = &record.fence {
            fence.epochs.iter().try_for_each(|e| epoch(*e, record.version.term))?;
            at_most(fence.limit, FENCE, Implausible::Fence)?;
        }
        Ok(())
    }
}

fn summary(summary: &RunnerSummary) -> Result<(), Implausible> {
    at_most(summary.grace, GRACE, Implausible::Grace)?;
    let all = [Some(summary.released), summary.holds, summary.promoted_under];
    all.into_iter().flatten().try_for_each(|e| epoch(e, Term(TERMS - 1)))
}

/// An epoch is given in a term, which is in its high bits; the count in its low bits may spill over.
fn epoch(epoch: Epoch, term: Term) -> Result<(), Implausible> {
    let beyond = (term.0.saturating_add(1 << 16)).saturating_mul(1 << 16);
    if epoch.0 < beyond && epoch.0 < 1 << 63 { Ok(()) } else { Err(Implausible::Epoch(epoch)) }
}

fn at_most(value: Duration, most: Duration, beyond: fn(Duration) -> Implausible) -> Result<(), Implausible> {
    if value <= most { Ok(()) } else { Err(beyond(value)) }
}
