//! Reasons of commands that are refused.

use crate::group::GroupName;
use crate::types::NodeId;

/// Why the state of things does not allow a command. Nodes are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotNowReason {
    /// As many commands wait for a quorum as may.
    TooManyCommands,
    /// Promote: the cluster is in maintenance mode.
    Maintenance,
    /// Promote: the node runs no services.
    NoRunner {
        /// The node.
        node: String,
    },
    /// Promote: the node is not heard from.
    NotThere {
        /// The node.
        node: String,
    },
    /// Promote: an operator has stopped the node's services.
    StoppedByHand {
        /// The node.
        node: String,
    },
    /// Promote: the node has failed.
    Failed {
        /// The node.
        node: String,
        /// What its report says.
        reason: String,
    },
    /// Promote: the node's daemon is stopping.
    Stopping {
        /// The node.
        node: String,
    },
    /// Stop: as many nodes are stopped as may.
    TooManyStopped,
    /// Recover: this node runs no services.
    NothingToRecover {
        /// This node.
        node: String,
    },
    /// Promote, recover: the node does not run the group.
    NoSuchGroup {
        /// The node.
        node: String,
        /// The group.
        group: GroupName,
    },
    /// No node runs the group, and the cluster remembers nothing of it.
    UnknownGroup {
        /// The group.
        group: GroupName,
        /// Those that there are.
        known: Vec<GroupName>,
    },
    /// Promote: the preference of the node is 0 (R15).
    NeverHere {
        /// The node.
        node: String,
    },
    /// Promote: the group goes together with another, whose master is not there (R15).
    GoesTogether {
        /// The group.
        group: GroupName,
        /// The other group.
        with: GroupName,
        /// The node.
        node: String,
    },
    /// Of another group than `main`: not every elector has said that it knows groups (R14).
    GroupsUnknown {
        /// Those that have not.
        nodes: Vec<String>,
    },
    /// Bootstrap: this node does not vote.
    NoElector,
    /// Bootstrap: this elector has a record.
    HasRecord,
    /// Bootstrap: the electors that are there are not the ones that the operator agreed to.
    OtherElectors {
        /// The names of those with which it would begin.
        electors: Vec<String>,
    },
    /// Bootstrap: a leader gives this elector the record.
    LeaderThere,
    /// Bootstrap: more electors are there than a cluster may have.
    TooManyFounders {
        /// How many.
        electors: usize,
    },
    /// Bootstrap: another elector has a record, or knows no membership.
    RecordElsewhere {
        /// The other.
        node: String,
    },
    /// Fence: with quorum off nobody needs one.
    FenceNeedsQuorum,
    /// Fence: the leader's configuration has no fence of this node.
    NoFence {
        /// The node.
        node: String,
        /// The leader.
        leader: String,
    },
    /// Fence: not every elector has said that it knows fences (R12).
    FencesUnknown {
        /// Those that have not.
        nodes: Vec<String>,
    },
    /// Fence: one at a time.
    FenceRuns {
        /// The node that is being fenced.
        node: String,
    },
    /// Electors: quorum is off.
    QuorumOff,
    /// Electors: the record has no members yet.
    ElectorsNotRecorded,
    /// Electors: one change at a time.
    ElectorsChanging,
    /// Electors: the newest record is not on the disks of a quorum yet.
    RecordNotCommitted,
    /// Electors: none of them is called so.
    NoSuchElector {
        /// The name that was given.
        name: String,
        /// The electors' names, with their ids.
        electors: Vec<String>,
    },
    /// Electors: no node that answers is called so.
    NoAnswer {
        /// The name that was given.
        name: String,
    },
    /// Electors: the node is one already.
    ElectorAlready {
        /// The name that was given.
        name: String,
    },
    /// Electors: the node is configured not to vote.
    ConfiguredNotToVote {
        /// The node.
        node: String,
    },
    /// Electors: the node runs a koid from before R13.
    MembershipUnknown {
        /// The node.
        node: String,
    },
    /// Electors: the node does not have the record that counts on its disk yet.
    RecordNotThere {
        /// The node.
        node: String,
    },
    /// Electors: one must stay.
    LastElector,
    /// Electors: the limit is reached.
    TooManyElectors,
    /// Attributes: this node is not the group's master under the mastership that was named.
    NotMaster {
        /// The group.
        group: GroupName,
    },
    /// Attributes: as many writes wait as may.
    TooManyWrites,
    /// Attributes: the group has as many as it may have.
    TooManyAttributes,
    /// Attributes: not every elector has said that it knows them (R16).
    AttributesUnknown {
        /// Those that have not, as far as this node knows.
        nodes: Vec<String>,
    },
    /// Several nodes have the name that was given.
    NameNotUnique {
        /// The name.
        name: String,
        /// The nodes.
        ids: Vec<NodeId>,
    },
}

/// Why a command would risk two masters. Nodes are called by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsafeReason {
    /// Confirm-down: the node answers, and has not said that something could not be stopped (R6).
    NodeAnswers {
        /// The node.
        node: String,
    },
    /// Fence: the node, or another one of its name, is heard, and has not said that something could not be stopped (R12).
    FencedAnswers {
        /// The node.
        node: String,
    },
    /// Electors: those that answer are no quorum (R13).
    QuorumLost {
        /// No quorum of the electors after the change; otherwise of those before it.
        afterwards: bool,
        /// The electors that do not answer.
        missing: Vec<String>,
    },
}
