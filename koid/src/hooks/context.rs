//! What a handler is told of a call.

use koi_core::io::{Cause, HookRun};
use koi_core::roster::RosterEntry;
use koi_core::types::NodeState;
use koi_plugin_api as plugin;
use koi_plugin_api::{Circumstances, Context, Peer, PeerState};

use super::handlers::Runnable;
use super::identity::NodeIdentity;

pub(super) fn context(hook: HookRun, runnable: &Runnable, identity: &NodeIdentity) -> Context {
    let master = hook.master.map(|(name, address)| {
        let own = if name == identity.name { identity.address } else { None };
        let address = address.or(own).map(|ip| ip.to_string()).unwrap_or_default();
        (name, address)
    });
    let failure =
        |c: Cause| plugin::Failure { hook: c.hook, message: c.reason.to_string(), timed_out: c.timed_out };
    Context {
        service: hook.service,
        node: identity.name.clone(),
        node_id: identity.id.clone(),
        cluster: identity.cluster.clone(),
        call_id: hook.run.0,
        attempt: hook.attempt,
        role: hook.role,
        node_state: hook.state.as_classic_str().to_owned(),
        epoch: hook.epoch.0,
        master,
        timeout: hook.timeout,
        home: runnable.home.clone(),
        workdir: runnable.workdir.clone(),
        config: runnable.config.clone(),
        cause: hook.cause.map(failure),
        circumstances: Circumstances {
            reason: hook.reason,
            left: Some(hook.left),
            promoted_epoch: hook.promoted_epoch.0,
            previous: hook.previous.map(|(name, epoch)| (name, epoch.0)),
            group: (!hook.group.is_main()).then(|| hook.group.to_string()),
            peers: hook.peers.map(|peers| peers.into_iter().map(peer).collect()),
        },
        access: None,
    }
}

fn peer(entry: RosterEntry) -> Peer {
    let RosterEntry { node: _, name, state, promotable, score, address } = entry;
    let address = address.map(|ip| ip.to_string());
    Peer { name, state: state_of(state), promotable, score, address }
}

fn state_of(state: NodeState) -> PeerState {
    match state {
        NodeState::Failed => PeerState::Failed,
        // An elector that runs nothing is nobody's peer.
        NodeState::Disconnected | NodeState::Elector => PeerState::Disconnected,
        NodeState::Stopped => PeerState::Stopped,
        NodeState::Live => PeerState::Live,
        NodeState::Standby => PeerState::Standby,
        NodeState::Master => PeerState::Master,
    }
}
