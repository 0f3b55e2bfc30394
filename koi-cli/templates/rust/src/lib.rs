//! The koi handler `@NAME@`.
//!
//! It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the
//! start and stop of your own software where the notes are made, and a look at it where `status` reads them.
//!
//! A fresh instance of this code serves every call: a static does not live until the next one, the store does.

wit_bindgen::generate!({ path: "wit", world: "handler" });

use exports::koi::service::{lifecycle, metadata};
use koi::service::host::{self, LogLevel};
use koi::service::state::{self, StateError};
use koi::service::types::{
    ConfigKey, Context, Failure, HookError, HookSet, Metadata, ServiceState, StatusReport,
};

struct Handler;

export!(Handler);

/// Runs before each call. Standard error, where a panic says why, leads nowhere in some builds for WASM; koi's log is always there.
#[cfg(target_family = "wasm")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOG_PANICS: extern "C" fn() = {
    extern "C" fn log_panics() {
        std::panic::set_hook(Box::new(|panic| host::log(LogLevel::Error, &panic.to_string())));
    }
    log_panics
};

impl metadata::Guest for Handler {
    /// What `koi plugins list` shows, and what koi checks a service.toml against.
    fn describe() -> Metadata {
        Metadata {
            name: "@NAME@".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Notes what it was asked to be, and says so".into(),
            // Hooks that are not in the set are never called and count as done.
            hooks: HookSet::all(),
            // What it wants of the node, such as Capability::TcpConnect("{address}".into()).
            capabilities: vec![],
            config: vec![ConfigKey {
                name: "score".into(),
                description: "Among the standbys the highest is promoted first".into(),
                required: false,
                default: None,
            }],
        }
    }
}

impl lifecycle::Guest for Handler {
    /// A service that runs already is a success, so this may well be called twice. It leaves a standby, whatever a crash left.
    fn start(ctx: Context) -> Result<(), HookError> {
        promotion_score(&ctx)?; // Wrong configuration is better said now than at the first status.
        write("role", "standby")
    }

    /// As is one that does not run.
    fn stop(_: Context) -> Result<(), HookError> {
        state::delete("role").map_err(store_trouble)
    }

    /// Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it.
    fn promote(ctx: Context) -> Result<(), HookError> {
        if !host::epoch_current() {
            return Err(HookError::Retry(format!(
                "epoch {} is over; another node is master by now",
                ctx.epoch
            )));
        }
        write("epoch", &ctx.epoch.to_string())?;
        write("role", "promoted")
    }

    /// The others wait for this one: be quick, and let a second call succeed too.
    fn demote(_: Context) -> Result<(), HookError> {
        match note("role")?.as_deref() {
            Some("promoted") => write("role", "standby"),
            _ => Ok(()),
        }
    }

    /// What it says is taken as the truth. It must not change anything.
    fn status(ctx: Context) -> Result<StatusReport, HookError> {
        let (state, message) = match note("role")?.as_deref() {
            None => (ServiceState::Stopped, "not started"),
            Some("promoted") => (ServiceState::Promoted, "runs as promoted"),
            Some(_) => (ServiceState::Standby, "runs as standby"),
        };
        Ok(StatusReport {
            state,
            message: message.into(),
            promotion_score: promotion_score(&ctx)?,
            details: note("epoch")?.map(|epoch| ("last epoch".into(), epoch)).into_iter().collect(),
        })
    }

    /// Comes before `stop`, so that it can still look at what is left.
    fn failed(_: Context, cause: Failure) -> Result<(), HookError> {
        let late = if cause.timed_out { " (not in time)" } else { "" };
        let hook = format!("{:?}", cause.hook).replace("Hook::", "").to_lowercase();
        host::log(LogLevel::Warn, &format!("{hook} failed: {}{late}", cause.message));
        Ok(())
    }
}

/// What the store has under `key`.
fn note(key: &str) -> Result<Option<String>, HookError> {
    let value = state::get(key).map_err(store_trouble)?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn write(key: &str, value: &str) -> Result<(), HookError> {
    state::set(key, value.as_bytes()).map_err(store_trouble)
}

fn store_trouble(error: StateError) -> HookError {
    HookError::Retry(format!("koi's store: {error:?}"))
}

/// `score` of `[config]`; none: it does not say.
fn promotion_score(ctx: &Context) -> Result<Option<i32>, HookError> {
    let Some((_, text)) = ctx.config.iter().find(|(key, _)| key == "score") else { return Ok(None) };
    // Misconfigured: pointless to try anywhere; Fatal: not on this node; Retry: later.
    let wrong = |_| {
        HookError::Misconfigured(format!("score = {text:?} in [config] is not a whole number of 32 bits"))
    };
    text.parse().map(Some).map_err(wrong)
}
