//! One call: an instance of its own, its time, its result.

use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{AbortSignal, CallLog, Hook, Incident, LogLevel};
use wasmtime::component::ResourceTable;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::WasiHttpCtx;

use crate::backend::wasm::bindings::v0_2::koi::service::types as wit;
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::error::DirectoryError;
use crate::backend::wasm::guest::imports::http::HttpGate;
use crate::backend::wasm::guest::imports::output::LogStream;
use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::component::LinkedComponent;
use crate::backend::wasm::guest::run::convert;
use crate::backend::wasm::guest::run::data::{Guest, GuestCall};
use crate::backend::wasm::guest::run::deadline::{CallDeadline, EndReason, deadline_after};
use crate::backend::wasm::guest::run::machine::{Machine, Ticking};
use crate::backend::wasm::guest::run::prepared::Prepared;
use crate::backend::wasm::guest::run::test_time::TestTime;
use crate::backend::wasm::guest::run::trap;
use crate::backend::wasm::guest::run::trap::TrapError;
use crate::backend::wasm::limits::{Limiter, Limits, MemoryMark};
use crate::backend::wasm::protocol::{HookEnding, HookRequest, hook_of, monotonic};
use crate::plugin::UNSUPPORTED;

/// Bytes that a guest may hand to the host in one call of it: the largest that one may want is standard input for a program.
const HANDED_BYTES: usize = 16 << 20;

/// Resources that a guest may hold: files, sockets, streams.
const RESOURCES: usize = 1024;

/// Everything that the calls of one service share.
pub(crate) struct GuestService {
    pub(crate) machine: Machine,
    pub(crate) component: LinkedComponent,
    pub(crate) grants: Arc<Grants>,
    /// The granted variables of koid's environment.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) limits: Limits,
    /// Something of the component runs when an instance of it is made.
    pub(crate) runs_when_made: bool,
}

impl GuestService {
    /// Whether its guests have no file and no socket. Then nothing is left to be done when a call has ended.
    pub(crate) fn opens_nothing(&self) -> bool {
        let sockets = ["tcp", "udp", "http"].iter().any(|key| self.grants.has(key));
        !sockets && self.grants.directories().next().is_none()
    }
}

/// What is left of a call whose result is known: memory to be emptied, and a clock to be stopped. Whoever waits for the result need not
/// wait for that, and the next call does.
///
/// Nothing else is in it. Files, sockets and bodies are closed before the result is known.
pub(crate) struct CallRemains {
    _store: Store<Guest>,
    _ticking: Ticking,
}

/// Runs one hook, in what was prepared for it. Its memory has grown as far as `memory`, the prepared one's, says when it has ended, however
/// it did.
pub(crate) async fn run(
    service: &GuestService,
    prepared: Option<Prepared>,
    request: HookRequest,
    (link, abort, memory): (Arc<Link>, AbortSignal, MemoryMark),
) -> (HookEnding, Option<CallRemains>) {
    let Some(hook) = hook_of(request.hook) else {
        return (HookEnding::CannotRun(format!("there is no hook {}", request.hook)), None);
    };
    let ticking = match service.machine.tick() {
        Ok(ticking) => ticking,
        Err(error) => {
            return (HookEnding::CannotRun(format!("nothing would interrupt the guest: {error}")), None);
        }
    };
    let left = Duration::from_micros(request.ends_us).saturating_sub(monotonic());
    let deadline = deadline_after(left);
    // What begins when lease and grace are over already has its time-out: it must still come down.
    let due = match request.deadline_ms {
        0 => deadline,
        ms => deadline.min(deadline_after(Duration::from_millis(ms))),
    };
    let ending = CallDeadline::new(deadline, abort.clone());
    let test = request.test.map(TestTime::new);
    let call = GuestCall { link, deadline: due, abort, epoch: request.epoch, test, memory };
    let over = tokio::select! {
        // A hook that waits for nothing ends here, before a timer is set. What computes is interrupted by the clock.
        biased;
        ended = attempt(service, prepared, hook, request, call, ending.clone()) => match ended {
            AttemptEnd::Returned(ended, store) => {
                let remains = store.map(|store| CallRemains { _store: store, _ticking: ticking });
                return (ended, remains);
            }
            AttemptEnd::CutOff(over) => over,
        },
        over = ending.wait() => over,
    };
    match over {
        EndReason::Aborted => (HookEnding::Aborted, None),
        EndReason::Deadline => (HookEnding::TimedOut, None),
    }
}

