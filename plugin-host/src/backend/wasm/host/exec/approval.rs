//! Whether a program may be run, by the grants and by what lies there now.

use koi_plugin_api::{CallLog, Hook, LogLevel};

use crate::backend::wasm::grants::programs::program::{Program, entry_for};
use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::protocol::{ProgramRequest, ProgramRunError};

/// Characters of a line about a program that may not be run.
const DENIED_CHARS: usize = 2000;

/// The program that is granted, if it may be run now. Blocks: the file system may be slow, or gone.
pub(super) fn approve(
    command: &ProgramRequest,
    desk: &Desk,
    hook: Hook,
    log: &dyn CallLog,
) -> Result<Program, ProgramRunError> {
    let grants = &desk.grants;
    let Some(program) = grants.program(&command.program, &command.args) else {
        let how = match command.program.starts_with('/') {
            // What it names was granted when the service was opened.
            true => format!(
                "the handler does not name it in `wants` of its `describe`; {}",
                to_grant(&grants.line_with("exec", entry_for(&command.program, &command.args)))
            ),
            false => "a program is named by its absolute path".into(),
        };
        return Err(denied(log, &format!("run {}; {how}", shown(command))));
    };
    if let Some((name, _)) = command.env.iter().find(|(name, _)| !grants.allows_exec_env(name)) {
        let how = to_grant(&grants.line_with("exec-env", name.as_str()));
        return Err(denied(log, &format!("set {name:?} for {}; {how}", command.program)));
    }
    if desk.stand_in.is_none() {
        look_at(program, desk, hook, log)?;
    }
    Ok(program.clone())
}

/// Whether a program may still be run for this hook. What takes a service down runs whatever has happened. Blocks.
fn look_at(program: &Program, desk: &Desk, hook: Hook, log: &dyn CallLog) -> Result<(), ProgramRunError> {
    if let Some(change) = desk.watch.change(program.path()) {
        log.line(LogLevel::Warn, &format!("{change}; it is run all the same"));
    }
    let Some(why) = program.distrust() else { return Ok(()) };
    let path = program.path().display();
    let said = why.to_string();
    // The path has been said by then.
    let why = said.strip_prefix(&format!("{path} ")).map_or(said.clone(), |rest| format!("it {rest}"));
    match hook {
        Hook::Start | Hook::Promote | Hook::Status => {
            log.line(LogLevel::Warn, &format!("{path} is not run: {why}"));
            // Guests name the program themselves.
            Err(ProgramRunError::Io(format!("not run: {why}")))
        }
        Hook::Demote | Hook::Stop | Hook::Failed => {
            let text = format!("{path} is run all the same, for {} must go on: {why}", hook.as_str());
            log.line(LogLevel::Error, &text);
            Ok(())
        }
    }
}

fn to_grant(line: &str) -> String {
    format!("to grant it write under [grants] of service.toml: {line}")
}

fn denied(log: &dyn CallLog, what: &str) -> ProgramRunError {
    // Arguments may be of any length.
    let text: String = format!("denied: {what}").chars().take(DENIED_CHARS).collect();
    log.line(LogLevel::Warn, &text);
    ProgramRunError::Denied
}

fn shown(command: &ProgramRequest) -> String {
    let words = std::iter::once(&command.program).chain(&command.args);
    words.map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ")
}
