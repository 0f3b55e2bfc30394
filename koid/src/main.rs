//! koi's daemon: configuration, sockets, store, services, hooks and the API around the brain in `koi-core`.

#![deny(unsafe_code)]
// They panic when the reader has gone: `say` does not.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod api;
mod args;
mod attributes;
mod cluster;
mod config;
mod daemon;
mod fence;
mod guardian;
mod guardian_client;
mod hooks;
mod inspect;
mod os;
mod reporting;
mod services;
mod storage;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

use clap::Parser;

use crate::config::check;
use crate::daemon::pid1;
use crate::reporting::say;

fn main() -> ExitCode {
    koi_child::begin(Some("/proc/self/exe"));
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = koi_plugin_host::process(&words) {
        return code;
    }
    if words.first().is_some_and(|word| word == inspect::INSPECT) {
        return inspect::inspect(&words[1..]);
    }
    if words.first().is_some_and(|word| word == inspect::GRANTS) {
        return inspect::grants(&words[1..]);
    }
    let args = args::Args::parse();
    if args.daemonize.is_some() {
        say::error(&format!("koid: {}", args::NO_DAEMONIZE));
        return ExitCode::from(2);
    }
    if let Some(lock) = &args.guard {
        return guardian::run(&args, lock);
    }
    if args.check {
        return if check::run(&args) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    pid1::stand_in(guardian_client::protocol::NAME).unwrap_or_else(|| daemon::run(&args))
}