/// How an attempt to run a hook ended.
enum AttemptEnd {
    /// With the store, if only memory is left in it.
    Returned(HookEnding, Option<Store<Guest>>),
    CutOff(EndReason),
}

async fn attempt(
    service: &GuestService,
    prepared: Option<Prepared>,
    hook: Hook,
    request: HookRequest,
    call: GuestCall,
    ending: CallDeadline,
) -> AttemptEnd {
    let link = call.link.clone();
    // One that is not for tests has other clocks.
    let (mut store, instance) = match prepared.filter(|_| request.test.is_none()) {
        Some(prepared) => prepared.of(call),
        None => match guest(service, hook, call) {
            Ok(guest) => (new_store(&service.machine, guest), None),
            Err(error) => return AttemptEnd::Returned(HookEnding::CannotRun(error.to_string()), None),
        },
    };
    set_end(&mut store, ending);
    let component = &service.component;
    let said = async {
        let instance = match instance {
            Some(instance) => instance,
            None => component.instantiate(&mut store).await?,
        };
        component.call(&mut store, instance, hook, request).await
    };
    let said = match said.await {
        Ok(said) => said,
        Err(error) => {
            if let Some(over) = error.downcast_ref::<EndReason>() {
                return AttemptEnd::CutOff(*over);
            }
            trap::log_backtrace(&error, &*link);
            link.incident(Incident::Crashed);
            let error = TrapError { function: hook.as_str(), error };
            return AttemptEnd::Returned(HookEnding::Failed(error.to_string()), None);
        }
    };
    let ended = said.unwrap_or_else(|error| {
        if matches!(error, wit::HookError::Unsupported) {
            link.incident(Incident::Unsupported);
            link.line(LogLevel::Debug, UNSUPPORTED);
        }
        convert::error(error)
    });
    let holds_more = !store.data().table.is_empty() || service.grants.directories().next().is_some();
    AttemptEnd::Returned(ended, (!holds_more).then_some(store))
}

pub(super) fn guest(service: &GuestService, hook: Hook, call: GuestCall) -> Result<Guest, DirectoryError> {
    let log: Arc<dyn CallLog> = call.link.clone();
    let mut builder = WasiCtx::builder();
    builder.stdout(LogStream::new(log.clone(), LogLevel::Info));
    builder.stderr(LogStream::new(log.clone(), LogLevel::Warn));
    // The thread has nothing else to do, and one more for each file would not count under the service's limits.
    builder.allow_blocking_current_thread(true);
    service.grants.apply(&mut builder, hook, &service.variables, &log)?;
    if let Some(time) = &call.test {
        builder.wall_clock(time.clone()).monotonic_clock(time.clone());
    }
    Ok(new_guest(builder.build(), call, &service.grants, service.limits))
}

/// A guest that has what `wasi` and `grants` give it.
pub(crate) fn new_guest(wasi: WasiCtx, call: GuestCall, grants: &Arc<Grants>, limits: Limits) -> Guest {
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES);
    Guest {
        wasi,
        http: WasiHttpCtx::new(),
        http_gate: HttpGate::new(grants.clone(), call.link.clone(), call.test.is_some()),
        table,
        limits: Limiter::new(limits, call.memory.clone()),
        call,
    }
}

/// The store of one call, with its limits. Nothing runs in it before [its end is set](set_end).
pub(crate) fn new_store(machine: &Machine, guest: Guest) -> Store<Guest> {
    let mut store = Store::new(&machine.engine, guest);
    store.limiter(|guest| &mut guest.limits);
    store.set_hostcall_fuel(HANDED_BYTES);
    store
}

/// From now on what runs in the store is interrupted, and ended when the call is over.
pub(crate) fn set_end(store: &mut Store<Guest>, mut ending: CallDeadline) {
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| match ending.look() {
        Some(over) => Err(over.into()),
        None => Ok(UpdateDeadline::Yield(1)),
    });
}
