//! A status as far as one group goes. A daemon of an older version knows `main` alone.

use koi_proto::api::{
    Group, GroupOnNode, GroupStatus, NodeAction, NodeState, NodeStatus, ServiceState, ServiceStatus, Status,
    Waiting,
};

/// A group in a status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupIn<'s> {
    status: &'s Status,
    /// None: `main`.
    other: Option<&'s GroupStatus>,
}

impl<'s> GroupIn<'s> {
    /// `main`, which is always there.
    pub(crate) fn main(status: &'s Status) -> GroupIn<'s> {
        GroupIn { status, other: None }
    }

    /// The group of this name, if there is one.
    pub(crate) fn find(status: &'s Status, name: &Group) -> Option<GroupIn<'s>> {
        if name.is_main() {
            return Some(GroupIn::main(status));
        }
        let other = status.groups.iter().find(|group| group.name == *name)?;
        Some(GroupIn { status, other: Some(other) })
    }

    /// All groups, `main` first.
    pub(crate) fn all(status: &'s Status) -> Vec<GroupIn<'s>> {
        let others = status.groups.iter().filter(|group| !group.name.is_main());
        let others = others.map(|group| GroupIn { status, other: Some(group) });
        [GroupIn::main(status)].into_iter().chain(others).collect()
    }

    /// Its name.
    pub(crate) fn name(&self) -> Group {
        self.other.map(|group| group.name.clone()).unwrap_or_default()
    }

    fn is(&self, name: &Group) -> bool {
        self.other.map_or_else(|| name.is_main(), |group| group.name == *name)
    }

    pub(crate) fn master(&self) -> Option<&'s String> {
        self.other.map_or(&self.status.cluster.master, |group| &group.master).as_ref()
    }

    pub(crate) fn target(&self) -> Option<&'s String> {
        self.other.map_or(&self.status.cluster.target, |group| &group.target).as_ref()
    }

    pub(crate) fn takeover(&self) -> Option<&'s String> {
        self.other.map_or(&self.status.cluster.takeover, |group| &group.takeover).as_ref()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.other.map_or(self.status.cluster.epoch, |group| group.epoch)
    }

    pub(crate) fn manual(&self) -> bool {
        self.other.map_or(self.status.cluster.manual, |group| group.manual)
    }

    pub(crate) fn waiting(&self) -> &'s [Waiting] {
        self.other.map_or(&self.status.cluster.waiting, |group| &group.waiting)
    }

    /// What a node says of it; none: it does not run it, or an older koid does not say.
    pub(crate) fn of<'n>(&self, node: &'n NodeStatus) -> Option<&'n GroupOnNode> {
        node.groups.iter().find(|group| self.is(&group.name))
    }

    /// How a node is in it; none: it does not run it.
    pub(crate) fn state<'n>(&self, node: &'n NodeStatus) -> Option<&'n NodeState> {
        match self.other {
            None => Some(&node.state),
            Some(_) => self.of(node).map(|group| &group.state),
        }
    }

    /// What a node does with its services in it, as far as it says.
    pub(crate) fn action<'n>(&self, node: &'n NodeStatus) -> Option<&'n NodeAction> {
        match self.other {
            None => node.action.as_ref(),
            Some(_) => self.of(node).and_then(|group| group.action.as_ref()),
        }
    }

    /// A node's services in it, as far as they are known.
    pub(crate) fn services<'n>(&self, node: &'n NodeStatus) -> Vec<&'n ServiceStatus> {
        node.services.iter().flatten().filter(|service| self.is(&service.group)).collect()
    }

    /// Whether a node is its master with all its critical services promoted, as far as its services are known.
    pub(crate) fn is_promoted(&self, node: &NodeStatus) -> bool {
        let is_up = |s: &ServiceStatus| s.critical == Some(false) || s.state == ServiceState::Promoted;
        self.state(node) == Some(&NodeState::Master) && self.services(node).into_iter().all(is_up)
    }

    /// The node that is its master, with all its critical services.
    pub(crate) fn promoted_master(&self) -> Option<&'s NodeStatus> {
        let name = self.master()?;
        self.status.nodes.iter().find(|node| node.name == *name && self.is_promoted(node))
    }

    /// Whether it is as it should be, whatever else is amiss in the cluster.
    pub(crate) fn is_well(&self) -> bool {
        let is_amiss = |node: &NodeStatus| self.state(node) == Some(&NodeState::Failed);
        self.promoted_master().is_some()
            && self.target().is_none()
            && self.waiting().is_empty()
            && !self.status.nodes.iter().any(is_amiss)
    }
}

/// Whether there are others than `main`.
pub(crate) fn are_several(status: &Status) -> bool {
    status.groups.len() > 1
}

/// What stands before a sentence about a group: nothing where there is one.
pub(crate) fn mark(status: &Status, group: GroupIn<'_>) -> String {
    if are_several(status) { format!("{}: ", group.name()) } else { String::new() }
}

/// What a command needs to be for this group: nothing where there is one.
pub(crate) fn option(status: &Status, group: GroupIn<'_>) -> String {
    if are_several(status) { format!(" --group {}", group.name()) } else { String::new() }
}

/// The names of all groups.
pub(crate) fn names(status: &Status) -> String {
    let names: Vec<String> = GroupIn::all(status).iter().map(|group| group.name().to_string()).collect();
    names.join(", ")
}
