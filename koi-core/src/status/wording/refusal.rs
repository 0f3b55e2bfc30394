//! Words for commands that are refused.

use std::fmt;

use crate::limits;
use crate::reason::{NotNowReason, UnsafeReason};

impl fmt::Display for NotNowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotNowReason::TooManyCommands => {
                f.write_str("too many commands are waiting for a quorum of electors")
            }
            NotNowReason::Maintenance => {
                f.write_str("maintenance mode is on: nothing is promoted or demoted")
            }
            NotNowReason::NoRunner { node } | NotNowReason::NothingToRecover { node } => {
                write!(f, "{node} runs no services")
            }
            NotNowReason::NotThere { node } => write!(f, "{node} is not there"),
            NotNowReason::StoppedByHand { node } => write!(f, "{node} was stopped by hand"),
            NotNowReason::Failed { node, reason } => write!(f, "{node} has failed: {reason}"),
            NotNowReason::Stopping { node } => write!(f, "{node} is stopping"),
            NotNowReason::TooManyStopped => f.write_str("too many nodes are stopped by hand"),
            NotNowReason::NoSuchGroup { node, group } => write!(f, "{node} does not run the group {group}"),
            NotNowReason::UnknownGroup { group, .. } => write!(f, "there is no group {group}"),
            NotNowReason::NeverHere { node } => {
                write!(f, "{node} is never made master: its preference is 0")
            }
            NotNowReason::GoesTogether { group, with, node } => {
                write!(f, "group {group} goes together with {with}, whose master is not on {node}")
            }
            NotNowReason::GroupsUnknown { nodes } if nodes.is_empty() => {
                f.write_str("the record does not say yet that all electors know groups of services")
            }
            NotNowReason::GroupsUnknown { nodes } => {
                let nodes = nodes.join(", ");
                write!(f, "not every elector has said that it knows groups of services: {nodes}")
            }
            NotNowReason::NoElector => f.write_str("this node is no elector"),
            NotNowReason::HasRecord => {
                f.write_str("this elector has a record already: there is nothing to begin")
            }
            NotNowReason::OtherElectors { electors } => {
                write!(f, "the cluster would begin with other electors now: {}", electors.join(", "))
            }
            NotNowReason::LeaderThere => f.write_str("a leader is there and gives this elector its state"),
            NotNowReason::TooManyFounders { electors } => {
                write!(f, "{electors} electors are there, and a cluster has at most {}", limits::MEMBERS)
            }
            NotNowReason::RecordElsewhere { node } => {
                write!(f, "{node} has the record of a cluster, or runs a koid that knows no membership")
            }
            NotNowReason::FenceNeedsQuorum => {
                f.write_str("quorum is off: each half of a partition would turn the other one off")
            }
            NotNowReason::NoFence { node, leader } => {
                write!(f, "the leader {leader} does not know how to turn {node} off")
            }
            NotNowReason::FencesUnknown { nodes } if nodes.is_empty() => {
                f.write_str("the record does not say yet that all electors know fences")
            }
            NotNowReason::FencesUnknown { nodes } => {
                write!(f, "not every elector has said that it knows fences: {}", nodes.join(", "))
            }
            NotNowReason::FenceRuns { node } => write!(f, "{node} is being fenced, and one is at a time"),
            NotNowReason::QuorumOff => f.write_str("quorum is off: the electors are not counted"),
            NotNowReason::ElectorsNotRecorded => f.write_str("the electors are not in the record yet"),
            NotNowReason::ElectorsChanging => f.write_str("another change of the electors is under way"),
            NotNowReason::RecordNotCommitted => {
                f.write_str("the last change does not count yet: it waits for a quorum of electors")
            }
            NotNowReason::NoSuchElector { name, .. } => write!(f, "no elector is called {name}"),
            NotNowReason::NoAnswer { name } => write!(f, "no node called {name} answers"),
            NotNowReason::ElectorAlready { name } => write!(f, "{name} is an elector already"),
            NotNowReason::ConfiguredNotToVote { node } => write!(f, "{node} is configured not to vote"),
            NotNowReason::MembershipUnknown { node } => {
                write!(f, "{node} runs a koid that does not know who the electors are")
            }
            NotNowReason::RecordNotThere { node } => {
                write!(f, "{node} does not have the cluster's record on its disk yet")
            }
            NotNowReason::LastElector => f.write_str("the last elector cannot be removed"),
            NotNowReason::TooManyElectors => {
                write!(f, "a cluster has at most {} electors", limits::MEMBERS)
            }
            NotNowReason::NotMaster { group } => {
                write!(f, "this node is not master of {group} under that epoch")
            }
            NotNowReason::TooManyWrites => {
                write!(f, "{} writes of attributes are waiting already", limits::ATTRIBUTE_WRITES)
            }
            NotNowReason::TooManyAttributes => {
                write!(f, "the group has {} attributes, and may have no more", limits::ATTRIBUTES)
            }
            NotNowReason::AttributesUnknown { nodes } if nodes.is_empty() => {
                f.write_str("not every elector has said that it knows attributes")
            }
            NotNowReason::AttributesUnknown { nodes } => {
                write!(f, "not every elector has said that it knows attributes: {}", nodes.join(", "))
            }
            NotNowReason::NameNotUnique { name, ids } => {
                let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
                write!(f, "{} nodes are called {name}: {}", ids.len(), all.join(", "))
            }
        }
    }
}

