//! Puts the daemon together, keeps it running, and ends it in order.

pub(crate) mod reload;
mod startup_retry;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use koi_core::io::{Boot, Input};
use koi_core::types::{NodeId, Session};
use koi_core::view::View;
use koi_plugin_api::NewestEpoch;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::api::{self, Api, LocalListener, ReloadError, ReloadRequest};
use crate::args::Args;
use crate::cluster::event_loop::{self, Cluster, End, Parts};
use crate::cluster::requester::Giver;
use crate::cluster::sockets;
use crate::config::current::{Current, Shared};
use crate::config::exposure as strangers;
use crate::config::load;
use crate::daemon::reload::{InForce, Reload};
use crate::daemon::startup_retry::{NotDone, Passing, Signals, Wait};
use crate::guardian_client::client::{Guardian, Heard};
use crate::hooks::details::Details;
use crate::hooks::executor::{Groups, Handlers, HookCommand, HookExecutor, KillOnDrop};
use crate::os::sys;
use crate::reporting::events::{EventHub, unix_ms};
use crate::reporting::log;
use crate::reporting::log::Sink;
use crate::reporting::say;
use crate::reporting::systemd as notify;
use crate::services::plugins::Plugins;
use crate::services::watch::{LookNow, Looks, Services};
use crate::storage::store::Store;

/// Threads beside the cluster thread: hooks, the API, and what blocks has threads of its own.
const WORKERS: usize = 2;
/// How long plugins are waited for before the log says that a signal was heeded.
const SIGNALLED_WAIT: Duration = Duration::from_secs(4);
/// Reloads that wait.
const RELOADS: usize = 8;
/// How long work that blocks may take to end with the daemon.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// The exit code when the cluster loop has died (EX_SOFTWARE of sysexits.h): whoever restarts koid can tell.
const EXIT_DIED: u8 = 70;

/// The daemon is to be started again as the same process.
const BEGIN_AGAIN: u8 = 75;

/// Why the daemon cannot start.
type Fatal = Box<dyn std::error::Error>;

