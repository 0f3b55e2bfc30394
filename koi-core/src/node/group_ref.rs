//! A node, to read, as far as one group goes.

use std::ops::Deref;

use crate::group::GroupName;
use crate::leader::masterships::Masterships;
use crate::leader::placement::Placement;
use crate::leader::reports::GroupReport;
use crate::node::node_ref::NodeRef;
use crate::record::{GroupRecord, MasterEntry, Record};
use crate::types::{NodeId, Session};

/// A node as it is at one moment, and a group. What a leader decides about a group is decided from it: every rule from R4 to R9 holds for
/// each group by itself.
#[derive(Clone, Copy)]
pub(crate) struct GroupRef<'a> {
    node: NodeRef<'a>,
    pub(crate) group: &'a GroupName,
}

impl<'a> Deref for GroupRef<'a> {
    type Target = NodeRef<'a>;

    fn deref(&self) -> &NodeRef<'a> {
        &self.node
    }
}

impl<'a> NodeRef<'a> {
    /// The same, as far as this group goes.
    pub(crate) fn group(&self, group: &'a GroupName) -> GroupRef<'a> {
        GroupRef { node: *self, group }
    }
}

impl<'a> GroupRef<'a> {
    /// What this record says of the group.
    pub(crate) fn of<'r>(&self, record: &'r Record) -> &'r GroupRecord {
        record.group(self.group)
    }

    /// The mastership in the record that this node acts on.
    pub(crate) fn entry(&self) -> Option<&'a MasterEntry> {
        let node = self.node;
        node.durable.applied.group(self.group).master.as_ref()
    }

    /// What the leader's decisions about the group build on.
    pub(crate) fn placement(&self) -> Option<&'a Placement> {
        Some(self.node.lead.as_ref()?.placement(self.group))
    }

    /// The masterships of the group of late.
    pub(crate) fn history(&self) -> &'a Masterships {
        let all = self.node.masterships;
        all.of(self.group)
    }

    /// The last report in this term of that run about the group.
    pub(crate) fn report_of(&self, node: NodeId, run: Session) -> Option<GroupReport<'a>> {
        self.node.lead.as_ref()?.runners().of_run(node, run)?.about(self.group)
    }

    /// The last report about the group of every run of this node, the earliest run first.
    pub(crate) fn reports_of(&self, node: NodeId) -> impl DoubleEndedIterator<Item = GroupReport<'a>> {
        let (lead, group) = (self.node.lead.as_ref(), self.group);
        lead.into_iter()
            .flat_map(move |lead| lead.runners().of_node(node))
            .filter_map(move |seen| seen.about(group))
    }

    /// The last report about the group of every run of every node.
    pub(crate) fn all_reports(&self) -> impl Iterator<Item = (NodeId, GroupReport<'a>)> {
        let (lead, group) = (self.node.lead.as_ref(), self.group);
        let all = lead.into_iter().flat_map(|lead| lead.runners().iter());
        all.filter_map(move |(id, seen)| Some((id, seen.about(group)?)))
    }

    /// The last report in this term of the run that speaks for a node.
    pub(crate) fn latest_report(&self, node: NodeId) -> Option<GroupReport<'a>> {
        self.node.latest(node)?.about(self.group)
    }

    /// The same, if it is recent, and the run is not over.
    pub(crate) fn recent_report(&self, node: NodeId) -> Option<GroupReport<'a>> {
        self.node.seen_lately(node)?.about(self.group)
    }

    /// The last report of each node's run that speaks for it.
    pub(crate) fn latest_of_all(&self) -> impl Iterator<Item = (NodeId, GroupReport<'a>)> + use<'a> {
        let (node, group) = (self.node, self.group);
        let all = node.lead.as_ref().into_iter().flat_map(|lead| lead.runners().iter());
        let speaks = move |(id, seen): &(NodeId, &crate::leader::reports::RunnerReport)| {
            node.current_run(*id) == Some(seen.session)
        };
        all.filter(speaks).filter_map(move |(id, seen)| Some((id, seen.about(group)?)))
    }

    /// Those of them that are recent, and whose run is not over.
    pub(crate) fn recent_of_all(&self) -> impl Iterator<Item = (NodeId, GroupReport<'a>)> + use<'a> {
        let node = self.node;
        self.latest_of_all().filter(move |(id, seen)| node.is_recent(*id, seen.at))
    }
}
