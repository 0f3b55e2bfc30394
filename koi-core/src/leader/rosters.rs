//! Who runs which group, as a leader tells its runners. It is put together with each heartbeat, and told to whoever reports another picture.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::group::GroupName;
use crate::limits;
use crate::roster::{RosterEntry, RosterPart};
use crate::types::{NodeId, Session, Term, Time, Version};

/// Without news they are put together once in so long all the same: a few things change by time alone.
const RENEWED_AFTER: Duration = Duration::from_secs(1);

/// The rosters of all groups, and who was told of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rosters {
    /// On what they were put together, and when.
    basis: Option<(Basis, Time)>,
    /// A report has said something new since.
    news: bool,
    /// None: this leader does not know yet how everyone is.
    groups: Option<BTreeMap<GroupName, Roster>>,
    /// With which heartbeat each run was told last: once is enough for each.
    told: BTreeMap<(NodeId, Session), u64>,
}

/// What nearly all of them follows from, besides the reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basis {
    /// The newest record, and the one that counts.
    pub(crate) record: (Version, Version),
    /// The runs that are heard.
    pub(crate) heard: Vec<(NodeId, Session)>,
}

/// That of one group.
#[derive(Clone, Debug)]
struct Roster {
    nodes: Vec<RosterEntry>,
    digest: u32,
}

impl Rosters {
    /// A report says something else than the one before it.
    pub(crate) fn note_news(&mut self) {
        self.news = true;
    }

    /// Whether they are to be put together anew.
    pub(crate) fn are_due(&self, basis: &Basis, now: Time) -> bool {
        let stand = |(before, at): &(Basis, Time)| before == basis && now.since(*at) < RENEWED_AFTER;
        self.news || !self.basis.as_ref().is_some_and(stand)
    }

    /// How everyone is now. `silent`: nodes that are known and of which nothing has been heard since their last run ended; they stay where they were.
    pub(crate) fn set(
        &mut self,
        mut groups: BTreeMap<GroupName, Vec<RosterEntry>>,
        silent: impl Fn(NodeId) -> bool,
        (basis, now): (Basis, Time),
    ) {
        (self.basis, self.news) = (Some((basis, now)), false);
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

    /// What a run is to be told that runs these groups and has `picture`, if that is another one. It is told once with each heartbeat.
    pub(crate) fn tell<'g>(
        &mut self,
        run: (NodeId, Session),
        groups: impl Iterator<Item = &'g GroupName> + Clone,
        picture: u32,
        (term, heartbeat): (Term, u64),
    ) -> Vec<RosterPart> {
        let Some(all) = &self.groups else { return Vec::new() };
        let rosters = groups.filter_map(|group| all.get_key_value(group));
        let newest = picture_of(rosters.clone());
        if newest == picture || self.told.insert(run, heartbeat) == Some(heartbeat) {
            return Vec::new();
        }
        let rosters: Vec<_> = rosters.collect();
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

/// The number of a picture of these groups.
fn picture_of<'r>(rosters: impl Iterator<Item = (&'r GroupName, &'r Roster)>) -> u32 {
    let mut hasher = DefaultHasher::new();
    for (group, roster) in rosters {
        (group, roster.digest).hash(&mut hasher);
    }
    (hasher.finish() as u32).max(1)
}

/// Equal for what is equal; never 0. Nobody but the leader that made it has to come to the same. Reports have no room for more bits; of four thousand
/// million changes one may be told with the next.
fn digest(of: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}
