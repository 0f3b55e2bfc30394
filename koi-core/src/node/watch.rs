//! What the guardian of this node is told (rule R8).

use std::collections::BTreeMap;

use crate::guard::{ServiceLevel, Watch};
use crate::node::Node;

impl Node {
    /// What a guardian is to watch.
    pub fn watch(&self) -> Watch {
        let around = self.node_context(self.now());
        if self.settings.runner && self.runner.is_in_maintenance(&self.settings, &around) {
            return Watch::Frozen;
        }
        let Some(held) = self.runner.lease() else { return Watch::Nothing };
        let Some(by) = held.lost() else { return Watch::Lease { ends: held.ends(), epoch: held.epoch() } };
        // When the grace is over the daemon has done what it can, and is Failed.
        match !held.is_fenced() && self.runner.services().maybe_promoted() {
            true => Watch::Demoting { by, epoch: held.epoch() },
            false => Watch::Nothing,
        }
    }

    /// The services that are up, by name; those that are not in it are down.
    pub fn service_levels(&self) -> BTreeMap<String, ServiceLevel> {
        self.runner.services().levels()
    }
}