/// Runs the daemon to its end.
pub(crate) fn run(args: &Args) -> ExitCode {
    let loaded = match load::load(args.file.as_deref(), args.name.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            say::error(&format!("{error}\nkoid: not started; `koid --check` says all that is wrong"));
            return ExitCode::FAILURE;
        }
    };
    log::set_level(reload::level(&loaded.config, args.debug));
    let _logging = match log::start(&args.log, args.no_color) {
        Ok(logging) => logging,
        Err(error) => {
            say::error(&format!("koid: cannot start the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{}", warning.in_one_line()));
    start(args, loaded).unwrap_or_else(|error| {
        tracing::error!("not started: {error}");
        if !args.log.contains(&Sink::Console) {
            // Whoever starts it by hand should not have to look into the journal.
            say::error(&format!("koid: not started: {error}"));
        }
        ExitCode::FAILURE
    })
}

fn start(args: &Args, loaded: koi_config::Loaded) -> Result<ExitCode, Fatal> {
    let current = Current::new(loaded.config)?;
    let config = &current.config;
    if let Some(closed) = strangers::prepare_state(&config.node.state_dir)? {
        tracing::warn!("{closed}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let mut wait = Wait::new(&mut signals);
    let Some((store, opened)) = patiently(&runtime, &mut wait, || Store::open(&config.node.state_dir))?
    else {
        return Ok(ExitCode::SUCCESS);
    };
    if let Some((aside, why)) = &opened.damaged {
        tracing::error!(
            "the state in {} is damaged: {why}. It was moved to {}; this node joins as one without a record",
            config.node.state_dir.display(),
            aside.display()
        );
    }
    if opened.restored {
        tracing::warn!(
            "the state in {} is older than this node's identity: it was restored from a backup. This node joins as one without a record",
            config.node.state_dir.display()
        );
    }
    let addresses = sockets::addresses(config.node.bind, &config.cluster.transport);
    let node = &config.node;
    let bind = || sockets::bind(&addresses, node.bind_zone, node.port, node.increment_port);
    let Some(bound) = patiently(&runtime, &mut wait, bind)? else { return Ok(ExitCode::SUCCESS) };
    let Some(socket) = patiently(&runtime, &mut wait, || LocalListener::open(&config.node.socket))? else {
        return Ok(ExitCode::SUCCESS);
    };
    if let Err(error) = sys::lock_memory() {
        tracing::info!(
            "memory is not locked ({error}): swapping may cost leases. CAP_IPC_LOCK and LimitMEMLOCK allow it"
        );
    }
    tracing::info!(
        "koid {} is {} ({}), run {}, port {}, configuration {}",
        env!("CARGO_PKG_VERSION"),
        config.node.name,
        opened.id,
        opened.session,
        bound.port,
        loaded.path.display()
    );
    let hub = EventHub::new();
    let (orders, hooks_wanted) = mpsc::unbounded_channel();
    let newest_epoch = NewestEpoch::default();
    let (id, session) = (opened.id, opened.session);
    let (heard, mut hearing) = mpsc::unbounded_channel();
    let (guardian, wait_for_guardian) = Guardian::start(args, config, id.to_string(), heard)?;
    let (cluster, end) = event_loop::start(Parts {
        settings: current.settings.clone(),
        boot: Boot {
            id,
            session,
            durable: opened.durable,
            damaged: opened.damaged.is_some(),
            now: sys::now(),
        },
        sockets: bound.udp,
        wire: current.wire(),
        disk: store,
        fence: config.node.fence,
        hub: hub.clone(),
        guardian: guardian.clone(),
        orders,
        newest_epoch: newest_epoch.clone(),
    })?;
    let told = cluster.clone();
    runtime.spawn(async move {
        while let Some(heard) = hearing.recv().await {
            let input = match heard {
                Heard::Armed(armed) => Input::Armed(armed),
                Heard::Guarded(guarded) => Input::Guarded(guarded),
            };
            told.input(input).await;
        }
    });
    let identity = Arc::new(RwLock::new(reload::identity(config, &id.to_string())));
    let (look_now, looks) = LookNow::new();
    let plugins = Plugins::new(config);
    let shared = Shared::new(current);
    let reload = Reload {
        path: loaded.path,
        name: args.name.clone(),
        debug: args.debug,
        shared,
        cluster,
        identity,
        look_now,
        guardian: guardian.clone(),
        plugins,
    };
    let follows = opened.before.follows;
    let daemon = Daemon { id, port: bound.port, hub, newest_epoch, follows, reload };
    let asked = (hooks_wanted, looks);
    let code = daemon.run(&runtime, asked, bound.tcp, socket, (end, wait_for_guardian), signals);
    let again = code == ExitCode::from(BEGIN_AGAIN);
    if again || code == ExitCode::SUCCESS {
        guardian.bye();
    }
    // A component that is being compiled, or a disk that hangs, is not waited for.
    runtime.shutdown_timeout(END_TIMEOUT);
    if again {
        return Err(sys::execute_anew().into());
    }
    Ok(code)
}

/// Does what may have to be waited for; none: a signal asked for the end meanwhile.
fn patiently<T, E: Passing + std::error::Error + 'static>(
    runtime: &Runtime,
    wait: &mut Wait<'_>,
    attempt: impl FnMut() -> Result<T, E>,
) -> Result<Option<T>, Fatal> {
    match runtime.block_on(wait.until_done(attempt)) {
        Ok(done) => Ok(Some(done)),
        Err(NotDone::Failed(error)) => Err(error.into()),
        Err(NotDone::Told) => {
            tracing::info!("asked to end before anything was started");
            Ok(None)
        }
    }
}

/// The parts that are put together.
struct Daemon {
    id: NodeId,
    port: u16,
    hub: EventHub,
    newest_epoch: NewestEpoch,
    /// The run before this one on this machine.
    follows: Option<Session>,
    reload: Reload,
}

impl Daemon {
    fn run(
        self,
        runtime: &Runtime,
        (hooks_wanted, looks): (mpsc::UnboundedReceiver<HookCommand>, Looks),
        tcp: Vec<TcpListener>,
        socket: LocalListener,
        (end, wait_for_guardian): (oneshot::Receiver<End>, impl FnOnce() + Send + 'static),
        signals: Signals,
    ) -> ExitCode {
        // However this ends, by a panic too, no hook outlives it.
        let groups = Groups::default();
        let _kill = KillOnDrop(groups.clone());
        let handlers = Handlers::default();
        let Reload { cluster, shared, identity, guardian, plugins, look_now, .. } = self.reload.clone();
        let details = Details::default();
        let runner = HookExecutor {
            orders: hooks_wanted,
            handlers: handlers.clone(),
            identity,
            groups,
            cluster: cluster.clone(),
            newest_epoch: self.newest_epoch.clone(),
            details: details.clone(),
            guardian: Some(guardian),
        };
        runtime.spawn(runner.run());
        let (reloads, wanted) = mpsc::channel(RELOADS);
        let api = Api {
            me: self.id,
            cluster: cluster.clone(),
            hub: self.hub.clone(),
            shared: shared.clone(),
            reload: reloads.clone(),
            plugins: plugins.clone(),
            look_now,
            details: details.clone(),
            port: self.port,
            started_at: unix_ms() / 1000,
        };
        runtime.spawn(served("the API's socket", api::serve_local(api.clone(), socket)));
        runtime.spawn(served("the API's TCP port", api::serve_sealed(api, tcp)));
        let file = self.reload.path.clone();
        let (told, follows) = (cluster.clone(), self.follows);
        let services =
            Services::new(shared, handlers.clone(), plugins.clone(), cluster, (looks, details), file);
        let code = runtime.block_on(async {
            tokio::spawn(answer_reloads(self.reload.clone(), wanted));
            tokio::spawn(async move {
                // R8: nothing is started before a guardian stands; the cluster loop votes meanwhile.
                let _ = tokio::task::spawn_blocking(wait_for_guardian).await;
                if let Some(before) = follows {
                    // Its guardian has gone too.
                    told.input(Input::Follows(before)).await;
                }
                services.run().await;
            });
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

    /// Until the cluster loop has ended.
    async fn watch(
        &self,
        reloads: &mpsc::Sender<ReloadRequest>,
        mut end: oneshot::Receiver<End>,
        Signals { mut term, mut int }: Signals,
    ) -> std::io::Result<ExitCode> {
        let cluster = &self.reload.cluster;
        let (mut hup, mut usr1) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        let mut alive = tokio::time::interval(notify::interval());
        let mut stopping = false;
        notify::ready();
        loop {
            tokio::select! {
                ended = &mut end => return Ok(self.ended(ended.ok())),
                name = either(&mut term, "SIGTERM", &mut int, "SIGINT") => {
                    if stopping {
                        say_what_is_waited_for(cluster, name).await;
                    } else {
                        stopping = true;
                        tracing::info!("{name}: taking services down and leaving");
                        notify::stopping();
                        cluster.shutdown().await;
                    }
                }
                name = either(&mut hup, "SIGHUP", &mut usr1, "SIGUSR1") => {
                    tracing::info!("{name}: reading the configuration again");
                    // Said in the log; nobody else waits for it. If too many wait already, one of them does it.
                    let _ = reloads.try_send(ReloadRequest {
                        reply: oneshot::channel().0,
                        giver: Giver::default(),
                        wait: SIGNALLED_WAIT,
                    });
                }
                _ = alive.tick() => {
                    if let Some(look) = cluster.look().await {
                        notify::alive(&look.view);
                    }
                }
            }
        }
    }

    fn ended(&self, end: Option<End>) -> ExitCode {
        match end {
            Some(End::Left) => {
                tracing::info!("{} has left", self.reload.shared.get().config.node.name);
                return ExitCode::SUCCESS;
            }
            Some(End::BeginAgain) => return ExitCode::from(BEGIN_AGAIN),
            None => {}
        }
        tracing::error!(
            "the cluster loop has died; this is a fault of koid. Its last words are on standard error"
        );
        ExitCode::from(EXIT_DIED)
    }
}

/// Reloads as often as it is asked to, one after the other.
async fn answer_reloads(reload: Reload, mut wanted: mpsc::Receiver<ReloadRequest>) {
    while let Some(asked) = wanted.recv().await {
        if !asked.giver.waits(sys::now()) {
            let _ = asked.reply.send(Err(ReloadError::NotBegun));
            continue;
        }
        notify::reloading();
        let result = reload.run().await;
        notify::ready();
        tokio::spawn(answer_reload(result, asked));
    }
}

/// Says what came of a reload. Plugins may take long to be compiled: no other reload waits for that.
async fn answer_reload(result: Result<InForce, String>, asked: ReloadRequest) {
    let done = match result {
        Ok(in_force) => Ok(in_force.within(asked.wait).await),
        Err(why) => Err(ReloadError::NotTaken(why)),
    };
    match &done {
        Ok(done) => {
            tracing::info!("{}", done.message);
            done.notes.iter().for_each(|note| tracing::warn!("{note}"));
        }
        Err(why) => tracing::error!("{why}"),
    }
    // Whoever asked may have gone.
    let _ = asked.reply.send(done);
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
    match cluster.look().await {
        Some(look) => tracing::warn!("{name} again: still waiting for {}", unfinished(&look.view)),
        None => tracing::warn!("{name} again: the cluster loop does not answer"),
    }
}

/// What keeps the daemon from ending.
fn unfinished(view: &View) -> String {
    let running = |s: &koi_core::view::ServiceView| {
        s.hook.map(|(hook, since)| format!("{} of {} (for {} s)", hook.as_str(), s.name, since.as_secs()))
    };
    let mut all: Vec<String> = view.services.iter().filter_map(running).collect();
    all.extend(view.waiting.iter().map(api::sentence));
    if all.is_empty() { "the farewell; SIGKILL ends it at once".to_owned() } else { all.join("; ") }
}
