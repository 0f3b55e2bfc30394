//! What the attributes of all groups say, as the node acts on them: the cluster loop writes it, and everybody reads it without asking the loop.

use std::collections::BTreeMap;
use std::sync::Arc;

use koi_core::attributes::AttributesCopy;
use koi_core::group::GroupName;
use koi_core::node::Node;
use tokio::sync::watch;

type All = Arc<BTreeMap<GroupName, AttributesCopy>>;

/// The side that is told.
#[derive(Debug)]
pub(crate) struct BoardWriter(watch::Sender<All>);

/// The side that reads. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Board(watch::Receiver<All>);

/// The two sides; nothing was ever written.
pub(crate) fn board() -> (BoardWriter, Board) {
    let (writer, reader) = watch::channel(All::default());
    (BoardWriter(writer), Board(reader))
}

impl BoardWriter {
    /// What the node acts on now.
    pub(crate) fn show(&self, node: &Node) {
        self.0.send_if_modified(|shown| {
            let named = node.applied().attributes().map(|(group, which)| (group, which.changed));
            if named.eq(shown.iter().map(|(group, copy)| (group, copy.changed))) {
                return false;
            }
            *shown = Arc::new(all(node));
            true
        });
    }
}

fn all(node: &Node) -> BTreeMap<GroupName, AttributesCopy> {
    let names = node.applied().attributes().map(|(group, _)| group);
    let known = names.filter_map(|group| {
        let (which, attributes) = node.attributes(group)?;
        let copy = AttributesCopy { changed: which.changed, attributes: attributes.clone() };
        Some((group.clone(), copy))
    });
    known.collect()
}

impl Board {
    /// What a group's attributes say; none: nothing was ever written.
    pub(crate) fn read(&self, group: &GroupName) -> Option<AttributesCopy> {
        self.0.borrow().get(group).cloned()
    }

    /// Waits until a group's attributes are in another state than `version` ("TERM.N"; empty: nothing was written).
    pub(crate) async fn other_than(&mut self, group: &GroupName, version: &str) {
        let is_other = |all: &All| {
            let now = all.get(group).map(|copy| copy.changed.to_string());
            now.as_deref().unwrap_or_default() != version
        };
        // When the loop has ended nothing changes any more.
        if self.0.wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
