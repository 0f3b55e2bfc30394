//! What is wrong with a script, found by looking at it.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, eaccess};

use crate::regular::{open_regular, what_else};

/// Bytes that are looked at; the kernel looks at no more for the first line.
const HEAD_BYTES: u64 = 256;

/// How each ELF file begins.
const ELF: &[u8] = b"\x7fELF";

/// Something about a script that keeps it from running, or that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptDiagnostic {
    /// It cannot even be looked at; the system's reason.
    Unreadable(String),
    /// A link to something that isn't there.
    DanglingLink(PathBuf),
    /// A folder, a socket or the like: what it is.
    NotAFile(&'static str),
    /// No execute bit is set.
    NotExecutable,
    /// An execute bit is set, but not for this user; or the file system is mounted `noexec`.
    NotExecutableHere,
    /// The first line is a bare `#!`.
    NoInterpreterNamed,
    /// The interpreter in the first line isn't there.
    InterpreterMissing(PathBuf),
    /// The interpreter in the first line is there, and not executable.
    InterpreterNotExecutable(PathBuf),
    /// The first line ends in a carriage return, which becomes part of the interpreter's name.
    DosLineEnds,
    /// `#!/usr/bin/env PROGRAM`, and there is no such program in the `PATH`.
    EnvFindsNothing(String),
    /// Neither text nor ELF.
    NotAProgram,
    /// Text without a `#!` line: run by `/bin/sh`.
    NoShebang,
    /// Everybody may change what the daemon runs.
    WorldWritable,
}

impl ScriptDiagnostic {
    /// Whether the script cannot be run.
    pub fn stops(&self) -> bool {
        match self {
            ScriptDiagnostic::Unreadable(_)
            | ScriptDiagnostic::DanglingLink(_)
            | ScriptDiagnostic::NotAFile(_)
            | ScriptDiagnostic::NotExecutable
            | ScriptDiagnostic::NotExecutableHere
            | ScriptDiagnostic::NoInterpreterNamed
            | ScriptDiagnostic::InterpreterMissing(_)
            | ScriptDiagnostic::InterpreterNotExecutable(_)
            | ScriptDiagnostic::DosLineEnds
            | ScriptDiagnostic::EnvFindsNothing(_) => true,
            // The kernel may have been taught to run it (binfmt_misc).
            ScriptDiagnostic::NotAProgram | ScriptDiagnostic::NoShebang | ScriptDiagnostic::WorldWritable => {
                false
            }
        }
    }

    /// What it is and what to do about it, for people; to stand behind the script's name.
    pub fn explain(&self, script: &Path) -> String {
        let path = script.display();
        match self {
            ScriptDiagnostic::Unreadable(why) => format!("cannot be looked at: {why}"),
            ScriptDiagnostic::DanglingLink(target) => {
                format!("a link to {}, which isn't there; mend or remove {path}", target.display())
            }
            ScriptDiagnostic::NotAFile(what) => format!("{what}, not a file; remove or rename {path}"),
            ScriptDiagnostic::NotExecutable => format!("not executable; chmod +x {path}"),
            ScriptDiagnostic::NotExecutableHere => format!(
                "not executable for this user; look at its owner and mode, and whether the file system of {path} is mounted noexec"
            ),
            ScriptDiagnostic::NoInterpreterNamed => {
                format!("its first line names no interpreter; write `#!/bin/sh` there, in {path}")
            }
            ScriptDiagnostic::InterpreterMissing(interpreter) => format!(
                "its interpreter {} isn't there; install it or correct the first line of {path}",
                interpreter.display()
            ),
            ScriptDiagnostic::InterpreterNotExecutable(interpreter) => {
                format!(
                    "its interpreter {} is not executable; correct the first line of {path}",
                    interpreter.display()
                )
            }
            ScriptDiagnostic::DosLineEnds => {
                format!("its first line ends in a carriage return; sed -i 's/\\r$//' {path}")
            }
            ScriptDiagnostic::EnvFindsNothing(program) => {
                format!(
                    "its interpreter `{program}` is not in the PATH; install it, or write its full path in {path}"
                )
            }
            ScriptDiagnostic::NotAProgram => {
                "neither a script nor a program for this machine; replace it by one that is".to_owned()
            }
            ScriptDiagnostic::NoShebang => {
                format!("no `#!` line, so that /bin/sh runs it; write `#!/bin/sh` first in {path}")
            }
            ScriptDiagnostic::WorldWritable => {
                format!("everybody may write to it, and koid runs it; chmod o-w {path}")
            }
        }
    }
}

