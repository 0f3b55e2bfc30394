//! How koi starts every process, and what becomes of its output.
//!
//! All children of koid, of its guardian and of their helpers are made by [`command`]: they find what koid found when it was
//! started, whatever koid has changed for itself since. What they write is read through [`Output`]: its pipe has a second
//! holder, a small process that outlives koid, so that what goes on running never loses its reader.

#![deny(unsafe_code)]

mod descriptors;
mod environment;
pub mod group;
mod keeper;
mod output;
mod processes;
mod start;
mod sys;

pub use descriptors::{receive_descriptors, send_descriptors};
pub use environment::environment;
pub use keeper::{KEEP, keep};
pub use output::{Output, outlives_koi, start_keeper};
pub use processes::{ProcessHandle, ProcessStat, ProcessWatch, process_ids};
pub use start::{UserIds, command, run_exactly};
pub use sys::{
    bound_capabilities, close_inherited, go_first, is_open, keep_capabilities, outlive_signals, step_back,
    ticks_per_second,
};

/// The first thing that a program does: notes what it was started with, for its children, and undoes what would keep it from
/// hearing signals and from waiting for children. Must be called before there is a second thread.
///
/// `keeper`: the program that is started with the argument [`KEEP`] when output is first read; none: nobody holds it beside this
/// process.
pub fn begin(keeper: Option<&'static str>) {
    sys::begin();
    if let Some(program) = keeper {
        output::keep_with(program);
    }
}
