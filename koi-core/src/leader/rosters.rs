//! Who runs which group, as a leader tells its runners. It is put together with each heartbeat, and told to whoever reports another picture.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::group::GroupName;
use crate::limits;
use crate::roster::{RosterEntry, RosterPart};
use crate::types::{NodeId, Session, Term};

/// The rosters of all groups, and who was told of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rosters {
    /// None: this leader does not know yet how everyone is.
    groups: Option<BTreeMap<GroupName, Roster>>,
    /// With which heartbeat each run was told last: once is enough for each.
    told: BTreeMap<(NodeId, Session), u64>,
}

/// That of one group.
#[derive(Clone, Debug)]
struct Roster {
    nodes: Vec<RosterEntry>,
    digest: u32,
}

impl Rosters {
    /// How everyone is now. `silent`: nodes that are known and of which nothing has been heard since their last run ended; they stay where they were.
    pub(crate) fn set(
        &mut self,
        mut groups: BTreeMap<GroupName, Vec<RosterEntry>>,
        silent: impl Fn(NodeId) -> bool,
    ) {
        for (group, before) in self.groups.iter().flatten() {
            let nodes = groups.entry(group.clone()).or_default();
            let stays =
                |entry: &&RosterEntry| silent(entry.node) && nodes.iter().all(|e| e.node != entry.node);
            let left: Vec<RosterEntry> =
                before.nodes.iter().filter(stays).map(RosterEntry::disconnected).collect();
            nodes.extend(left);
            nodes.truncate(limits::NODES);
        }
        groups.retain(|_, nodes| !nodes.is_empty());
        let roster = |(group, nodes): (GroupName, Vec<RosterEntry>)| {
            let digest = digest(&nodes);
            (group, Roster { nodes, digest })
        };
        self.groups = Some(groups.into_iter().map(roster).collect());
        self.told.retain(|run, _| self.groups.iter().flat_map(BTreeMap::values).any(|r| r.names(run.0)));
    }

    /// What a run is to be told that runs these groups and has `picture`, if that is another one. `heartbeat`: the number of the newest.
    pub(crate) fn tell(
        &mut self,
        run: (NodeId, Session),
        groups: &[GroupName],
        picture: u32,
        heartbeat: u64,
        term: Term,
    ) -> Vec<RosterPart> {
        let Some(all) = &self.groups else { return Vec::new() };
        let rosters: Vec<_> = groups.iter().filter_map(|group| all.get_key_value(group)).collect();
        let newest =
            digest(&rosters.iter().map(|(group, roster)| (group, roster.digest)).collect::<Vec<_>>());
        if rosters.is_empty() || newest == picture || self.told.insert(run, heartbeat) == Some(heartbeat) {
            return Vec::new();
        }
        let parts = u16::try_from(rosters.len()).unwrap_or(u16::MAX);
        let part = |(part, (group, roster)): (u16, (&GroupName, &Roster))| RosterPart {
            term,
            picture: newest,
            part,
            parts,
            group: group.clone(),
            nodes: roster.nodes.clone(),
        };
        (0..parts).zip(rosters).map(part).collect()
    }
}

impl Roster {
    fn names(&self, node: NodeId) -> bool {
        self.nodes.iter().any(|entry| entry.node == node)
    }
}

/// Equal for what is equal; never 0. Nobody but the leader that made it has to come to the same. Reports have no room for more bits; of four thousand
/// million changes one may be told with the next.
fn digest(of: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}