impl NotNowReason {
    /// What an operator can do; may be empty.
    pub fn hint(&self) -> String {
        let hint = match self {
            NotNowReason::TooManyCommands
            | NotNowReason::RecordNotThere { .. }
            | NotNowReason::TooManyWrites => "try again in a moment",
            NotNowReason::AttributesUnknown { .. } => "upgrade koid there, and start it",
            NotNowReason::NotMaster { .. } => {
                "only the master's services write, while they hold the mastership"
            }
            NotNowReason::TooManyAttributes => "remove one first",
            NotNowReason::GroupsUnknown { nodes } if nodes.is_empty() => "try again in a moment",
            NotNowReason::GroupsUnknown { .. } => "upgrade koid there, and start it",
            NotNowReason::Maintenance => "koi maintenance off",
            NotNowReason::NoRunner { .. } => "promote a runner; koi status lists them",
            NotNowReason::Stopping { .. } => "promote another",
            NotNowReason::TooManyStopped => "koi start those that are to run",
            NotNowReason::NoElector => "say it on an elector",
            NotNowReason::LeaderThere => "wait a moment; koi status",
            NotNowReason::TooManyFounders { .. } => "stop koid on some, or set node.elector = false there",
            NotNowReason::RecordElsewhere { .. } => {
                "it gives this elector its record once it is led; koi status there"
            }
            NotNowReason::FenceNeedsQuorum => "a third elector is the remedy: then set cluster.electors",
            NotNowReason::FencesUnknown { nodes } if nodes.is_empty() => "try again in a moment",
            NotNowReason::FencesUnknown { .. } => "upgrade koid there, and start it",
            NotNowReason::FenceRuns { .. } => "koi status says how far it is",
            NotNowReason::QuorumOff => "set cluster.electors and cluster.quorum first",
            NotNowReason::ElectorsNotRecorded => {
                "that is so once all configured electors are there, agree on cluster.electors, and run a koid that knows it"
            }
            NotNowReason::OtherElectors { .. } => "look again: koi bootstrap",
            NotNowReason::ElectorsChanging => "try again when it is done: koi electors list",
            NotNowReason::RecordNotCommitted => "try again in a moment; koi status",
            NotNowReason::ElectorAlready { .. } => "koi electors list",
            NotNowReason::LastElector => "stop the cluster instead",
            NotNowReason::TooManyElectors => "replace one: koi electors replace OLD NEW",
            NotNowReason::NameNotUnique { .. } => "say which by its id; give each its own node.name",
            NotNowReason::NeverHere { .. } => {
                "promote another, or raise its preference and say koi reconfigure there"
            }
            NotNowReason::GoesTogether { with, node, .. } => {
                return format!("koi promote {node} of group {with} moves both");
            }
            NotNowReason::HasRecord | NotNowReason::NothingToRecover { .. } => "",
            NotNowReason::NoFence { node, leader } => {
                return format!(
                    "set [fence] and [fence.nodes.{node}] in the koi.toml of {leader}, and of every elector"
                );
            }
            NotNowReason::NotThere { node } => {
                return format!("start koid on {node}, or promote another");
            }
            NotNowReason::StoppedByHand { node } => return format!("koi start {node}"),
            NotNowReason::Failed { node, .. } => return format!("mend it, then: koi recover {node}"),
            NotNowReason::NoSuchElector { electors, .. } => {
                return format!("the electors are {}", electors.join(", "));
            }
            NotNowReason::NoAnswer { name } => {
                return format!(
                    "start koid on {name} with this cluster's key and addresses, then say it again"
                );
            }
            NotNowReason::ConfiguredNotToVote { node } => {
                return format!("set node.elector = true on {node}, and restart koid there");
            }
            NotNowReason::MembershipUnknown { node } => return format!("upgrade {node}"),
            NotNowReason::NoSuchGroup { group, .. } => {
                return format!("say it of a node that has [groups.{group}] in its koi.toml");
            }
            NotNowReason::UnknownGroup { known, .. } => {
                let known: Vec<&str> = known.iter().map(|group| group.as_str()).collect();
                return format!("the groups are {}", known.join(", "));
            }
        };
        hint.to_owned()
    }
}

impl fmt::Display for UnsafeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnsafeReason::NodeAnswers { node } => {
                write!(f, "{node} is alive and answers: its own word counts")
            }
            UnsafeReason::FencedAnswers { node } => write!(
                f,
                "{node} is heard, and has not said that it could not stop something: a node that answers is not turned off"
            ),
            UnsafeReason::QuorumLost { afterwards, missing } => {
                let when = if *afterwards { "afterwards" } else { "now" };
                let missing = missing.join(", ");
                write!(f, "the electors that answer would be no quorum {when}: {missing} must answer first")
            }
        }
    }
}

impl UnsafeReason {
    /// What an operator can do.
    pub fn hint(&self) -> String {
        match self {
            UnsafeReason::FencedAnswers { node } | UnsafeReason::NodeAnswers { node } => {
                format!("koi stop {node} takes its services down")
            }
            UnsafeReason::QuorumLost { .. } => {
                "start koid there, or mend the network; koi electors list".to_owned()
            }
        }
    }
}
