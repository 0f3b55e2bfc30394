//! What nodes say to one another. Fields are numbered: a newer version may add some, and an older one skips them.
//!
//! Every message fits one datagram of 1200 bytes whatever the number of services: reports carry a summary, and what
//! can grow is bounded by [`crate::limits`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::attributes::{AttributeWrite, AttributesWanted, GroupAttributes, WriteRefused};
use crate::group::GroupName;
use crate::placing::GroupPlacement;
use crate::record::{Record, StateOrigin};
use crate::roster::RosterPart;
use crate::types::{Epoch, NodeId, NodeState, Session, Term, Version, address, span, sparse};

/// A body with its sender.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Message {
    /// Who speaks.
    #[n(0)]
    pub from: NodeId,
    /// The run of its daemon.
    #[n(1)]
    pub session: Session,
    /// Grows by one with each message of a session: duplicates and old messages are told by it.
    #[n(2)]
    pub seq: u64,
    /// Whom it is for; none: everyone. Whatever answers something names the run that it answers.
    #[n(3)]
    pub to: Option<Recipient>,
    /// What is said.
    #[n(4)]
    pub body: Body,
}

/// One run of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Recipient {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// The run of its daemon that is meant.
    #[n(1)]
    pub session: Session,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Body {
    /// I am here and know no leader.
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// I lead.
    #[n(1)]
    Heartbeat(#[n(0)] Heartbeat),
    /// How I am; the answer to a heartbeat.
    #[n(2)]
    Report(#[n(0)] Report),
    /// The leader's answer to a report.
    #[n(3)]
    Answer(#[n(0)] Answer),
    /// Would you vote for me? Spends no term.
    #[n(4)]
    PreVote(#[n(0)] PreVote),
    /// The answer to a poll.
    #[n(5)]
    PreVoteAnswer(#[n(0)] PreVoteAnswer),
    /// Vote for me.
    #[n(6)]
    RequestVote(#[n(0)] RequestVote),
    /// The answer to a claim.
    #[n(7)]
    Vote(#[n(0)] Vote),
    /// Your heartbeat's term is over; this is the newest that I know.
    #[n(8)]
    StaleTerm(#[n(0)] StaleTerm),
    /// I lead no more, and you are free to vote.
    #[n(9)]
    Resign(#[n(0)] Resign),
    /// I am going.
    #[n(10)]
    Farewell(#[n(0)] Farewell),
    /// Said by a node's guardian in its name: its daemon is dead.
    #[n(11)]
    Obituary(#[n(0)] Obituary),
    /// I know another run of your node.
    #[n(12)]
    OtherRun(#[n(0)] OtherRun),
    /// A state of a group's attributes (R16). Said only to nodes that know attributes, as the three that follow.
    #[n(13)]
    Attributes(#[n(0)] GroupAttributes),
    /// I lack these states of attributes.
    #[n(14)]
    AttributesWanted(#[n(0)] AttributesWanted),
    /// A master writes an attribute.
    #[n(15)]
    AttributeWrite(#[n(0)] AttributeWrite),
    /// The leader's answer to a write that it does not make.
    #[n(16)]
    WriteRefused(#[n(0)] WriteRefused),
    /// Who else runs your groups. Said only to runners that say in their reports which picture of that they have.
    #[n(17)]
    Roster(#[n(0)] RosterPart),
}

/// The parts of the settings on which all nodes must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct SharedSettings {
    /// How many electors the cluster has; zero: unknown.
    #[n(0)]
    pub electors: u16,
    /// How many of them must agree; zero: quorum is off.
    #[n(1)]
    pub quorum: u16,
    /// `h`.
    #[n(2)]
    #[cbor(with = "span")]
    pub heartbeat: Duration,
    /// `L`.
    #[n(3)]
    #[cbor(with = "span")]
    pub leader_lease: Duration,
    /// `M`.
    #[n(4)]
    #[cbor(with = "span")]
    pub master_lease: Duration,
}

/// The newest rule that this version of koi knows.
pub const RULES: u16 = ATTRIBUTES_RULE;
/// R13: who votes is in the record.
pub const MEMBERS_RULE: u16 = 13;
/// R14: a cluster may have several groups of services, each with a master of its own.
pub const GROUPS_RULE: u16 = 14;
/// R12: the record says which node is being fenced. It came after R14.
pub const FENCES_RULE: u16 = 15;
/// R16: the record names states of attributes, which whoever has it has too.
pub const ATTRIBUTES_RULE: u16 = 16;

/// Who speaks, in a form for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NodeInfo {
    /// `node.name`, at most [`crate::limits::NAME_BYTES`].
    #[n(0)]
    pub name: String,
    /// The version of koi that it runs.
    #[n(1)]
    pub version: String,
    /// Whether it votes.
    #[n(2)]
    pub elector: bool,
    /// Whether it runs services.
    #[n(3)]
    pub runner: bool,
    /// `node.priority`.
    #[n(4)]
    pub priority: i32,
    /// What its state on disk is worth.
    #[n(5)]
    pub origin: StateOrigin,
    /// What it was configured with.
    #[n(6)]
    pub agreed: SharedSettings,
    /// The newest rule that it knows, as [`RULES`]; 0: it is from before R13.
    #[n(7)]
    #[cbor(default)]
    pub rules: u16,
    /// The run of this node's daemon before this one, of which nothing runs any more: neither its daemon nor its guardian. Said only on the
    /// same machine.
    #[n(8)]
    pub follows: Option<Session>,
}

/// See [`Body::Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// Who speaks.
    #[n(0)]
    pub info: NodeInfo,
    /// The random parts of the sessions of which the sender has fresh word: whoever finds its own here knows that this hello was made after
    /// it started, and is not an old one; whoever does not, answers it. At most [`crate::limits::NODES`].
    #[n(1)]
    pub heard: Vec<u64>,
    /// The sender calls for its own id, to learn whether another machine bears it, and takes part in nothing yet.
    #[n(2)]
    #[cbor(default)]
    pub calls: bool,
    /// How long its daemon runs.
    #[n(3)]
    #[cbor(default, with = "span")]
    pub uptime: Duration,
    /// Where its API answers, as far as it knows.
    #[n(4)]
    #[cbor(default, with = "address")]
    pub address: Option<SocketAddr>,
    /// Another machine has its id, and is older: it takes part in nothing until an operator gives it one of its own.
    #[n(5)]
    #[cbor(default)]
    pub mute: bool,
}

/// See [`Body::Heartbeat`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Heartbeat {
    /// The leader.
    #[n(0)]
    pub info: NodeInfo,
    /// Its term.
    #[n(1)]
    pub term: Term,
    /// Grows by one with each heartbeat of this leader: acknowledgements name it.
    #[n(2)]
    pub number: u64,
    /// `L`: what an elector promises by acknowledging this.
    #[n(3)]
    #[cbor(with = "span")]
    pub lease: Duration,
    /// The newest record.
    #[n(4)]
    pub record: Record,
    /// The newest version that counts: nodes act on that one.
    #[n(5)]
    pub committed: Version,
    /// Where the master of `main` can be reached, by its own word; none: unknown.
    #[n(6)]
    #[cbor(with = "address")]
    pub master_address: Option<SocketAddr>,
    /// Where the leader's API answers, as far as it knows.
    #[n(7)]
    #[cbor(default, with = "address")]
    pub address: Option<SocketAddr>,
    /// Where the masters of the other groups can be reached, by their own word, as far as it is known.
    #[n(8)]
    #[cbor(default, with = "addresses", has_nil)]
    pub other_masters: BTreeMap<GroupName, SocketAddr>,
}

/// See [`Body::Report`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Report {
    /// Who speaks.
    #[n(0)]
    pub info: NodeInfo,
    /// The term of the leader that this is for.
    #[n(1)]
    pub term: Term,
    /// Grows by one with each report of a session: answers name it.
    #[n(2)]
    pub number: u64,
    /// The heartbeat that this elector acknowledges; none: it acknowledges nothing.
    #[n(3)]
    pub acknowledged: Option<u64>,
    /// The version that it has on disk.
    #[n(4)]
    pub durable: Version,
    /// The version that it acts on.
    #[n(5)]
    pub applied: Version,
    /// How its services of `main` are, on a runner.
    #[n(6)]
    pub runner: Option<RunnerSummary>,
    /// How long its daemon runs.
    #[n(7)]
    #[cbor(with = "span")]
    pub uptime: Duration,
    /// Where its API answers, and where it is reached as master, as far as it knows.
    #[n(8)]
    #[cbor(default, with = "address")]
    pub address: Option<SocketAddr>,
    /// The newest heartbeat of this leader that the node has heard, also when it does not acknowledge it; none: it does not say.
    #[n(10)]
    pub heard: Option<u64>,
    /// Why an elector that runs no services cannot keep what it would promise, at most [`crate::limits::UNFIT_BYTES`]. A runner says it in its
    /// summary.
    #[n(11)]
    pub unfit: Option<String>,
    /// How the services of its other groups are, on a runner. A group that is not in it is none of this node's.
    #[n(12)]
    #[cbor(default, with = "sparse", has_nil)]
    pub others: BTreeMap<GroupName, RunnerSummary>,
    /// Which picture a runner has of the nodes that run its groups, as [`RosterPart::picture`]; 0: it has none. None: it is no runner, or knows no
    /// rosters.
    #[n(13)]
    pub picture: Option<u32>,
}

impl Report {
    /// How the services are, group by group.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = (&GroupName, &RunnerSummary)> {
        self.runner.iter().map(|main| (&GroupName::MAIN, main)).chain(&self.others)
    }
}

/// A runner's services of one group in one line.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RunnerSummary {
    /// The node's state.
    #[n(0)]
    pub state: NodeState,
    /// The mastership that it has accepted and not yet released.
    #[n(1)]
    pub holds: Option<Epoch>,
    /// It holds nothing promoted of this epoch or any before it, and never will.
    #[n(2)]
    pub released: Epoch,
    /// Some service is, or may be, `Demoting` or above.
    #[n(3)]
    pub maybe_promoted: bool,
    /// Every service is promotable.
    #[n(4)]
    pub promotable: bool,
    /// [`RunnerSummary::score`] in 32 bits: one that does not fit is the least or the greatest that does. All that koi reads where scores
    /// have 32 bits.
    #[n(5)]
    pub short_score: Option<i32>,
    /// The last failure of a service; none: there was none.
    #[n(6)]
    pub failure: Option<FailureNote>,
    /// Failures since the count was last reset.
    #[n(7)]
    pub failures: u32,
    /// Could not stop what it had promoted (R7).
    #[n(8)]
    pub unclean: bool,
    /// Stays out of everything by its own configuration (`node.maintenance`).
    #[n(9)]
    pub maintenance: bool,
    /// `g` of this node.
    #[n(10)]
    #[cbor(with = "span")]
    pub grace: Duration,
    /// How many services it has.
    #[n(11)]
    pub services: u16,
    /// Every service is promoted.
    #[n(12)]
    pub promoted: bool,
    /// Why it is `Failed`, or not promotable, at most [`crate::limits::REASON_BYTES`]; empty: nothing is wrong.
    #[n(13)]
    pub reason: String,
    /// It has been told to go away and is taking its services down.
    #[n(14)]
    pub leaving: bool,
    /// Why it cannot become master now, at most [`crate::limits::UNFIT_BYTES`]; none: it can, as far as its machine goes.
    #[n(15)]
    pub unfit: Option<String>,
    /// A service that changes by itself again and again; none: none does.
    #[n(16)]
    pub restless: Option<Restless>,
    /// Masterships that have come to nothing here of late; none: none have.
    #[n(17)]
    pub in_vain: Option<InVain>,
    /// The status of a service calls it promoted although it was demoted and stopped. With [`RunnerSummary::unclean`]: nobody has ever given
    /// this node the right to it.
    #[n(18)]
    #[cbor(default)]
    pub suspect: bool,
    /// Maintenance is over, and the status of some service has not said since how it is.
    #[n(19)]
    #[cbor(default)]
    pub unasked: bool,
    /// The score, where 32 bits do not hold it.
    #[n(20)]
    pub long_score: Option<i64>,
    /// The epoch that the hooks were given by which every critical service was promoted; none: not every one is, or an earlier run of the daemon
    /// has promoted it.
    #[n(21)]
    pub promoted_under: Option<Epoch>,
    /// Where the group's master is wanted, by this node's configuration (R15).
    #[n(22)]
    #[cbor(default, with = "sparse", has_nil)]
    pub placement: GroupPlacement,
    /// The newest question of a leader, as [`Verdict::ask`], that every status has answered; none: there was none.
    #[n(23)]
    pub asked: Option<u64>,
}

impl RunnerSummary {
    /// Preference among candidates, higher is better: the lowest that any of its services gave.
    pub fn score(&self) -> Option<i64> {
        self.long_score.or(self.short_score.map(i64::from))
    }

    /// A score as [`RunnerSummary::short_score`] and [`RunnerSummary::long_score`] carry it.
    pub fn score_fields(score: Option<i64>) -> (Option<i32>, Option<i64>) {
        let short = |score: i64| i32::try_from(score.clamp(i32::MIN.into(), i32::MAX.into())).ok();
        let short_score = score.and_then(short);
        (short_score, score.filter(|score| short_score.map(i64::from) != Some(*score)))
    }
}

/// A service that changes by itself again and again.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Restless {
    /// Its name, at most [`crate::limits::NAME_BYTES`].
    #[n(0)]
    pub service: String,
    /// How often of late.
    #[n(1)]
    pub times: u32,
}

/// Masterships that came to nothing because of the node itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct InVain {
    /// How many, without a calm in between.
    #[n(0)]
    pub times: u32,
    /// How long ago the last one ended.
    #[n(1)]
    #[cbor(with = "span")]
    pub ago: Duration,
}

/// A service's failure, as reports carry it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FailureNote {
    /// The service's name, at most [`crate::limits::NAME_BYTES`].
    #[n(0)]
    pub service: String,
    /// The hook's name.
    #[n(1)]
    pub hook: String,
    /// What it said, at most [`crate::limits::REASON_BYTES`].
    #[n(2)]
    pub message: String,
    /// How long ago.
    #[n(3)]
    #[cbor(with = "span")]
    pub ago: Duration,
}

/// See [`Body::Answer`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    /// The leader's term.
    #[n(0)]
    pub term: Term,
    /// The report that is answered: times are counted from when it was sent.
    #[n(1)]
    pub report: u64,
    /// The lease on the mastership of `main`.
    #[n(2)]
    pub lease: Option<Lease>,
    /// Demote `main`, and say when nothing of this epoch or before it is promoted any more.
    #[n(3)]
    pub release: Option<Epoch>,
    /// For an elector without state: the record that counts (R10).
    #[n(4)]
    pub record: Option<Record>,
    /// The same for the other groups, where there is something to say.
    #[n(5)]
    #[cbor(default, with = "sparse", has_nil)]
    pub others: BTreeMap<GroupName, Verdict>,
    /// How the services of `main` are now: as [`Verdict::ask`].
    #[n(6)]
    pub ask: Option<u64>,
}

impl Answer {
    /// One that says nothing yet.
    pub(crate) fn empty(term: Term, report: u64) -> Answer {
        Answer { term, report, lease: None, release: None, record: None, others: BTreeMap::new(), ask: None }
    }

    /// Says this of a group.
    pub(crate) fn tell(&mut self, group: &GroupName, verdict: Verdict) {
        if group.is_main() {
            (self.lease, self.release, self.ask) = (verdict.lease, verdict.release, verdict.ask);
        } else if verdict != Verdict::default() {
            self.others.insert(group.clone(), verdict);
        }
    }

    /// Whether there is a reason to send it.
    pub(crate) fn says_something(&self) -> bool {
        let main = self.lease.is_some() || self.release.is_some() || self.ask.is_some();
        main || self.record.is_some() || !self.others.is_empty()
    }

    /// What it says of each group.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (GroupName, Verdict)> {
        let main = Verdict { lease: self.lease, release: self.release, ask: self.ask };
        let others = self.others.iter().map(|(group, verdict)| (group.clone(), *verdict));
        [(GroupName::MAIN, main)].into_iter().chain(others)
    }
}

/// What a leader says to a runner about its mastership of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Verdict {
    /// The lease on the mastership.
    #[n(0)]
    pub lease: Option<Lease>,
    /// Demote, and say when nothing of this epoch or before it is promoted any more.
    #[n(1)]
    pub release: Option<Epoch>,
    /// How the services are now: their statuses are to run at once, and the report that tells of them names this number. It grows with every question.
    #[n(2)]
    pub ask: Option<u64>,
}

/// A lease on the mastership (R5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Lease {
    /// Of which mastership.
    #[n(0)]
    pub epoch: Epoch,
    /// How long it lasts, counted from when the report was *sent*.
    #[n(1)]
    #[cbor(with = "span")]
    pub remaining: Duration,
    /// R16: nothing is promoted under it before the node acts on this version of the record, attributes included. None: the group has no attributes.
    #[n(2)]
    pub since: Option<Version>,
}

/// See [`Body::PreVote`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PreVote {
    /// Who asks.
    #[n(0)]
    pub info: NodeInfo,
    /// The term that it would claim.
    #[n(1)]
    pub term: Term,
    /// The members with which it founds a cluster (R13); empty: it has a record.
    #[n(2)]
    #[cbor(default)]
    pub founding: BTreeSet<NodeId>,
}

/// See [`Body::PreVoteAnswer`]. Also what the refusal of one who is no member is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PreVoteAnswer {
    /// The term that was asked for.
    #[n(0)]
    pub term: Term,
    /// Yes or no.
    #[n(1)]
    pub granted: bool,
    /// The newest term that the voter knows.
    #[n(2)]
    pub newest: Term,
    /// How long the voter's promise to another leader still holds.
    #[n(3)]
    #[cbor(with = "span")]
    pub wait: Duration,
    /// For one who is no member, or from one who is none: the newest record that is on the sender's disk (R13).
    #[n(4)]
    pub record: Option<Record>,
    /// How long the voter's disk takes: its vote will take so long.
    #[n(5)]
    #[cbor(default, with = "span")]
    pub disk: Duration,
}

/// See [`Body::RequestVote`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RequestVote {
    /// Who claims.
    #[n(0)]
    pub info: NodeInfo,
    /// The term claimed.
    #[n(1)]
    pub term: Term,
    /// The members with which it founds a cluster (R13); empty: it has a record.
    #[n(2)]
    #[cbor(default)]
    pub founding: BTreeSet<NodeId>,
}

