//! What keeps a cluster from being well, as data with a sentence each. All is well only where there is none.

use std::fmt;
use std::time::Duration;

use crate::group::GroupName;
use crate::types::NodeId;

/// Something that keeps a cluster from being well. Nodes are named by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentences below say what each field is")]
pub enum Concern {
    NoMaster,
    /// The master is not promoted with all its services.
    Promoting {
        node: String,
    },
    /// The same of another group than `main`.
    OfGroup {
        group: GroupName,
        concern: Box<Concern>,
    },
    /// Nobody is watched, and nobody could take over.
    Maintenance,
    /// The next step waits for something.
    Waiting,
    Failed {
        node: String,
    },
    Missing {
        node: String,
    },
    /// Its fence has failed, and how often; what it said.
    FenceFailed {
        node: String,
        times: u32,
        why: String,
    },
    /// Fences are configured, and these electors have not said that they know them (R12).
    FencesUnknown {
        nodes: Vec<String>,
    },
    Unclean {
        node: String,
    },
    ElectorsMissing {
        missing: usize,
        configured: usize,
        /// Which, as far as the record says.
        names: Vec<String>,
    },
    /// A node that is configured to vote, answers, and is no member (R13).
    NoMember {
        node: String,
        id: NodeId,
    },
    /// A configuration that says otherwise than the record who votes, or how many are a quorum.
    ElectorsDiffer {
        node: String,
        key: &'static str,
        is: u16,
        electors: Vec<String>,
    },
    /// As many as the record has, and others by name.
    ElectorsNamedOtherwise {
        node: String,
        electors: Vec<String>,
    },
    /// Two machines have this node's id.
    SameId {
        node: String,
        id: NodeId,
    },
    /// This node has given way to another machine with its id.
    Mute {
        id: NodeId,
    },
    /// An elector whose disk is so slow that elections wait for it.
    SlowDisk {
        node: String,
        takes: Duration,
    },
    /// This node's guardian does not stand guard (R8); why.
    Unguarded {
        why: String,
    },
    /// Someone says what no node of this cluster can have come to.
    Implausible {
        what: String,
    },
    /// There was no room for this node.
    NodeTooMany {
        id: NodeId,
        most: usize,
    },
    ElectorsTooMany {
        seen: usize,
        configured: usize,
    },
    /// One that is kept from voting.
    ElectorTooMany {
        node: String,
        configured: usize,
    },
    /// It is heard, and does not hear the leader.
    Deaf {
        node: String,
    },
    /// An elector that hears the leader and promises nothing.
    Unacknowledging {
        node: String,
    },
    Unfit {
        node: String,
        why: String,
    },
    /// An elector that runs no services, and cannot keep what it would promise.
    CannotVote {
        node: String,
        why: String,
    },
    /// Maintenance is over, and nobody has seen yet how its services are.
    Unasked {
        node: String,
    },
    /// Its clock and this node's run at different speeds: in parts per thousand, positive where its clock is fast.
    Clock {
        node: String,
        fast: i64,
    },
    Disagreement {
        one: String,
        other: String,
        keys: Vec<&'static str>,
    },
    /// Two runners of a group that say different things of its place: none of that is kept (R15).
    PlacementDiffers {
        one: String,
        other: String,
        keys: Vec<&'static str>,
    },
    SameName {
        name: String,
    },
    Flapping {
        masterships: u32,
        within: Duration,
    },
    Restless {
        node: String,
        service: String,
        times: u32,
    },
    /// There are other runners, and none could be master now; why, one by one.
    NoTakeover {
        why: Vec<String>,
    },
}

