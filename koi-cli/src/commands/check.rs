//! `koi check`: what `koid --check` says of this machine. The daemon knows about services and plugins; we do not.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::cli::{Color, Options};
use crate::fail::{Fail, exit};
use crate::output::Out;

/// Runs `koid --check` on the file that was named, or on the one that the daemon would find.
pub(crate) fn check(options: &Options, out: Out) -> Result<u8, Fail> {
    let koid = find_koid()?;
    let mut command = Command::new(&koid);
    command.arg("--check");
    if let Some(file) = &options.file {
        command.arg("-f").arg(file);
    }
    if options.color == Color::Never || out.is_json() {
        command.arg("--no-color");
    }
    let failed = |e: std::io::Error| Fail::here(format!("cannot run {}: {e}", koid.display()), "");
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

/// Beside this very program, so that both are of one version; else wherever the shell would find it.
fn find_koid() -> Result<PathBuf, Fail> {
    let beside = env::current_exe().ok().and_then(|koi| Some(koi.parent()?.to_owned()));
    let path: OsString = env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|folder| folder.join("koid"))
        .find(|koid| koid.is_file())
        .ok_or_else(|| {
            Fail::here("koid is not found", "it is looked for beside koi and in PATH: install it there")
        })
}
