//! What a call needs that is the same for every call, made before it comes: to make it takes longer than a small hook.

use std::sync::Arc;

use koi_plugin_api::{Hook, abort_pair};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::call::{GuestService, guest, new_store};
use crate::backend::wasm::guest::run::data::{Guest, GuestCall};
use crate::backend::wasm::limits::MemoryMark;

/// A new store, and a new instance in it, for one call that has not come yet. Nothing of the guest has run in it.
pub(crate) struct Prepared {
    store: Store<Guest>,
    /// None: to make one runs something of the guest, which is a part of its call.
    instance: Option<Instance>,
    memory: MemoryMark,
}

impl Prepared {
    /// For the next call. None: that makes it itself, and says why it cannot.
    pub(crate) async fn make(service: &GuestService, link: &Arc<Link>) -> Option<Prepared> {
        // Folders are opened when the call comes: they may be others by then.
        if service.grants.directories().next().is_some() {
            return None;
        }
        let memory = MemoryMark::default();
        let (_aborter, abort) = abort_pair();
        let (link, deadline) = (link.clone(), Instant::now());
        let nobody = GuestCall { link, deadline, abort, epoch: 0, test: None, memory: memory.clone() };
        let guest = guest(service, Hook::Status, nobody).ok()?;
        let mut store = new_store(&service.machine, guest);
        let instance = match service.runs_when_made {
            true => None,
            false => Some(service.component.instantiate(&mut store).await.ok()?),
        };
        Some(Prepared { store, instance, memory })
    }

    /// How far the memory of the instance has grown.
    pub(crate) fn memory(&self) -> MemoryMark {
        self.memory.clone()
    }

    /// Gives it to a call, whose memory is this one's.
    pub(super) fn of(self, call: GuestCall) -> (Store<Guest>, Option<Instance>) {
        let Prepared { mut store, instance, .. } = self;
        store.data_mut().call = call;
        (store, instance)
    }
}
