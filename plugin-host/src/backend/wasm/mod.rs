//! WebAssembly components as handlers.
//!
//! koid runs no component and has no engine for one. `load` makes code of a component: compiled in a process of its own, or out of the
//! cache, sealed in memory, and asked what it is in another such process. Each service has a helper that runs its guests, a fresh
//! instance for each hook (`guest`, inside that process). `host` is koid's side: it starts the helper, hands it calls, and does for its
//! guests what needs koid's own rights, as far as `[grants]` go. The programs that guests may run are started by a third process, the
//! service's `broker`, which ends all that they leave behind. What processes with foreign code are held to is in `confine`.
//!
//! ```text
//!  koid: handler (one per service)                   helper: engine, component (one process per service)
//!        host ── calls, answers: frames of CBOR ──►  serve ──► instance of this call
//!             ◄── lines, questions, results ───────  link  ◄── imports
//!        store, epoch, names, programs
//! ```

mod bindings;
mod broker;
mod confine;
mod engine;
pub(crate) mod grants;
pub(crate) mod guest;
mod host;
mod last_lines;
pub(crate) mod limits;
pub(crate) mod load;
mod protocol;

pub(crate) use broker::process as broker_process;
pub(crate) use engine::show_lines;
pub(crate) use guest::process as guest_process;
pub(crate) use load::compile::process as compile_process;

/// What a made-up machine answers with in a test.
pub(crate) mod script {
    pub(crate) use super::host::store::StateStore;
    pub(crate) use super::protocol::{HostAnswer, ProgramExit, ProgramRequest, ProgramRunError};
}
