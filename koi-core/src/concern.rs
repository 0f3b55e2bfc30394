//! What keeps a cluster from being well, as data with a sentence each. All is well only where there is none.

use std::fmt;
use std::time::Duration;

/// Something that keeps a cluster from being well. Nodes are named by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentences below say what each field is")]
pub enum Concern {
    NoMaster,
    /// The master is not promoted with all its services.
    Promoting {
        node: String,
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
    Unclean {
        node: String,
    },
    ElectorsMissing {
        missing: usize,
        configured: usize,
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
    Disagreement {
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
            Concern::NoMaster
            | Concern::Promoting { .. }
            | Concern::Maintenance
            | Concern::Waiting
            | Concern::Failed { .. }
            | Concern::Missing { .. }
            | Concern::Unclean { .. } => false,
            Concern::ElectorsMissing { .. }
            | Concern::ElectorsTooMany { .. }
            | Concern::ElectorTooMany { .. }
            | Concern::Deaf { .. }
            | Concern::Unacknowledging { .. }
            | Concern::Unfit { .. }
            | Concern::Disagreement { .. }
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
            Concern::Maintenance => write!(f, "maintenance mode is on: nobody could take over"),
            Concern::Waiting => write!(f, "the next step waits for something"),
            Concern::Failed { node } => write!(f, "{node} has failed"),
            Concern::Missing { node } => write!(f, "{node} is missing"),
            Concern::Unclean { node } => write!(f, "{node} is unclean"),
            Concern::ElectorsMissing { missing, configured } => {
                write!(f, "{missing} of {configured} electors are missing")
            }
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
            Concern::Disagreement { one, other, keys } => {
                write!(
                    f,
                    "{one} and {other} disagree on {}: make their configurations agree",
                    keys.join(", ")
                )
            }
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
