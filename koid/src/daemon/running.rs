//! The daemon while it runs: its tasks, its signals, and how it ends.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use koi_core::io::Input;
use koi_core::types::{NodeId, Session};
use koi_core::view::View;
use koi_plugin_api::NewestEpoch;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::reload::Reloader;
use super::reload_queue::answer_reloads;
use super::startup_retry::Signals;
use crate::api::{self, Api, LocalListener, ReloadRequest};
use crate::attributes::board::Board;
use crate::attributes::live_calls::LiveCalls;
use crate::attributes::store::AttributesStore;
use crate::cluster::event_loop::LoopEnd;
use crate::cluster::handle::Cluster;
use crate::cluster::requester::Requester;
use crate::config::current::SharedConfig;
use crate::hooks::attributes::HookAttributes;
use crate::hooks::details::Details;
use crate::hooks::drilled::DrilledStatuses;
use crate::hooks::executor::{HookCommand, HookExecutor};
use crate::hooks::handlers::Handlers;
use crate::hooks::process_groups::{KillOnDrop, ProcessGroups};
use crate::hooks::processes::Processes;
use crate::reporting::events::{EventHub, unix_ms};
use crate::reporting::{systemd, waiting};
use crate::services::scan_requests::ScanRequests;
use crate::services::scan_results::ScanResults;
use crate::services::watch::Services;

/// How long plugins are waited for before the log says that a signal was heeded.
const SIGNALLED_WAIT: Duration = Duration::from_secs(4);
/// Reloads that wait.
const RELOADS: usize = 8;

/// The exit code when the cluster loop has died (EX_SOFTWARE of sysexits.h): whoever restarts koid can tell.
const EXIT_DIED: u8 = 70;

/// The daemon is to be started again as the same process.
pub(super) const BEGIN_AGAIN: u8 = 75;

/// The parts that are put together.
pub(super) struct Daemon {
    pub(super) id: NodeId,
    pub(super) port: u16,
    pub(super) hub: EventHub,
    pub(super) newest_epoch: NewestEpoch,
    /// What the attributes say.
    pub(super) board: Board,
    /// The run before this one on this machine.
    pub(super) follows: Option<Session>,
    pub(super) reload: Reloader,
}

