//! koi's daemon: configuration, sockets, store, services, hooks and the API around the brain in `koi-core`.

#![deny(unsafe_code)]
// They panic when the reader has gone: `say` does not.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod api;
mod args;
mod check;
mod cluster;
mod current;
mod daemon;
mod details;
mod envelope;
mod events;
mod fence;
mod giver;
mod guardian;
mod hooks;
mod identity;
mod init;
mod inspect;
mod load;
mod log;
mod multicast;
mod notify;
mod peers;
mod pins;
mod plugins;
mod refusals;
mod reload;
mod say;
mod services;
mod settings;
mod settling;
mod sockets;
mod status_talk;
mod store;
mod strangers;
mod sys;
mod throttle;
mod transport;
mod wait;
mod writer;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    koi_child::begin(Some("/proc/self/exe"));
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(code) = koi_plugin_host::process(&words) {
        return code;
    }
    if words.first().is_some_and(|word| word == inspect::WORD) {
        return inspect::run(&words[1..]);
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
    init::stand_in().unwrap_or_else(|| daemon::run(&args))
}
