//! What koi's developers run by hand: `cargo xtask help` says it.

#![forbid(unsafe_code)]

mod bench;
mod failover;
mod sim;

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask COMMAND

  demo [-- ARGS]   build koi and koid, and run `koi demo ARGS`: three nodes on this machine
                     cargo xtask demo                 to look at, until Ctrl-C
                     cargo xtask demo -- --script     a fixed tour, measured and checked
                     cargo xtask demo -- --help       its options
  bench hooks      one hook of a shell script, of native plugins and of components in every language that is built, side by side, in a
                   release build: its first one takes some minutes
                     cargo xtask bench hooks --rounds 1000
  failover         build what it needs, and measure how long a cluster is without a master: as root, a quarter of an hour
                     cargo xtask failover             every fault five times, as a table
                     cargo xtask failover kill 3      those with this word (or `loss`), three times
                     cargo xtask failover --against FOLDER    by turns with the koid and koi in FOLDER, and the ratio
  sim              simulated clusters, made from seeds
                     cargo xtask sim --seeds 1000000    many, on all cores
                     cargo xtask sim --seed 7           the story of one
  mutants          each rule of the core broken in turn: the simulator must find it out
  help             this

Everything else is plain cargo: CONTRIBUTING.md has the commands.";

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let command = args.next();
    let result = match command.as_ref().and_then(|word| word.to_str()) {
        Some("demo") => demo(args.collect()),
        Some("bench") => bench::bench(args),
        Some("failover") => failover::failover(args),
        Some("sim") => sim::sim(args),
        Some("mutants") => sim::mutants(),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(format!("what is to be done?\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Builds both programs and becomes `koi demo`: Ctrl-C and the exit code are its own. Returns only if that fails.
fn demo(args: Vec<OsString>) -> Result<(), String> {
    build(&["koid", "koi"])?;
    let koi = programs()?.join("koi");
    // `cargo xtask demo -- --script` comes with its two dashes.
    let args = args.into_iter().enumerate().filter(|(at, arg)| *at > 0 || arg != "--").map(|(_, arg)| arg);
    let error = Command::new(&koi).arg("demo").args(args).exec();
    Err(format!("cannot run {}: {error}", koi.display()))
}

/// Builds these programs in the same profile and target directory as this one, and shows how far it is. Of the whole workspace: with
/// single packages cargo chooses other features of what is from outside, and builds all of it once more.
fn build(programs: &[&str]) -> Result<(), String> {
    let mut command = cargo_build();
    command.arg("--workspace");
    for program in programs {
        command.args(["--bin", program]);
    }
    run_build(command)
}

fn cargo_build() -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.arg("build").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    // What cargo told this process about its own package is a change to the build scripts that look at it: they, and all that depends
    // on them, would be built once more.
    for (name, _) in env::vars_os().filter(|(name, _)| is_about_a_package(name)) {
        command.env_remove(name);
    }
    command
}

fn is_about_a_package(variable: &OsString) -> bool {
    variable
        .to_str()
        .is_some_and(|name| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_"))
}

fn run_build(mut command: Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo build ended with {status}: its errors stand above")),
        Err(error) => Err(format!("cannot run {}: {error}", command.get_program().display())),
    }
}

/// Builds one program of a package in the release profile, beside the profile of this one, and says where it is.
fn build_release(package: &str, program: &str) -> Result<PathBuf, String> {
    let target = programs()?.parent().map(Path::to_owned).ok_or("the target folder is not to be found")?;
    let mut command = cargo_build();
    command.args(["--release", "--package", package, "--bin", program, "--target-dir"]).arg(&target);
    run_build(command)?;
    Ok(target.join("release").join(program))
}

/// Where cargo has put the programs: beside this one.
fn programs() -> Result<PathBuf, String> {
    let here = env::current_exe().and_then(|xtask| {
        let folder = xtask.parent().map(Path::to_owned);
        folder.ok_or_else(|| io::Error::other("it has no folder"))
    });
    here.map_err(|error| format!("cannot find out where this program is: {error}"))
}
