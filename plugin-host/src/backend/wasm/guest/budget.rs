//! What a helper may take of the machine: the kernel holds it to that, whatever a guest makes of it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::resource::Resource;

use crate::backend::wasm::limits::Limits;
use crate::rlimit::lower;

/// Heap and stacks of the helper itself, beside what it had when the component was loaded. A guest's stack has 2 MiB of it.
const OWN_BYTES: u64 = 8 << 20;

/// Added to the helper's score for the OOM killer: it goes before koid and before what scripts run.
const OOM_SCORE: &str = "500";

/// A helper has no descriptor of a higher number before it runs guests.
const DESCRIPTORS: RawFd = 256;

/// Why a helper cannot be held to its limits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BudgetError {
    #[error("the process that runs it cannot be limited: {0}")]
    Limit(#[from] Errno),
    #[error("what the process that runs it has taken cannot be read: {0}")]
    Proc(#[from] io::Error),
}

/// What the process had before anything was loaded.
pub(crate) struct Budget {
    /// Later it cannot be opened any more.
    status: File,
}

impl Budget {
    /// Before the process is confined.
    pub(crate) fn begin() -> Result<Budget, BudgetError> {
        // Where the machine does not allow it the helper has koid's.
        let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
        lower(Resource::RLIMIT_CORE, 0, 0)?;
        Ok(Budget { status: File::open("/proc/self/status")? })
    }

    /// When the component is loaded: what it takes from now on is the service's. Loaded code counts as memory until it is made executable.
    pub(crate) fn limit(self, limits: &Limits) -> Result<(), BudgetError> {
        let bytes = self.data_bytes()? + limits.memory_bytes as u64 + OWN_BYTES;
        drop(self.status);
        // New ones take the lowest numbers that are free: whatever is open now, there are so many more.
        let files = open_descriptors() + limits.files as u64;
        lower(Resource::RLIMIT_NOFILE, files, files)?;
        Ok(lower(Resource::RLIMIT_DATA, bytes, bytes)?)
    }

    /// Bytes of private memory that may be written.
    fn data_bytes(&self) -> io::Result<u64> {
        let mut status = String::new();
        (&self.status).read_to_string(&mut status)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("/proc/self/status has no VmData"))
    }
}

fn open_descriptors() -> u64 {
    (0..DESCRIPTORS).filter(|number| koi_child::is_open(*number)).count() as u64
}
