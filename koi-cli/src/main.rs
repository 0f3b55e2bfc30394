//! The `koi` command: talks to a daemon's API, to files on this machine, and shows.

#![forbid(unsafe_code)]
// They panic when the reader has gone: `Out` does not.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod cli;
mod commands;
mod connect;
mod demo;
mod dev;
mod error;

mod files;
mod koid;
mod local_cluster;
mod output;
mod render;
mod template;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;
use crate::error::{CommandError, exit};
use crate::output::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Out::new(&cli.options);
    let code = match run(&cli, out) {
        Ok(code) => code,
        Err(CommandError::Reported { code, error }) => {
            out.error(&error);
            code
        }
        Err(CommandError::OutputClosed) => exit::WELL,
    };
    ExitCode::from(code)
}

fn run(cli: &Cli, out: Out) -> Result<u8, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CommandError::local(format!("cannot start: {e}"), ""))?;
    runtime.block_on(commands::run(cli, out))
}
