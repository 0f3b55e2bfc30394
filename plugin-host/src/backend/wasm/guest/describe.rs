//! Asking a component what it is. It has nothing of the node then, and little time.

use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{LogLevel, abort_pair};
use wasmtime::component::Linker;
use wasmtime_wasi::WasiCtx;

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::guest::imports::output::LogStream;
use crate::backend::wasm::guest::imports::{host_functions, wasi};
use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::call::{new_guest, new_store, set_end};
use crate::backend::wasm::guest::run::code::LoadedComponent;
use crate::backend::wasm::guest::run::component::LinkedComponent;
use crate::backend::wasm::guest::run::data::GuestCall;
use crate::backend::wasm::guest::run::deadline::{CallDeadline, EndReason, deadline_after};
use crate::backend::wasm::guest::run::machine::Machine;
use crate::backend::wasm::guest::run::trap::TrapError;
use crate::backend::wasm::last_lines::LastLines;
use crate::backend::wasm::limits::{Limits, MemoryMark};
use crate::backend::wasm::protocol::{DescribedHandler, GuestMessage};

/// Time of `describe`.
const TIME: Duration = Duration::from_secs(1);

/// Why a component does not say what it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescribeError {
    /// Its interfaces have other types than those of its version.
    #[error(
        "does not fit its version of koi:service (`koi wit` prints it); was it built against a changed copy? {0:#}"
    )]
    Link(wasmtime::Error),
    /// It says more than koid hears.
    #[error("what `describe` says cannot be passed on: {0}")]
    TooMuch(#[from] serde_json::Error),
    /// It takes too long.
    #[error("`describe` did not answer within {TIME:?}: it must only say what the handler is")]
    TimedOut,
    /// It broke off.
    #[error(transparent)]
    Trap(#[from] TrapError),
}

/// Tells koid the component's interfaces, and asks it.
pub(crate) async fn describe(
    machine: &Machine,
    component: &LoadedComponent,
    link: &Arc<Link>,
) -> Result<GuestMessage, DescribeError> {
    link.send(&GuestMessage::Interfaces { imports: component.imports(), exports: component.exports() });

    let linked = link_all(machine, component)?;
    let lines = Arc::new(LastLines::default());
    let said = match ask(machine, &linked, link, &lines).await {
        // On a machine that is just starting, a second of the clock can be little: now its code is in memory.
        Err(error) if error.is::<EndReason>() => ask(machine, &linked, link, &lines).await,
        answered => answered,
    };
    if said.is_err() {
        lines.write_to(&**link);
    }
    match said {
        Ok(said) => Ok(GuestMessage::Described(serde_json::to_vec(&said)?)),
        Err(error) if error.is::<EndReason>() => Err(DescribeError::TimedOut),
        Err(error) => Err(TrapError { function: "describe", error }.into()),
    }
}

async fn ask(
    machine: &Machine,
    linked: &LinkedComponent,
    link: &Arc<Link>,
    lines: &Arc<LastLines>,
) -> wasmtime::Result<DescribedHandler> {
    let _ticking = machine.tick()?;
    let (_aborter, abort) = abort_pair();
    let deadline = deadline_after(TIME);
    let ending = CallDeadline::new(deadline, abort.clone());
    let memory = MemoryMark::default();
    let call = GuestCall { link: link.clone(), deadline, abort, epoch: 0, test: None, memory };
    let mut builder = WasiCtx::builder();
    builder.stdout(LogStream::new(lines.clone(), LogLevel::Info));
    builder.stderr(LogStream::new(lines.clone(), LogLevel::Warn));
    let guest = new_guest(builder.build(), call, &Arc::new(Grants::default()), Limits::default());
    let mut store = new_store(machine, guest);
    set_end(&mut store, ending.clone());
    tokio::select! {
        biased;
        over = ending.wait() => Err(over.into()),
        answer = linked.describe(&mut store) => answer,
    }
}

/// Everything is there that koid can offer, for a language's library may call some of it to begin with, and none of it leads
/// anywhere. (Traps in its place would be of other resource types.)
fn link_all(machine: &Machine, component: &LoadedComponent) -> Result<LinkedComponent, DescribeError> {
    let mut linker = Linker::new(&machine.engine);
    let linked = host_functions::link(&mut linker)
        .and_then(|()| wasi::link_all(&mut linker))
        .and_then(|()| component.link(linker))
        .and_then(LinkedComponent::new);
    linked.map_err(DescribeError::Link)
}
