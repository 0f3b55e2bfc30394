//! `cargo xtask bench hooks`: what a hook costs with each kind of handler.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Builds the benchmark, a program of `tests/plugins`, as users would have it, and becomes it. Returns only if that fails.
pub(crate) fn bench(mut args: impl Iterator<Item = OsString>) -> Result<(), String> {
    match args.next().as_ref().and_then(|word| word.to_str()) {
        Some("hooks") => {}
        _ => return Err("what is to be measured? `cargo xtask bench hooks`".into()),
    }
    let benchmark = super::build_release("koi-plugin-tests", "koi-hook-bench")?;
    let error = Command::new(&benchmark).args(args.filter(|arg| arg != "--")).exec();
    Err(format!("cannot run {}: {error}", benchmark.display()))
}
