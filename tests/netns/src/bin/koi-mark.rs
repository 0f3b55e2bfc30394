//! `koi-mark FILE WHAT` — a hook's line in the hook log: CLOCK_MONOTONIC, and what koid has told the hook. A shell can read
//! the time no finer than to 10 ms, and a failover by an obituary takes less.

#![forbid(unsafe_code)]

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: what comes after it takes time too.
    let now = koi_netns::now();
    let args: Vec<String> = env::args().skip(1).collect();
    let [file, what] = &args[..] else {
        eprintln!("koi-mark FILE begin|end: run by a hook");
        return ExitCode::from(2);
    };
    let of = |name: &str| env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| "-".into());
    let [node, service, event, promoted, epoch, state] =
        ["KOI_NODE", "KOI_SERVICE", "KOI_EVENT", "KOI_IS_PROMOTED", "KOI_EPOCH", "KOI_STATE"].map(of);
    // A koid from before there were groups says nothing of them.
    let group = env::var("KOI_GROUP").unwrap_or_else(|_| "main".into());
    let line = format!("{now:.6} {node} {service} {event} {what} {promoted} {epoch} {state} {group}\n");
    // One write: lines of several hooks do not mix.
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut f| f.write_all(line.as_bytes()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("koi-mark: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}
