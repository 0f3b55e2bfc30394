//! What stands in for this machine while a handler is tested: none of the machine's own programs and variables is used then.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::wasm::script::{ProgramExit, ProgramRequest, ProgramRunError};

/// A machine that is made up.
pub(crate) trait Machine: Send + Sync {
    /// What comes of a program that is granted. Nothing runs.
    ///
    /// # Errors
    /// As if it could not be run, or had not ended in time.
    fn run(&self, asked: &ProgramRequest, input: &[u8]) -> Result<ProgramExit, ProgramRunError>;

    /// A variable of koid's environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// What the wall clock says while the next call runs, since 1970; none: what this machine's says when the call begins.
    fn clock(&self) -> Option<Duration>;

    /// Whether koi's `sleep` takes its time: the world around the handler is a real one.
    fn sleeps(&self) -> bool {
        false
    }
}

/// A made-up machine in place of this one. Clones are the same.
#[derive(Clone)]
pub struct StandIn(Arc<dyn Machine>);

impl StandIn {
    pub(crate) fn new(machine: Arc<dyn Machine>) -> StandIn {
        StandIn(machine)
    }

    pub(crate) fn machine(&self) -> &dyn Machine {
        &*self.0
    }
}

/// Whether both are the same.
impl PartialEq for StandIn {
    fn eq(&self, other: &StandIn) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for StandIn {}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandIn")
    }
}