/// Looks at a script; what keeps it from running comes first. An empty answer: nothing is wrong that can be seen without
/// running it.
pub fn inspect(script: &Path) -> Vec<ScriptDiagnostic> {
    let meta = match fs::metadata(script) {
        Ok(meta) => match what_else(meta.file_type()) {
            None => meta,
            Some(what) => return vec![ScriptDiagnostic::NotAFile(what)],
        },
        Err(error) => {
            let target = fs::read_link(script).ok();
            return vec![
                target
                    .map_or(ScriptDiagnostic::Unreadable(error.to_string()), ScriptDiagnostic::DanglingLink),
            ];
        }
    };
    let mode = meta.permissions().mode();
    let mut findings = Vec::new();
    if mode & 0o111 == 0 {
        findings.push(ScriptDiagnostic::NotExecutable);
    } else if eaccess(script, AccessFlags::X_OK).is_err() {
        findings.push(ScriptDiagnostic::NotExecutableHere);
    }
    // A program that may be run and not read is fine.
    if let Ok(head) = head_of(script) {
        findings.extend(from_head(&head));
    }
    if mode & 0o002 != 0 {
        findings.push(ScriptDiagnostic::WorldWritable);
    }
    findings
}

/// Whether the file is an ELF program, for whatever machine.
pub(crate) fn is_elf(script: &Path) -> bool {
    head_of(script).is_ok_and(|head| head.starts_with(ELF))
}

fn head_of(script: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open_regular(script)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn from_head(head: &[u8]) -> Option<ScriptDiagnostic> {
    if head.starts_with(ELF) {
        return None;
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return Some(if head.contains(&0) {
            ScriptDiagnostic::NotAProgram
        } else {
            ScriptDiagnostic::NoShebang
        });
    };
    let line = line.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    let named = words.next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Some(ScriptDiagnostic::DosLineEnds);
    }
    if named.is_empty() {
        return Some(ScriptDiagnostic::NoInterpreterNamed);
    }
    let interpreter = Path::new(std::ffi::OsStr::from_bytes(named));
    if !interpreter.exists() {
        return Some(ScriptDiagnostic::InterpreterMissing(interpreter.to_owned()));
    }
    if eaccess(interpreter, AccessFlags::X_OK).is_err() || interpreter.is_dir() {
        return Some(ScriptDiagnostic::InterpreterNotExecutable(interpreter.to_owned()));
    }
    let program = words.next().and_then(|word| std::str::from_utf8(word).ok())?;
    env_misses(interpreter, program).then(|| ScriptDiagnostic::EnvFindsNothing(program.to_owned()))
}

/// Whether `interpreter` is `env`, asked for a `program` that isn't there. Options and assignments are left to `env`.
fn env_misses(interpreter: &Path, program: &str) -> bool {
    if !interpreter.ends_with("env") || program.starts_with('-') || program.contains(['=', '/']) {
        return false;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !path.is_empty() && !std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

/// Puts the findings that keep a script from running into one line.
pub(crate) fn obstacles(script: &Path) -> Option<String> {
    let mut text = String::new();
    for finding in inspect(script).iter().filter(|finding| finding.stops()) {
        let between = if text.is_empty() { "" } else { "; and " };
        let _ = write!(text, "{between}{}", finding.explain(script));
    }
    (!text.is_empty()).then_some(text)
}
