//! A component as the handler of one service.

use std::sync::Arc;

use koi_plugin_api::{
    Call, Called, Context, Handler, Hook, HookError, Incident, LogLevel, Metadata, Outcome,
};
use tokio::task::{AbortHandle, JoinError};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::backend::wasm::bindings::HandlerExecPre;
use crate::backend::wasm::bindings::koi::service::types as wit;
use crate::backend::wasm::capabilities::grants::Grants;
use crate::backend::wasm::capabilities::grants::error::DirectoryError;
use crate::backend::wasm::capabilities::output::LogStream;
use crate::backend::wasm::capabilities::state::StateStore;
use crate::backend::wasm::run::convert;
use crate::backend::wasm::run::deadline::{CallDeadline, EndReason, deadline_after};
use crate::backend::wasm::run::guest::{Guest, GuestCall};
use crate::backend::wasm::run::limits::{Limiter, Limits};
use crate::backend::wasm::run::runtime::WasmRuntime;
use crate::backend::wasm::run::trap;
use crate::backend::wasm::run::trap::TrapError;
use crate::plugin::UNSUPPORTED;

/// Bytes that a guest may hand to the host in one call of it: the largest that one may want is standard input for a program.
const HANDED_BYTES: usize = 16 << 20;

/// Resources that a guest may hold: files, sockets, streams.
const RESOURCES: usize = 10_000;

/// Everything that the calls of one service share.
pub(crate) struct WasmService {
    pub(crate) machine: &'static WasmRuntime,
    pub(crate) metadata: Metadata,
    pub(crate) linked: HandlerExecPre<Guest>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Limits,
    pub(crate) store: StateStore,
    /// `[config]` with the handler's defaults.
    pub(crate) config: Vec<(String, String)>,
}

/// Runs a component's hooks, each in an instance of its own.
pub(crate) struct WasmHandler(pub(crate) Arc<WasmService>);

impl Handler for WasmHandler {
    fn metadata(&self) -> Metadata {
        self.0.metadata.clone()
    }

    fn call(&self, call: Call) -> Called {
        let service = self.0.clone();
        Box::pin(async move {
            if !service.metadata.hooks.has(call.hook) {
                return Ok(convert::not_there(call.hook));
            }
            let task = service.machine.runtime().spawn(run(service.clone(), call));
            let _ends_with_us = AbortOnDrop(task.abort_handle());
            task.await.unwrap_or_else(|error| Err(HookError::CannotRun(format!("koid's own fault: {error}"))))
        })
    }
}

/// Ends a task whose caller has gone.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One call, on the guests' own runtime.
async fn run(service: Arc<WasmService>, call: Call) -> Result<Outcome, HookError> {
    let _ticking = service.machine.tick();
    let deadline = deadline_after(call.context.timeout);
    let (hook, timeout) = (call.hook, call.context.timeout);
    let (abort, log) = (call.abort.clone(), call.log.clone());
    let ending = CallDeadline::new(deadline, abort.clone());
    let state = GuestCall {
        log: call.log,
        deadline,
        abort: call.abort,
        epoch: call.context.epoch,
        newest_epoch: call.newest_epoch,
    };
    let over = tokio::select! {
        biased;
        over = ending.clone().wait() => over,
        ended = attempt(&service, hook, &call.context, state, ending) => match ended {
            // A guest that was told to end may fail because of that: it is no failure of the hook.
            AttemptEnd::Returned(Err(HookError::Failed(why))) if abort.asked().is_some() => {
                log.line(LogLevel::Debug, &why);
                EndReason::Aborted
            }
            AttemptEnd::Returned(outcome) => return outcome,
            AttemptEnd::CutOff(over) => over,
        },
    };
    Err(match over {
        EndReason::Aborted => HookError::Aborted,
        EndReason::Deadline => HookError::TimedOut(format!("not done within {timeout:?}, ended")),
    })
}

/// How an attempt to run a hook ended.
enum AttemptEnd {
    Returned(Result<Outcome, HookError>),
    CutOff(EndReason),
}

