//! The helper's life: setup, then one call after the other.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Abort, abort_pair};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::backend::helper::ReplyError;
use crate::backend::helper::socket::ReadHalf;
use crate::backend::wasm::confine::{ConfineError, Stage, give_up_rights, is_stale, limit_calls};
use crate::backend::wasm::engine::{EngineError, engine_with, keeping_engine};
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::guest::budget::{Budget, BudgetError};
use crate::backend::wasm::guest::describe::describe;
use crate::backend::wasm::guest::imports::host_functions;
use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::guest::run::call::{GuestService, run};
use crate::backend::wasm::guest::run::code::LoadedComponent;
use crate::backend::wasm::guest::run::component::LinkedComponent;
use crate::backend::wasm::guest::run::machine::Machine;
use crate::backend::wasm::guest::run::prepared::Prepared;
use crate::backend::wasm::guest::run::stacks::Stacks;
use crate::backend::wasm::limits::Limits;
use crate::backend::wasm::protocol::{
    FrameReader, GuestMessage, GuestSetup, HOST_FRAME_BYTES, HookRequest, HostMessage, NO_SERVICE,
    ServiceSetup,
};

/// Threads for streams of files that a guest reads or writes without waiting: wasmtime-wasi leaves these to others, whatever it is told.
/// All else that blocks is done by the thread that runs the guest.
const FILE_THREADS: usize = 4;
const FILE_STACK_BYTES: usize = 128 * 1024;
const FILE_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("koid was lost: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(transparent)]
    Confine(#[from] ConfineError),
    #[error("koid sent no code")]
    NoCode,
    #[error("koid says what it should not")]
    NotKoid,
}

type Messages = FrameReader<ReadHalf>;

/// Serves koid at the other end of `socket` until that is closed.
pub(crate) fn serve(socket: StdStream) -> Result<(), ServeError> {
    let (_, code) = koi_child::receive_descriptors(socket.as_fd())?.ok_or(ServeError::NoCode)?;
    let budget = Budget::begin()?;
    socket.set_nonblocking(true)?;
    let spoken = socket.try_clone()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // A guest that computes holds the thread for a whole tick: koid is heard after each.
        .event_interval(1)
        .max_blocking_threads(FILE_THREADS)
        .thread_stack_size(FILE_STACK_BYTES)
        .thread_keep_alive(FILE_KEEP_ALIVE)
        .build()?;
    // A task is woken by its own thread without a system call; the future of block_on is not.
    let served = runtime.block_on(async {
        let messages = FrameReader::new(ReadHalf::new(socket)?, HOST_FRAME_BYTES);
        tokio::spawn(serve_all(messages, spoken, code, budget)).await.map_err(io::Error::from)?
    });
    // A file may not answer.
    runtime.shutdown_background();
    served
}

async fn serve_all(
    mut messages: Messages,
    spoken: StdStream,
    code: Vec<OwnedFd>,
    budget: Budget,
) -> Result<(), ServeError> {
    let Ok(HostMessage::Setup(setup)) = messages.next().await else { return Err(ServeError::NotKoid) };
    let setup: GuestSetup = serde_json::from_slice(&setup).map_err(|_| ServeError::NotKoid)?;
    let (nobody, none) = (NO_SERVICE, Grants::default());
    let (user, granted) = match &setup {
        GuestSetup::Describe => (nobody, &none),
        GuestSetup::Serve(setup) => (setup.user, &setup.grants),
    };
    let rights = give_up_rights(granted, user)?;
    let layers = limit_calls(granted, Stage::Loading, rights)?;
    let link = &Arc::new(Link::new(spoken, matches!(setup, GuestSetup::Serve(_))));
    let (component, machine) = match load(&setup, code) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(link, &mut messages, &error).await,
    };
    let setup = match setup {
        GuestSetup::Describe => {
            budget.limit(&Limits::default())?;
            limit_calls(&none, Stage::Serving, layers)?;
            match describe(&machine, &component, link).await {
                Ok(described) => link.send(&described),
                Err(error) => link.send(&GuestMessage::Refused(error.to_string())),
            }
            return stay(&mut messages).await;
        }
        GuestSetup::Serve(setup) => *setup,
    };
    let service = match prepare(machine, &component, setup) {
        Ok(service) => service,
        Err(error) => return refuse(link, &mut messages, &LoadError::Link(error)).await,
    };
    drop(component);
    budget.limit(&service.limits)?;
    let layers = limit_calls(&service.grants, Stage::Serving, layers)?;
    link.send(&GuestMessage::Ready(layers));
    let (mut prepared, mut is_idle) = (None, false);
    let opens_nothing = service.opens_nothing();
    loop {
        let message = match is_idle && opens_nothing {
            true => messages.next_alone(),
            false => messages.next().await,
        };
        match message {
            Ok(HostMessage::Call(request))
                if layers.landlock > 0 && !request.is_repeated && is_stale(&service.grants) =>
            {
                link.send(&GuestMessage::Stale);
            }
            Ok(HostMessage::Call(request)) => {
                let is_test = request.test.is_some();
                serve_call(&service, prepared.take(), *request, link, &mut messages).await?;
                // koid has its answer, and asks again in a second or so.
                prepared = if is_test { None } else { Prepared::make(&service, link).await };
                is_idle = true;
            }
            // For a call that has ended meanwhile.
            Ok(HostMessage::Abort(_) | HostMessage::Answer(_) | HostMessage::Found(..)) => {}
            Ok(HostMessage::Setup(_)) | Err(ReplyError::Garbled) => return Err(ServeError::NotKoid),
            Err(ReplyError::Closed) => return Ok(()),
        }
    }
}

