//! What a helper may take of the machine: the kernel holds it to that, whatever a guest makes of it.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::Resource;

use crate::backend::wasm::limits::Limits;
use crate::rlimit::lower;

/// Heap and stacks of the helper itself, beside what it had when the component was loaded. A guest's stack has 2 MiB of it.
const OWN_BYTES: u64 = 8 << 20;

/// Added to the helper's score for the OOM killer: it goes before koid and before what scripts run.
const OOM_SCORE: &str = "500";

/// Why a helper cannot be held to its limits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BudgetError {
    #[error("the process that runs it cannot be limited: {0}")]
    Limit(#[from] Errno),
    #[error("what the process that runs it has taken cannot be read: {0}")]
    Proc(#[from] io::Error),
}

/// Before anything is loaded.
pub(crate) fn begin() -> Result<(), BudgetError> {
    // Where the machine does not allow it the helper has koid's.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(lower(Resource::RLIMIT_CORE, 0, 0)?)
}

/// When the component is loaded: what it takes from now on is the service's. Loaded code counts as memory until it is made executable.
pub(crate) fn limit(limits: &Limits) -> Result<(), BudgetError> {
    let files = highest_descriptor()? + 1 + limits.files as u64;
    lower(Resource::RLIMIT_NOFILE, files, files)?;
    let bytes = data_bytes()? + limits.memory_bytes as u64 + OWN_BYTES;
    Ok(lower(Resource::RLIMIT_DATA, bytes, bytes)?)
}

/// The kernel counts numbers of descriptors, not open files.
fn highest_descriptor() -> io::Result<u64> {
    let names = fs::read_dir("/proc/self/fd")?;
    let numbers = names.flatten().filter_map(|name| name.file_name().to_str()?.parse().ok());
    Ok(numbers.max().unwrap_or(0))
}

/// Bytes of private memory that may be written.
fn data_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("/proc/self/status has no VmData"))
}