async fn attempt(
    service: &WasmService,
    hook: Hook,
    context: &Context,
    state: GuestCall,
    ending: CallDeadline,
) -> AttemptEnd {
    let log = state.log.clone();
    let guest = match guest(service, hook, state).await {
        Ok(guest) => guest,
        Err(error) => return AttemptEnd::Returned(Err(HookError::CannotRun(error.to_string()))),
    };
    let mut store = new_store(service.machine, guest, ending);
    let said = match invoke(service, &mut store, hook, context).await {
        Ok(said) => said,
        Err(error) => {
            if let Some(over) = error.downcast_ref::<EndReason>() {
                return AttemptEnd::CutOff(*over);
            }
            trap::log_backtrace(&error, &*log);
            log.incident(Incident::Crashed);
            let error = TrapError { function: hook.as_str(), error };
            return AttemptEnd::Returned(Err(HookError::Failed(error.to_string())));
        }
    };
    AttemptEnd::Returned(match said {
        Ok(outcome) => outcome,
        Err(error) => {
            if matches!(error, wit::HookError::Unsupported) {
                log.incident(Incident::Unsupported);
                log.line(LogLevel::Debug, UNSUPPORTED);
            }
            convert::error(hook, error)
        }
    })
}

/// Why a call has no guest.
#[derive(Debug, thiserror::Error)]
enum GuestError {
    /// A granted directory cannot be opened.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The thread that opens directories was lost.
    #[error("koid's own fault: {0}")]
    Lost(#[from] JoinError),
}

async fn guest(service: &WasmService, hook: Hook, call: GuestCall) -> Result<Guest, GuestError> {
    let (grants, log) = (service.grants.clone(), call.log.clone());
    // Opening directories can hang where a network's disk does.
    let wasi = service.machine.runtime().spawn_blocking(move || {
        let mut builder = WasiCtx::builder();
        builder.stdout(LogStream::new(log.clone(), LogLevel::Info));
        builder.stderr(LogStream::new(log.clone(), LogLevel::Warn));
        grants.apply(&mut builder, hook, &log).map(|()| build(builder))
    });
    let wasi = wasi.await??;
    Ok(new_guest(wasi, call, service.grants.clone(), service.limits, service.store.clone()))
}

fn build(mut builder: WasiCtxBuilder) -> WasiCtx {
    builder.build()
}

/// A guest that has what `wasi` and `grants` give it.
pub(crate) fn new_guest(
    wasi: WasiCtx,
    call: GuestCall,
    grants: Arc<Grants>,
    limits: Limits,
    store: StateStore,
) -> Guest {
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES);
    Guest {
        wasi,
        http: WasiHttpCtx::new(),
        http_hooks: grants.http_hooks(&call.log),
        table,
        limits: Limiter::new(limits),
        call,
        grants,
        store,
    }
}

/// The store of one call, with its limits and its end.
pub(crate) fn new_store(machine: &WasmRuntime, guest: Guest, mut ending: CallDeadline) -> Store<Guest> {
    let mut store = Store::new(machine.engine(), guest);
    store.limiter(|guest| &mut guest.limits);
    store.set_hostcall_fuel(HANDED_BYTES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match ending.look() {
        Some(over) => Err(over.into()),
        None => Ok(UpdateDeadline::Yield(1)),
    });
    store
}

/// Makes an instance and calls the hook. The outer error: it trapped; the inner one: the guest said so.
async fn invoke(
    service: &WasmService,
    store: &mut Store<Guest>,
    hook: Hook,
    context: &Context,
) -> wasmtime::Result<Result<Result<Outcome, HookError>, wit::HookError>> {
    let instance = service.linked.instantiate_async(&mut *store).await?;
    let lifecycle = instance.koi_service_lifecycle();
    let told = convert::context(context, service.grants.reads(&context.home), &service.config);
    let done = match hook {
        Hook::Start => lifecycle.call_start(store, &told).await?,
        Hook::Stop => lifecycle.call_stop(store, &told).await?,
        Hook::Promote => lifecycle.call_promote(store, &told).await?,
        Hook::Demote => lifecycle.call_demote(store, &told).await?,
        Hook::Status => return Ok(lifecycle.call_status(store, &told).await?.map(convert::status)),
        Hook::Failed => {
            let cause = convert::failure(context.cause.as_ref());
            lifecycle.call_failed(store, &told, &cause).await?
        }
    };
    Ok(done.map(|()| Ok(Outcome::Done)))
}
