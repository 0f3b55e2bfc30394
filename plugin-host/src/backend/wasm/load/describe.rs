//! Asking a component what it is. It has nothing of the node then, and little time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{AbortSignal, CallLog, LogLevel, Metadata, NewestEpoch, abort_pair};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::WasiCtx;

use crate::backend::wasm::bindings::HandlerExecPre;
use crate::backend::wasm::bindings::koi::service::types as wit;
use crate::backend::wasm::capabilities::grants::Grants;
use crate::backend::wasm::capabilities::state::StateStore;
use crate::backend::wasm::capabilities::{host_functions, wasi};
use crate::backend::wasm::run::convert;
use crate::backend::wasm::run::convert::MetadataError;
use crate::backend::wasm::run::deadline::{CallDeadline, EndReason, deadline_after};
use crate::backend::wasm::run::guest::{Guest, GuestCall};
use crate::backend::wasm::run::handler::{new_guest, new_store};
use crate::backend::wasm::run::limits::Limits;
use crate::backend::wasm::run::runtime::WasmRuntime;
use crate::backend::wasm::run::trap::TrapError;

/// Time of `describe`.
const TIME: Duration = Duration::from_secs(1);

/// Why a component does not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// Its interfaces have other types than ours.
    #[error("does not fit koi:service@0.1 (`koi wit` prints it); was it built against a changed copy? {0:#}")]
    Link(wasmtime::Error),
    /// It takes too long.
    #[error("`describe` did not answer within {TIME:?}: it must only say what the handler is")]
    TimedOut,
    /// It broke off.
    #[error(transparent)]
    Trap(#[from] TrapError),
    /// It answered with something that cannot be.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Asks `component`.
pub(crate) fn describe(
    machine: &'static WasmRuntime,
    component: &Component,
) -> Result<Metadata, DescribeError> {
    let linked = link(machine, component)?;
    let first = ask(machine, linked.clone());
    let said = match first {
        // On a machine that is just starting, a second of the clock can be little: now its code is in memory.
        Err(error) if error.is::<EndReason>() => ask(machine, linked),
        answered => answered,
    };
    match said {
        Ok(said) => Ok(convert::metadata(said)?),
        Err(error) if error.is::<EndReason>() => Err(DescribeError::TimedOut),
        Err(error) => Err(TrapError { function: "describe", error }.into()),
    }
}

fn ask(machine: &'static WasmRuntime, linked: HandlerExecPre<Guest>) -> wasmtime::Result<wit::Metadata> {
    let said = machine.wait_for(async move {
        let _ticking = machine.tick();
        let (_aborter, abort) = abort_pair();
        let ending = CallDeadline::new(deadline_after(TIME), abort.clone());
        let mut store = new_store(machine, guest(abort), ending.clone());
        let answer = async {
            let instance = linked.instantiate_async(&mut store).await?;
            instance.koi_service_metadata().call_describe(&mut store).await
        };
        tokio::select! {
            biased;
            over = ending.wait() => Err(over.into()),
            answer = answer => answer,
        }
    });
    said.unwrap_or_else(|| Err(wasmtime::Error::msg("koid's own fault")))
}

/// Everything is there that koid can offer, for a language's library may call some of it to begin with, and none of it leads
/// anywhere. (Traps in its place would be of other resource types.)
fn link(machine: &WasmRuntime, component: &Component) -> Result<HandlerExecPre<Guest>, DescribeError> {
    let mut linker = Linker::new(machine.engine());
    let linked = host_functions::link(&mut linker)
        .and_then(|()| wasi::link_all(&mut linker))
        .and_then(|()| linker.instantiate_pre(component))
        .and_then(HandlerExecPre::new);
    linked.map_err(DescribeError::Link)
}

fn guest(abort: AbortSignal) -> Guest {
    let call = GuestCall {
        log: Arc::new(ToTrace),
        deadline: deadline_after(TIME),
        abort,
        epoch: 0,
        newest_epoch: NewestEpoch::default(),
    };
    // There is no service yet whose store it could be.
    let store = StateStore::open(PathBuf::from("/dev/null/no-service"));
    new_guest(WasiCtx::builder().build(), call, Arc::new(Grants::default()), Limits::default(), store)
}

/// What a component says while it is asked is of interest to its author only.
struct ToTrace;

impl CallLog for ToTrace {
    fn line(&self, _: LogLevel, text: &str) {
        tracing::trace!("describe: {text}");
    }
}
