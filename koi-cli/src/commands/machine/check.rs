//! `koi check`: what `koid --check` says of this machine. The daemon knows about services and plugins; we do not.

use std::process::Command;

use serde_json::json;

use crate::cli::{Color, Options};
use crate::error::{CommandError, exit};
use crate::koid;
use crate::output::Out;

/// Runs `koid --check` on the file that was named, or on the one that the daemon would find.
pub(crate) fn check(options: &Options, out: Out) -> Result<u8, CommandError> {
    let koid = koid::find()?;
    let mut command = Command::new(&koid);
    command.arg("--check");
    if let Some(file) = &options.file {
        command.arg("-f").arg(file);
    }
    if options.color == Color::Never || out.is_json() {
        command.arg("--no-color");
    }
    let failed = |e: std::io::Error| CommandError::local(format!("cannot run {}: {e}", koid.display()), "");
    let ok = if out.is_json() {
        let output = command.output().map_err(failed)?;
        let ok = output.status.success();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        out.json(&json!({ "ok": ok, "output": said.lines().collect::<Vec<_>>() }))?;
        ok
    } else {
        command.status().map_err(failed)?.success()
    };
    Ok(if ok { exit::WELL } else { exit::FAILED })
}