/// Why a component is not run.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no thread for the clock: {0}")]
    Clock(#[from] io::Error),
    #[error("its compiled code cannot be loaded: {0:#}")]
    Code(wasmtime::Error),
    #[error("the component does not fit what koid offers: {0:#}")]
    Link(wasmtime::Error),
}

async fn refuse(
    link: &Link,
    messages: &mut Messages,
    error: &(dyn fmt::Display + Sync),
) -> Result<(), ServeError> {
    link.send(&GuestMessage::Refused(error.to_string()));
    stay(messages).await
}

/// Waits until koid has read all and closes the socket. To exit now, with messages unread, could reset the socket before that.
async fn stay(messages: &mut Messages) -> Result<(), ServeError> {
    while messages.next::<HostMessage>().await.is_ok() {}
    Ok(())
}

/// Once it is mapped the descriptors are not needed.
fn load(setup: &GuestSetup, code: Vec<OwnedFd>) -> Result<(LoadedComponent, Machine), LoadError> {
    let from = |engine: Engine| Ok((LoadedComponent::from_sealed(&engine, &code)?, engine));
    let keeping = match setup {
        // It runs once.
        GuestSetup::Describe => None,
        GuestSetup::Serve(setup) => keeping_engine(&setup.limits),
    };
    // What it does not take, a component of more parts than it keeps, the other one takes.
    let kept = keeping.and_then(|engine| from(engine).ok());
    let (component, engine) = match kept {
        Some(loaded) => loaded,
        None => from(engine_with(Arc::new(Stacks::default()))?).map_err(LoadError::Code)?,
    };
    Ok((component, Machine::new(engine)?))
}

fn prepare(
    machine: Machine,
    component: &LoadedComponent,
    setup: ServiceSetup,
) -> wasmtime::Result<GuestService> {
    let ServiceSetup { grants, variables, limits, user: _, runs_when_made } = setup;
    let mut linker = Linker::new(&machine.engine);
    host_functions::link(&mut linker)?;
    grants.link(&mut linker)?;
    let component = LinkedComponent::new(component.link(linker)?)?;
    Ok(GuestService { machine, component, grants: Arc::new(grants), variables, limits, runs_when_made })
}

/// Runs one call, and hears koid meanwhile.
async fn serve_call(
    service: &GuestService,
    prepared: Option<Prepared>,
    request: HookRequest,
    link: &Arc<Link>,
    messages: &mut Messages,
) -> Result<(), ServeError> {
    let (aborter, abort) = abort_pair();
    let memory = prepared.as_ref().map(Prepared::memory).unwrap_or_default();
    let mut call = pin!(run(service, prepared, request, (link.clone(), abort, memory.clone())));
    let (ended, remains) = loop {
        tokio::select! {
            biased;
            message = messages.next() => match message {
                Ok(HostMessage::Abort(now)) => aborter.abort(if now { Abort::Now } else { Abort::Gently }),
                Ok(HostMessage::Answer(answer)) => link.answered(answer),
                Ok(HostMessage::Found(number, answer)) => link.found(number, answer),
                Ok(HostMessage::Setup(_) | HostMessage::Call(_)) | Err(ReplyError::Garbled) => {
                    return Err(ServeError::NotKoid);
                }
                // Whatever the guest does, it does it for nobody.
                Err(ReplyError::Closed) => std::process::exit(0),
            },
            ended = &mut call => break ended,
        }
    };
    link.forget_lookups();
    link.send(&GuestMessage::Ended(ended, memory.bytes()));
    drop(remains);
    Ok(())
}
