//! Words for the end of a mastership, of a target, of a leadership.

use std::fmt;

use crate::reason::{DropReason, FenceCause, StepDownReason};

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropReason::NotThere => f.write_str("it is not there"),
            DropReason::Stopping => f.write_str("it is stopping"),
            DropReason::StoppedByHand => f.write_str("it was stopped by hand"),
            DropReason::Failed { reason } => write!(f, "it has failed: {reason}"),
            DropReason::OtherTarget { node } => write!(f, "{node} is to be master"),
            DropReason::DemotedByHand => f.write_str("it was demoted by hand"),
            DropReason::CannotPromote { why } => write!(f, "it cannot promote anything: {why}"),
            DropReason::NotPromotable { state } => write!(f, "it is {}, not promotable", state.as_str()),
            DropReason::ToBeFenced => {
                f.write_str("it is to be fenced, for what it could not stop of another group")
            }
            DropReason::Released => f.write_str("it is released"),
            DropReason::Preferred { node } => {
                write!(f, "{node} is preferred to it, and has been ready for long enough")
            }
            DropReason::NeverHere => f.write_str("its preference is 0: it is never made master"),
            DropReason::GoesTogether { with } => {
                write!(f, "the group goes together with {with}, whose master is not to be there")
            }
        }
    }
}

impl fmt::Display for StepDownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepDownReason::NoQuorum => f.write_str("no quorum of electors answers"),
            StepDownReason::OtherLeader { node, term } => write!(f, "{node} leads in term {}", term.0),
            StepDownReason::NoElector => f.write_str("this node is no elector any more"),
            StepDownReason::LeaseChanged => f.write_str("the leader lease was changed"),
            StepDownReason::AttributesMissing => {
                f.write_str("nobody has sent the attributes of the newest record")
            }
            StepDownReason::IdNotUnique => f.write_str("another machine has this node's id"),
            StepDownReason::Stopping => f.write_str("this node is stopping"),
            StepDownReason::ToBeFenced => f.write_str(
                "this node could not stop what it had promoted, and another leader is to fence it",
            ),
        }
    }
}

impl fmt::Display for FenceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FenceCause::Unclean => f.write_str("it could not stop what it had promoted"),
            FenceCause::LostInMaintenance => f.write_str("it was master in maintenance mode, and is silent"),
            FenceCause::ByHand => f.write_str("an operator wants it"),
        }
    }
}
