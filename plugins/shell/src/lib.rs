//! The built-in handler: a folder of scripts, or a single executable file, run the way classic koi ran them
//! (docs/from-classic.md).
//!
//! A hook is one process in a process group of its own. The hook is over when that process exits; what it has started in
//! the background lives on, and its output is still read. When the hook is to end early the whole group is ended.

#![forbid(unsafe_code)]

mod environment;
mod group;
mod handler;
mod inspect;
mod output;
mod regular;
mod run;
mod spawn;
mod verdict;

pub use handler::{Shape, ShellHandler};
pub use inspect::{ScriptDiagnostic, inspect};
pub use regular::{open_regular, read_regular, what_else};
