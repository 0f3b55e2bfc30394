//! How the cluster is, and what its daemons have asked for.

use koi_core::message::Message;
use koi_core::record::{Record, StateOrigin};
use koi_core::types::{NodeId, NodeState, ServiceState};
use koi_core::view::{ServiceView, View};

use super::Cluster;
use crate::world::{Recorder, Seen};

impl Cluster {
    /// What a node says of the cluster.
    pub fn view(&self, m: usize) -> View {
        self.world.view(m).expect("its daemon runs")
    }

    /// Who has promoted everything.
    pub fn master(&self) -> Option<usize> {
        (0..self.machines.len()).find(|m| {
            self.world.view(*m).is_some_and(|view| {
                view.nodes[0].state == NodeState::Master
                    && !view.services.is_empty()
                    && view.services.iter().all(|s| s.state == ServiceState::Promoted)
            })
        })
    }

    /// A runner that is not master.
    pub fn standby(&self) -> usize {
        let master = self.master();
        (0..self.machines.len())
            .find(|m| Some(*m) != master && self.machines[*m].core.is_some())
            .expect("there are others")
    }

    /// The services that really are promoted on a machine.
    pub fn promoted(&self, m: usize) -> Vec<&str> {
        let services = self.machines[m].services.iter();
        services.filter(|(_, real)| real.promoted).map(|(name, _)| name.as_str()).collect()
    }

    /// A node's identity.
    pub fn id(&self, m: usize) -> NodeId {
        self.machines[m].disk.id.expect("it was given one")
    }

    /// A node's name.
    pub fn name(&self, m: usize) -> String {
        self.machines[m].settings.name.clone()
    }

    /// Where the state on a machine's disk is from.
    pub fn origin(&self, m: usize) -> StateOrigin {
        self.machines[m].disk.synced.as_ref().map_or(StateOrigin::Empty, |d| d.origin)
    }

    /// A node's own word of its state.
    pub fn node_state(&self, m: usize) -> NodeState {
        self.view(m).nodes[0].state
    }

    /// A node's own word of a service.
    pub fn service(&self, m: usize, name: &str) -> ServiceView {
        self.view(m).services.into_iter().find(|s| s.name == name).expect("the service is there")
    }

    /// The record that counts, as the leader has it.
    pub fn record(&self) -> Record {
        self.view(self.leader().expect("someone leads")).record
    }

    // --- what was recorded ---

    /// What daemons have asked for, to be forgotten.
    pub fn recorder(&mut self) -> &mut Recorder {
        self.recorder.as_mut().expect("everything is recorded")
    }

    /// What the daemons of a machine have asked for.
    pub fn seen(&self, m: usize) -> &Seen {
        &self.recorder.as_ref().expect("everything is recorded").machines[m]
    }

    /// What daemons have said of late, and which.
    pub fn sent(&self) -> &[(usize, Message)] {
        &self.recorder.as_ref().expect("everything is recorded").sent
    }

    /// The hooks that began since last asked, but for `status`.
    pub fn began(&mut self, m: usize) -> Vec<String> {
        let mut began = std::mem::take(&mut self.recorder().machines[m].began);
        began.retain(|hook| !hook.ends_with(".status"));
        began
    }

    /// How many events of this kind were told since last forgotten.
    pub fn count(&self, m: usize, kind: &str) -> usize {
        self.seen(m).events.iter().filter(|e| e.kind() == kind).count()
    }

    /// What was told is forgotten.
    pub fn forget_events(&mut self) {
        self.recorder().machines.iter_mut().for_each(|seen| seen.events.clear());
    }

    /// What happened last, for people.
    pub fn story(&self) -> String {
        let from = self.story.len().saturating_sub(100);
        self.story[from..].join("\n")
    }
}
