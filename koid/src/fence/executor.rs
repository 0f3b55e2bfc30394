//! Carries out the fences that the core orders, and ends those that it wants no more.

use std::collections::BTreeMap;

use koi_child::group::NotedGroup;
use koi_core::fence::{FenceId, FenceOutcome, FenceRun};
use koi_core::io::Input;
use tokio::sync::{mpsc, oneshot};

use super::device::{Device, FenceError, GroupWatcher};
use crate::cluster::handle::Cluster;
use crate::config::current::SharedConfig;
use crate::guardian_client::client::Guardian;
use crate::hooks::process_groups::GroupKind;

/// What the core wants.
#[derive(Debug)]
pub(crate) enum FenceOrder {
    /// Turn a node off.
    Run(Box<FenceRun>),
    /// End it.
    End(FenceId),
}

/// The runs of fences, for the guardian: beyond those of hooks.
const RUNS: u64 = 1 << 63;

/// See the module.
pub(crate) struct FenceExecutor {
    pub(crate) orders: mpsc::UnboundedReceiver<FenceOrder>,
    pub(crate) shared: SharedConfig,
    pub(crate) cluster: Cluster,
    pub(crate) guardian: Guardian,
}

impl FenceExecutor {
    /// Until the cluster loop has ended. What runs then is killed.
    pub(crate) async fn run(mut self) {
        // The core has one at a time; one that was ended may not be gone yet.
        let mut wanted: BTreeMap<FenceId, oneshot::Sender<()>> = BTreeMap::new();
        while let Some(order) = self.orders.recv().await {
            match order {
                FenceOrder::Run(run) => {
                    wanted.retain(|_, wanted| !wanted.is_closed());
                    let (keep, ended) = oneshot::channel();
                    wanted.insert(run.id, keep);
                    tokio::spawn(self.turn_off(*run, ended));
                }
                FenceOrder::End(id) => drop(wanted.remove(&id)),
            }
        }
    }

    fn turn_off(
        &self,
        run: FenceRun,
        ended: oneshot::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (shared, cluster) = (self.shared.clone(), self.cluster.clone());
        let watcher = Box::new(Watcher { run: RUNS | run.id.number, guardian: self.guardian.clone() });
        async move {
            let ended = async { _ = ended.await };
            let id = run.id;
            let outcome = match attempt(run, shared, watcher, ended).await {
                Ok(()) => FenceOutcome::Off,
                Err(error) => FenceOutcome::Failed(error.to_string()),
            };
            cluster.input(Input::FenceEnded { id, outcome }).await;
        }
    }
}

async fn attempt(
    run: FenceRun,
    shared: SharedConfig,
    watcher: Box<Watcher>,
    ended: impl Future<Output = ()>,
) -> Result<(), FenceError> {
    let (name, config) = (run.name.clone(), shared.get());
    // The password's disk may hang.
    let device = tokio::task::spawn_blocking(move || Device::of(config.config.fence.as_ref(), &name));
    let device = device.await.unwrap_or(Err(FenceError::Ended))?;
    device.watched_by(watcher).turn_off(run.limit, ended).await
}

/// The guardian kills what runs when koid is dead: nobody would believe its success, and it must not go on for longer than the others wait.
struct Watcher {
    run: u64,
    guardian: Guardian,
}

impl GroupWatcher for Watcher {
    fn began(&self, id: i32) {
        self.guardian.group_began(self.run, NotedGroup::now(id), GroupKind::Plain);
    }

    fn gone(&self, id: i32) {
        self.guardian.group_gone(self.run, id);
    }
}
