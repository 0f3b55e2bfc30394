//! `koi completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::{CommandError, exit};
use crate::output::Out;

/// Writes the completions for a shell.
pub(crate) fn completions(shell: Shell, out: Out) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "koi", &mut script);
    out.write(&String::from_utf8_lossy(&script))?;
    Ok(exit::WELL)
}
