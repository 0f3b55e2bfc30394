//! Whether a program may be run, by the grants and by what lies there now.

use koi_plugin_api::{CallLog, Hook, LogLevel};
use koi_text::escaped;

use crate::backend::wasm::grants::programs::program::{Program, entry_for};
use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::protocol::{ProgramRequest, ProgramRunError};
use crate::config::secret::Secrets;

/// Characters of a line about a program that may not be run.
const DENIED_CHARS: usize = 2000;
/// Words of the program and its arguments in it, and characters of each.
const WORDS: usize = 20;
const WORD_CHARS: usize = 100;
/// Entries of `[grants]` in it.
const ENTRIES: usize = 4;

/// The program that is granted, if it may be run now. Blocks: the file system may be slow, or gone.
pub(super) fn approve(
    command: &ProgramRequest,
    desk: &Desk,
    hook: Hook,
    log: &dyn CallLog,
) -> Result<Program, ProgramRunError> {
    let (grants, secrets) = (&desk.grants, &desk.secrets);
    let Some(program) = grants.program(&command.program, &command.args) else {
        return Err(denied(log, &format!("run {}; {}", shown(command, secrets), why_not(command, desk))));
    };
    if let Some((name, _)) = command.env.iter().find(|(name, _)| !grants.allows_exec_env(name)) {
        let name = secrets.hide(name);
        let how = to_grant(&grants.line_with("exec-env", &*name));
        return Err(denied(log, &format!("set {name:?} for {}; {how}", program.path().display())));
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
        Hook::Start | Hook::Promote | Hook::Status | Hook::Changed => {
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

/// Why a program is not granted, and what would grant it. Blocks.
fn why_not(command: &ProgramRequest, desk: &Desk) -> String {
    let ProgramRequest { program, args, .. } = command;
    if !program.starts_with('/') {
        return "a program is named by its absolute path".into();
    }
    let granted = granted_for(command, desk);
    if words(command).any(|word| is_secret(word, &desk.secrets)) {
        let where_to = "a secret belongs into its standard input, for everybody on the node sees arguments";
        return format!("{granted}; {where_to}");
    }
    // What `describe` names was granted when the service was opened.
    let line = desk.grants.line_with("exec", entry_for(program, args));
    format!("{granted}; the handler does not name it in `wants` of its `describe`; {}", to_grant(&line))
}

/// What is granted of the program. Blocks.
fn granted_for(ProgramRequest { program, args, .. }: &ProgramRequest, desk: &Desk) -> String {
    let entries = desk.grants.entries_for(program, args);
    if entries.is_empty() {
        return "exec has no entry for this program".into();
    }
    let shown: Vec<_> = entries.iter().take(ENTRIES).map(|(entry, _)| entry.to_string()).collect();
    let more = match entries.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let options = match entries.iter().any(|(_, granted)| granted.fits(args, true)) {
        true => ", where `*` stands for no option",
        false => "",
    };
    format!("exec has {}{more} for this program{options}", shown.join(", "))
}

fn to_grant(line: &str) -> String {
    format!("to grant it write under [grants] of service.toml: {line}")
}

fn denied(log: &dyn CallLog, what: &str) -> ProgramRunError {
    // Arguments may be of any length.
    let text: String = escaped(&format!("denied: {what}"), &[]).chars().take(DENIED_CHARS).collect();
    log.line(LogLevel::Warn, &text);
    ProgramRunError::Denied
}

/// The program and its arguments. Secrets are hidden first: one that is escaped or cut is not found any more.
fn shown(command: &ProgramRequest, secrets: &Secrets) -> String {
    let word = |word: &String| {
        let hidden = secrets.hide(word);
        match hidden.char_indices().nth(WORD_CHARS) {
            Some((end, _)) => format!("{:?}…", &hidden[..end]),
            None => format!("{hidden:?}"),
        }
    };
    let mut shown: Vec<_> = words(command).take(WORDS).map(word).collect();
    let more = command.args.len().saturating_sub(WORDS - 1);
    shown.extend((more > 0).then(|| format!("and {more} more")));
    shown.join(" ")
}

fn words(command: &ProgramRequest) -> impl Iterator<Item = &String> {
    std::iter::once(&command.program).chain(&command.args)
}

fn is_secret(word: &str, secrets: &Secrets) -> bool {
    secrets.hide(word) != word
}