/// See [`Body::Vote`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Vote {
    /// The term claimed.
    #[n(0)]
    pub term: Term,
    /// Yes or no.
    #[n(1)]
    pub granted: bool,
    /// The newest term that the voter knows.
    #[n(2)]
    pub newest: Term,
    /// The newest record that the voter has on disk.
    #[n(3)]
    pub record: Record,
    /// Time since the voter last acknowledged an earlier leader (R6); none: it never has.
    #[n(4)]
    pub acknowledged_ago_us: Option<u64>,
    /// The voter has followed a leader in this run of its daemon: the cluster is not just starting.
    #[n(5)]
    pub followed: bool,
    /// How long the voter's promise to another leader still holds.
    #[n(6)]
    #[cbor(with = "span")]
    pub wait: Duration,
}

/// See [`Body::StaleTerm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StaleTerm {
    /// The newest term that the sender knows.
    #[n(0)]
    pub newest: Term,
}

/// See [`Body::Resign`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Resign {
    /// The term that is over.
    #[n(0)]
    pub term: Term,
}

/// See [`Body::Farewell`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Farewell {
    /// Nothing of `main` of this epoch or before it is promoted; none: something may be (it left in maintenance, or unclean).
    #[n(0)]
    pub released: Option<Epoch>,
    /// The same of the other groups of which nothing is promoted.
    #[n(1)]
    #[cbor(default, with = "sparse", has_nil)]
    pub others: BTreeMap<GroupName, Epoch>,
}

