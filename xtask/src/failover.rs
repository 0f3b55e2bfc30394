//! `cargo xtask failover`: how long the cluster is without a master, measured.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Builds what it needs and becomes the benchmark, which is a program of `tests/netns`. Returns only if that fails.
pub(crate) fn failover(args: impl Iterator<Item = OsString>) -> Result<(), String> {
    super::build(&["koid", "koi", "koi-failover", "koi-mark"])?;
    let programs = super::programs()?;
    let benchmark = programs.join("koi-failover");
    let error = Command::new(&benchmark).args(args).env("KOI_TEST_BINARIES", &programs).exec();
    Err(format!("cannot run {}: {error}", benchmark.display()))
}