impl Daemon {
    pub(super) fn run(
        self,
        runtime: &Runtime,
        (hooks_wanted, scan_requests): (mpsc::UnboundedReceiver<HookCommand>, ScanRequests),
        tcp: Vec<TcpListener>,
        socket: LocalListener,
        (end, wait_for_guardian): (oneshot::Receiver<LoopEnd>, impl FnOnce() + Send + 'static),
        signals: Signals,
    ) -> ExitCode {
        // However this ends, by a panic too, no hook outlives it.
        let groups = ProcessGroups::default();
        let _kill = KillOnDrop(groups.clone());
        let handlers = Handlers::default();
        let Reloader { cluster, shared, plugins, scan_trigger, .. } = self.reload.clone();
        let (details, findings) = (Details::default(), ScanResults::default());
        let drilled = DrilledStatuses::default();
        let (processes, process_ends) = Processes::new();
        runtime.spawn(cluster.clone().report_process_ends(process_ends));
        let attributes = HookAttributes {
            calls: LiveCalls::new(api_socket(&shared)),
            store: AttributesStore {
                me: self.id,
                cluster: cluster.clone(),
                board: self.board.clone(),
                shared: shared.clone(),
            },
        };
        let hooks = HookParts {
            handlers: handlers.clone(),
            groups,
            details: details.clone(),
            drilled: drilled.clone(),
            processes: processes.clone(),
            attributes: attributes.clone(),
        };
        self.spawn_hooks(runtime, hooks_wanted, hooks);
        let (reloads, wanted) = mpsc::channel(RELOADS);
        let api = Api {
            me: self.id,
            cluster: cluster.clone(),
            hub: self.hub.clone(),
            shared: shared.clone(),
            reload: reloads.clone(),
            plugins: plugins.clone(),
            scan_trigger,
            details,
            processes: processes.clone(),
            statistics: handlers.statistics(),
            findings: findings.clone(),
            drilled,
            live_calls: attributes.calls,
            attributes: attributes.store,
            file: self.reload.path.clone(),
            port: self.port,
            started_at: unix_ms() / 1000,
        };
        runtime.spawn(served("the API's socket", api::serve_local(api.clone(), socket)));
        runtime.spawn(served("the API's TCP port", api::serve_sealed(api, tcp)));
        let file = self.reload.path.clone();
        let (told, follows) = (cluster.clone(), self.follows);
        let services = Services::new(
            shared,
            (handlers.clone(), processes),
            plugins.clone(),
            cluster,
            (scan_requests, findings),
            file,
        );
        let code = runtime.block_on(async {
            tokio::spawn(answer_reloads(self.reload.clone(), wanted));
            tokio::spawn(run_services(services, wait_for_guardian, follows, told));
            match self.watch(&reloads, end, signals).await {
                Ok(code) => code,
                Err(error) => {
                    tracing::error!("signals cannot be received: {error}");
                    ExitCode::FAILURE
                }
            }
        });
        // Helpers of native plugins end in order.
        handlers.clear();
        plugins.get().close();
        code
    }

    fn spawn_hooks(
        &self,
        runtime: &Runtime,
        orders: mpsc::UnboundedReceiver<HookCommand>,
        HookParts { handlers, groups, details, drilled, processes, attributes }: HookParts,
    ) {
        let (ended, ends) = mpsc::unbounded_channel();
        let executor = HookExecutor {
            orders,
            handlers,
            identity: self.reload.identity.clone(),
            groups,
            ended,
            newest_epoch: self.newest_epoch.clone(),
            details,
            drilled,
            processes: Some(processes),
            guardian: Some(self.reload.guardian.clone()),
            attributes: Some(attributes),
        };
        runtime.spawn(executor.run());
        runtime.spawn(self.reload.cluster.clone().report_hooks(ends));
    }

    /// Until the cluster loop has ended.
    async fn watch(
        &self,
        reloads: &mpsc::Sender<ReloadRequest>,
        mut end: oneshot::Receiver<LoopEnd>,
        Signals { mut term, mut int }: Signals,
    ) -> std::io::Result<ExitCode> {
        let cluster = &self.reload.cluster;
        let (mut hup, mut usr1) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        let mut alive = tokio::time::interval(systemd::interval());
        let mut stopping = false;
        systemd::ready();
        loop {
            tokio::select! {
                ended = &mut end => return Ok(self.ended(ended.ok())),
                name = either(&mut term, "SIGTERM", &mut int, "SIGINT") => {
                    if stopping {
                        say_what_is_waited_for(cluster, name).await;
                    } else {
                        stopping = true;
                        tracing::info!("{name}: taking services down and leaving");
                        systemd::stopping();
                        cluster.shutdown().await;
                    }
                }
                name = either(&mut hup, "SIGHUP", &mut usr1, "SIGUSR1") => {
                    tracing::info!("{name}: reading the configuration again");
                    // Said in the log; nobody else waits for it. If too many wait already, one of them does it.
                    let _ = reloads.try_send(ReloadRequest {
                        reply: oneshot::channel().0,
                        requester: Requester::default(),
                        wait: SIGNALLED_WAIT,
                    });
                }
                _ = alive.tick() => {
                    if let Some(look) = cluster.snapshot().await {
                        systemd::alive(&look.view);
                    }
                }
            }
        }
    }

    fn ended(&self, end: Option<LoopEnd>) -> ExitCode {
        match end {
            Some(LoopEnd::Left) => {
                tracing::info!("{} has left", self.reload.shared.get().config.node.name);
                return ExitCode::SUCCESS;
            }
            Some(LoopEnd::BeginAgain) => return ExitCode::from(BEGIN_AGAIN),
            None => {}
        }
        tracing::error!(
            "the cluster loop has died; this is a fault of koid. Its last words are on standard error"
        );
        ExitCode::from(EXIT_DIED)
    }
}

async fn either(a: &mut Signal, a_name: &'static str, b: &mut Signal, b_name: &'static str) -> &'static str {
    tokio::select! {
        _ = a.recv() => a_name,
        _ = b.recv() => b_name,
    }
}

async fn served(what: &str, server: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = server.await {
        tracing::error!("{what} is not served any more: {error}; restart koid");
    }
}

async fn say_what_is_waited_for(cluster: &Cluster, name: &str) {
    match cluster.snapshot().await {
        Some(look) => tracing::warn!("{name} again: still waiting for {}", unfinished(&look.view)),
        None => tracing::warn!("{name} again: the cluster loop does not answer"),
    }
}

/// What keeps the daemon from ending.
fn unfinished(view: &View) -> String {
    let running = |s: &koi_core::view::ServiceView| {
        s.hook.map(|(hook, since)| format!("{} of {} (for {} s)", hook.as_str(), s.name, since.as_secs()))
    };
    let mut all: Vec<String> = view.own_services().map(|(_, service)| service).filter_map(running).collect();
    all.extend(view.waiting.iter().map(waiting::sentence));
    if all.is_empty() { "the farewell; SIGKILL ends it at once".to_owned() } else { all.join("; ") }
}

/// What hooks share with the rest of the daemon.
struct HookParts {
    handlers: Handlers,
    groups: ProcessGroups,
    details: Details,
    drilled: DrilledStatuses,
    processes: Processes,
    attributes: HookAttributes,
}

/// Where scripts find the API, wherever they run.
fn api_socket(shared: &SharedConfig) -> PathBuf {
    let socket = shared.get().config.node.socket.clone();
    std::path::absolute(&socket).unwrap_or(socket)
}

/// Watches services once a guardian stands (R8). `follows` is the run before this one on this machine.
async fn run_services(
    services: Services,
    wait_for_guardian: impl FnOnce() + Send + 'static,
    follows: Option<Session>,
    cluster: Cluster,
) {
    // The cluster loop votes meanwhile.
    let _ = tokio::task::spawn_blocking(wait_for_guardian).await;
    if let Some(before) = follows {
        // Its guardian has gone too.
        cluster.input(Input::Follows(before)).await;
    }
    services.run().await;
}