/// See [`Body::Obituary`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Obituary {
    /// Nothing is promoted there any more; false: the daemon is dead and its services are being taken down.
    #[n(0)]
    pub all_down: bool,
    /// Groups of which nothing is promoted any more, while others are still being taken down.
    #[n(1)]
    #[cbor(default, with = "sparse", has_nil)]
    pub down: BTreeSet<GroupName>,
}

/// See [`Body::OtherRun`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OtherRun {
    /// Which.
    #[n(0)]
    pub session: Session,
    /// How long its daemon runs.
    #[n(1)]
    #[cbor(with = "span")]
    pub uptime: Duration,
    /// Time since it was last heard.
    #[n(2)]
    #[cbor(with = "span")]
    pub silent: Duration,
}

/// A socket address for each group.
mod addresses {
    use super::{BTreeMap, GroupName, SocketAddr};

    /// Left out where there are none.
    pub(super) fn is_nil(addresses: &BTreeMap<GroupName, SocketAddr>) -> bool {
        addresses.is_empty()
    }

    pub(super) fn nil() -> Option<BTreeMap<GroupName, SocketAddr>> {
        Some(BTreeMap::new())
    }

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        addresses: &BTreeMap<GroupName, SocketAddr>,
        e: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(addresses.len() as u64)?;
        for (group, address) in addresses {
            e.encode_with(group, context)?.str(&address.to_string())?;
        }
        Ok(())
    }

    pub(super) fn decode<C>(
        d: &mut minicbor::Decoder<'_>,
        context: &mut C,
    ) -> Result<BTreeMap<GroupName, SocketAddr>, minicbor::decode::Error> {
        let texts: BTreeMap<GroupName, String> = super::sparse::decode(d, context)?;
        let address = |(group, text): (GroupName, String)| Some((group, text.parse().ok()?));
        let all = texts.len();
        let read: BTreeMap<GroupName, SocketAddr> = texts.into_iter().filter_map(address).collect();
        if read.len() == all {
            Ok(read)
        } else {
            Err(minicbor::decode::Error::message("not a socket address"))
        }
    }
}
