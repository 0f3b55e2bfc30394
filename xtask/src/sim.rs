//! The simulator, and the mutants of the rules.

use std::env;
use std::ffi::OsString;
use std::process::Command;

/// `cargo xtask sim`: seeds by hand.
pub(crate) fn sim(args: impl Iterator<Item = OsString>) -> Result<(), String> {
    let mut command = cargo();
    command
        .args(["run", "--quiet", "--package", "koi-sim", "--bin", "sim", "--"])
        .args(args.filter(|arg| arg != "--"));
    run(command)
}

/// `cargo xtask mutants`: each rule broken in turn, in a build of its own.
pub(crate) fn mutants() -> Result<(), String> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "koi-sim", "--test", "mutants", "--", "--nocapture"]);
    // Cargo keeps builds with other flags apart only by folder: the usual one is not to be built anew each time.
    command.args(["--test-threads", "1"]).env("RUSTFLAGS", "--cfg koi_mutants");
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    command.env("CARGO_TARGET_DIR", std::path::Path::new(&target).join("mutants"));
    run(command)
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(mut command: Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("it ended with {status}")),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