impl Concern {
    /// Whether it is a warning: a sentence that stands nowhere else in a status. The others are told by states and by what is waited for.
    pub fn is_warning(&self) -> bool {
        match self {
            Concern::OfGroup { concern, .. } => concern.is_warning(),
            Concern::NoMaster
            | Concern::Promoting { .. }
            | Concern::Maintenance
            | Concern::Waiting
            | Concern::Failed { .. }
            | Concern::Missing { .. }
            | Concern::Unclean { .. } => false,
            Concern::ElectorsMissing { .. }
            | Concern::FenceFailed { .. }
            | Concern::FencesUnknown { .. }
            | Concern::NoMember { .. }
            | Concern::ElectorsDiffer { .. }
            | Concern::ElectorsNamedOtherwise { .. }
            | Concern::SameId { .. }
            | Concern::Mute { .. }
            | Concern::Implausible { .. }
            | Concern::Unguarded { .. }
            | Concern::SlowDisk { .. }
            | Concern::NodeTooMany { .. }
            | Concern::ElectorsTooMany { .. }
            | Concern::ElectorTooMany { .. }
            | Concern::Deaf { .. }
            | Concern::Unacknowledging { .. }
            | Concern::Unfit { .. }
            | Concern::CannotVote { .. }
            | Concern::Unasked { .. }
            | Concern::Clock { .. }
            | Concern::Disagreement { .. }
            | Concern::PlacementDiffers { .. }
            | Concern::SameName { .. }
            | Concern::Flapping { .. }
            | Concern::Restless { .. }
            | Concern::NoTakeover { .. } => true,
        }
    }
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Concern::NoMaster => write!(f, "there is no master"),
            Concern::Promoting { node } => write!(f, "{node} is not promoted with all its services"),
            Concern::OfGroup { group, concern } => write!(f, "group {group}: {concern}"),
            Concern::Maintenance => write!(f, "maintenance mode is on: nobody could take over"),
            Concern::Waiting => write!(f, "the next step waits for something"),
            Concern::Failed { node } => write!(f, "{node} has failed"),
            Concern::Missing { node } => write!(f, "{node} is missing"),
            Concern::FenceFailed { node, times, why } => {
                let often = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
                write!(
                    f,
                    "the fence of {node} has failed {often} of late, and nobody is promoted for that: {why}"
                )
            }
            Concern::FencesUnknown { nodes } => write!(
                f,
                "no node is fenced before every elector knows fences, and these have not said so: {}",
                nodes.join(", ")
            ),
            Concern::Unclean { node } => write!(f, "{node} is unclean"),
            Concern::ElectorsMissing { missing, configured, names } if names.is_empty() => {
                write!(f, "{missing} of {configured} electors are missing")
            }
            Concern::ElectorsMissing { missing, configured, names } => {
                write!(f, "{missing} of {configured} electors are missing: {}", names.join(", "))
            }
            Concern::NoMember { node, id } => write!(
                f,
                "{node} ({id}) is configured to vote and is no elector of this cluster: koi electors add {node}, or koi electors replace \
                 OLD {node}, or set node.elector = false there"
            ),
            Concern::ElectorsDiffer { node, key, is, electors } => write!(
                f,
                "the cluster has {} electors ({}), {} of them are a quorum, and {key} in the koi.toml of {node} is {is}: the record holds; mend \
                 the file",
                electors.len(),
                electors.join(", "),
                electors.len() / 2 + 1
            ),
            Concern::ElectorsNamedOtherwise { node, electors } => write!(
                f,
                "the electors are {}, and cluster.electors in the koi.toml of {node} names others: the record holds; mend the file",
                electors.join(", ")
            ),
            Concern::SameId { node, id } => write!(
                f,
                "two machines have the id of {node} ({id}): was its state folder copied? Say `koi reset-identity` on the younger one, which \
                 takes part in nothing"
            ),
            Concern::Mute { id } => write!(
                f,
                "another machine has the id of this node, {id}, and runs longer: this one takes part in nothing until `koi reset-identity` \
                 gives it an id of its own"
            ),
            Concern::Implausible { what } => f.write_str(what),
            Concern::Unguarded { why } => f.write_str(why),
            Concern::SlowDisk { node, takes } => write!(
                f,
                "the disk of {node} takes {} ms to keep a state: an election may take as long",
                takes.as_millis()
            ),
            Concern::NodeTooMany { id, most } => write!(
                f,
                "{id} is one node too many: a cluster has at most {most}; stop koid there, or on one of the others"
            ),
            Concern::ElectorsTooMany { seen, configured } => write!(
                f,
                "{seen} electors are seen and cluster.electors is {configured}: two quorums could form; set it right everywhere"
            ),
            Concern::ElectorTooMany { node, configured } => {
                write!(f, "{node} is an elector too many: cluster.electors is {configured}; it does not vote")
            }
            Concern::Deaf { node } => write!(
                f,
                "{node} hears nobody: its network passes only one way; look at the firewalls between it and the others"
            ),
            Concern::Unacknowledging { node } => write!(
                f,
                "{node} hears the leader and does not acknowledge it: its disk may be full, or hang; its log says more"
            ),
            Concern::Unfit { node, why } => write!(f, "{node} cannot be master: {why}"),
            Concern::CannotVote { node, why } => write!(f, "{node} cannot vote: {why}"),
            Concern::Unasked { node } => write!(
                f,
                "maintenance is over, and the status of some service on {node} has not yet said how it is"
            ),
            Concern::Clock { node, fast } => write!(
                f,
                "the clock of {node} runs {}.{} % too {}, measured by this node's: leases are kept by clocks that differ by less than 1 %; \
                 look at its clock source",
                fast.abs() / 10,
                fast.abs() % 10,
                if *fast > 0 { "fast" } else { "slow" }
            ),
            Concern::Disagreement { one, other, keys } => {
                write!(
                    f,
                    "{one} and {other} disagree on {}: make their configurations agree",
                    keys.join(", ")
                )
            }
            Concern::PlacementDiffers { one, other, keys } => write!(
                f,
                "{one} and {other} disagree on {} of this group: none of them is kept until their configurations agree",
                keys.join(", ")
            ),
            Concern::SameName { name } => {
                write!(f, "two nodes are called {name}: give each its own node.name")
            }
            Concern::Flapping { masterships, within } => {
                let seconds = within.as_secs_f32().ceil();
                write!(
                    f,
                    "flapping: {masterships} masterships in {seconds:.0} s; the time between them grows"
                )
            }
            Concern::Restless { node, service, times } => write!(
                f,
                "flapping: {service} on {node} has changed by itself {times} times of late; it rests longer each time"
            ),
            Concern::NoTakeover { why } => write!(f, "nobody could take over: {}", why.join(", ")),
        }
    }
}
