//! Puts the daemon together, keeps it running, and ends it in order.

pub(crate) mod pid1;
mod reload;
mod reload_queue;
mod resources;
mod running;
mod startup_retry;

use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use koi_core::io::{Boot, Input, Readiness};
use koi_plugin_api::NewestEpoch;
use tokio::sync::mpsc;

use self::reload::Reloader;
use self::resources::{Fatal, Resources};
use self::running::{BEGIN_AGAIN, Daemon};
use self::startup_retry::Signals;
use crate::args::Args;
use crate::attributes::board::board;
use crate::cluster::event_loop::{self, LoopParts};
use crate::cluster::handle::Cluster;
use crate::config::current::{ActiveConfig, SharedConfig};
use crate::config::{exposure, load, settings};
use crate::fence::executor::FenceExecutor;
use crate::guardian_client::client::{Guardian, GuardianReport};
use crate::hooks::identity::NodeIdentity;
use crate::os::sys;
use crate::reporting::events::EventHub;
use crate::reporting::log::{self, Sink};
use crate::reporting::say;
use crate::services::plugins::Plugins;
use crate::services::scan_requests::ScanTrigger;

/// Threads beside the cluster thread: hooks, the API, and what blocks has threads of its own.
const WORKERS: usize = 2;
/// How long work that blocks may take to end with the daemon.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the daemon to its end.
pub(crate) fn run(args: &Args) -> ExitCode {
    let loaded = match load::load(args.file.as_deref(), args.name.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            say::error(&format!("{error}\nkoid: not started; `koid --check` says all that is wrong"));
            return ExitCode::FAILURE;
        }
    };
    log::set_level(settings::log_level(&loaded.config, args.debug));
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
    let current = ActiveConfig::new(loaded.config)?;
    let config = &current.config;
    if let Some(closed) = exposure::prepare_state(&config.node.state_dir)? {
        tracing::warn!("{closed}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let Some(Resources { store, opened, bound, socket }) =
        resources::acquire(&runtime, &mut signals, config)?
    else {
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
    let (fences, fences_wanted) = mpsc::unbounded_channel();
    let newest_epoch = NewestEpoch::default();
    let (id, session) = (opened.id, opened.session);
    let (heard, hearing) = mpsc::unbounded_channel();
    let (guardian, wait_for_guardian) = Guardian::start(args, config, id.to_string(), heard)?;
    let (writer, board) = board();
    let (cluster, end) = event_loop::start(LoopParts {
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
        fences,
        newest_epoch: newest_epoch.clone(),
        board: writer,
    })?;
    runtime.spawn(report_guardian(hearing, cluster.clone()));
    let identity = Arc::new(RwLock::new(NodeIdentity::from_config(config, &id.to_string())));
    let (scan_trigger, scan_requests) = ScanTrigger::new();
    let plugins = Plugins::new(config, &loaded.path);
    let shared = SharedConfig::new(current);
    let executor = FenceExecutor {
        orders: fences_wanted,
        shared: shared.clone(),
        cluster: cluster.clone(),
        guardian: guardian.clone(),
    };
    runtime.spawn(executor.run());
    let reload = Reloader {
        path: loaded.path,
        name: args.name.clone(),
        debug: args.debug,
        shared,
        cluster,
        identity,
        scan_trigger,
        guardian: guardian.clone(),
        plugins,
    };
    let follows = opened.before.follows;
    let daemon = Daemon { id, port: bound.port, hub, newest_epoch, board, follows, reload };
    let asked = (hooks_wanted, scan_requests);
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

/// Tells the core what is heard of the guardian.
async fn report_guardian(mut hearing: mpsc::UnboundedReceiver<GuardianReport>, cluster: Cluster) {
    while let Some(heard) = hearing.recv().await {
        let input = match heard {
            GuardianReport::Armed => Input::Armed(Readiness::Ready),
            GuardianReport::Unarmed(why) => Input::Armed(Readiness::NotReady { why }),
            GuardianReport::Guarded => Input::Guarded(Readiness::Ready),
            GuardianReport::Unguarded(why) => Input::Guarded(Readiness::NotReady { why: why.to_string() }),
        };
        cluster.input(input).await;
    }
}
