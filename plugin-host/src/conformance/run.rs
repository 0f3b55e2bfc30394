//! Runs one hook by hand: `koi plugins run`.

use koi_plugin_api::{Context, Failure, Hook, HookError, LogLevel, Outcome, Role};
use serde_json::{Value, json};

use crate::conformance::args::Args;
use crate::conformance::check::verdict::word;
use crate::conformance::error::{TrialError, UsageError};
use crate::conformance::exit;
use crate::conformance::harness::{CallEnd, CallReport, Harness, TrialCall};
use crate::conformance::interrupt::Interrupt;
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{json, millis, painted, progress, shown, write};
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::conformance::trial_group::Attributes;
use crate::plugin::Kind;

/// Loads, runs, tells.
pub(crate) fn run(args: &Args, target: &Target) -> Result<u8, TrialError> {
    let hook = args.hook.ok_or(UsageError::NoHook)?;
    if target.kind() == Kind::Builtin && !args.attributes.is_empty() {
        return Err(UsageError::ScriptWithAttributes.into());
    }
    let interrupt = Interrupt::watch();
    let scratch = Scratch::new(target.kind(), args.state.as_deref(), &target.name)?;
    if target.kind() == Kind::Wasm {
        progress("(compiling a component takes a while the first time)");
    }
    let loaded = LoadedHandler::load(target, &scratch)?;
    let config = loaded.settle(&target.manifest.config)?;
    let opened = loaded.open(&config)?;
    let mut harness = Harness::new(target, args.timeout, interrupt)?;
    harness.live = (!args.json).then_some(if args.color { show_in_color } else { show });
    harness.group.reset(args.attributes.clone(), None);
    if !loaded.facts().metadata.hooks.has(hook) && !args.json {
        write("it does not have this hook: koid never calls it, and it counts as done\n");
    }
    let mut context = harness.context(hook, loaded.home(), &config.values);
    set_circumstances(&mut context, hook, args);
    let order = TrialCall { hook, newest_epoch: context.epoch, context, cancel_after: None };
    let ran = harness.run(&opened.handler, order);
    harness.close(opened.handler);
    scratch.keep()?;
    let well = matches!(ran.end, CallEnd::Result(Ok(_)));
    let attributes = harness.group.attributes();
    if args.json {
        json(&document(hook, &ran, &attributes));
    } else {
        let mut page = page(hook, &ran, args.color);
        page.push_str(&changes(&args.attributes, &attributes));
        write(&page);
    }
    Ok(match (well, harness.interrupted()) {
        (true, _) => 0,
        (false, true) => exit::INTERRUPTED,
        (false, false) => exit::FAILED,
    })
}

/// What goes with the hook, as far as nothing else was asked for.
fn set_circumstances(context: &mut Context, hook: Hook, args: &Args) {
    context.role = args.role.unwrap_or(match hook {
        Hook::Promote => Role::Promoted,
        Hook::Stop => Role::None,
        Hook::Start | Hook::Demote | Hook::Status | Hook::Failed | Hook::Changed => Role::Standby,
    });
    context.circumstances.group = args.group.clone().filter(|group| group != "main");
    (context.epoch, context.node_state) = (args.epoch.unwrap_or(context.epoch), "Slave".into());
    if context.role == Role::Promoted {
        context.master = Some((context.node.clone(), "127.0.0.1".into()));
        context.node_state = "Master".into();
    }
    if hook == Hook::Failed {
        let message = "run by hand".into();
        context.cause = Some(Failure { hook: Hook::Status, message, timed_out: false });
    }
}

fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn show(level: LogLevel, text: &str) {
    write(&format!("  {:<5}  {}\n", level_word(level), koi_text::blanked(text)));
}

fn show_in_color(level: LogLevel, text: &str) {
    let color = match level {
        LogLevel::Debug => "2",
        LogLevel::Info => "0",
        LogLevel::Warn => "33",
        LogLevel::Error => "31",
    };
    write(&format!(
        "  {}  {}\n",
        painted(&format!("{:<5}", level_word(level)), color, true),
        koi_text::blanked(text)
    ));
}

/// How it went, in one word and a sentence.
fn outcome(ran: &CallReport) -> (&'static str, String) {
    match &ran.end {
        CallEnd::Result(Ok(Outcome::Done | Outcome::Started(_))) => ("done", String::new()),
        CallEnd::Result(Ok(Outcome::Status(report))) => (word(report.observed), report.message.clone()),
        CallEnd::Result(Err(HookError::Failed(text))) => ("failed", text.clone()),
        CallEnd::Result(Err(HookError::Lasting(text))) => ("lasting", text.clone()),
        CallEnd::Result(Err(HookError::CannotRun(text) | HookError::NoRoom(text))) => {
            ("cannot-run", text.clone())
        }
        CallEnd::Result(Err(HookError::TimedOut(text))) => ("timed-out", text.clone()),
        CallEnd::Result(Err(HookError::Aborted)) => ("aborted", "interrupted".into()),
        CallEnd::Hung => ("hung", "it does not end, and was left alone".into()),
        CallEnd::Panicked => ("panicked", "koid's own code panicked; this is a fault of koid".into()),
    }
}

fn page(hook: Hook, ran: &CallReport, color: bool) -> String {
    let (word, text) = outcome(ran);
    let well = matches!(ran.end, CallEnd::Result(Ok(_)));
    let word = match word {
        "failed" => "FAILED",
        "lasting" => "FAILED, and lastingly",
        other => other,
    };
    let word = painted(word, if well { "32" } else { "1;31" }, color);
    let text = if text.is_empty() { text } else { format!(": {}", koi_text::blanked(&text)) };
    let mut page = format!("{}: {word} in {}{text}\n", hook.as_str(), shown(ran.took));
    if let CallEnd::Result(Ok(Outcome::Status(report))) = &ran.end {
        if let Some(score) = report.score {
            page.push_str(&format!("  score  {score}\n"));
        }
        for (key, value) in &report.details {
            page.push_str(&format!("  {}  {}\n", koi_text::blanked(key), koi_text::blanked(value)));
        }
    }
    for process in ran.processes() {
        page.push_str(&format!("  {}\n", koi_text::blanked(&process.to_string())));
    }
    if ran.dropped_lines() > 0 {
        page.push_str(&format!("  koid would have dropped {} lines of its output\n", ran.dropped_lines()));
    }
    page
}

/// What the hook made of the attributes of its group.
fn changes(before: &Attributes, after: &Attributes) -> String {
    let written = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let written = written.map(|(key, value)| format!("  attribute {key}  {}\n", koi_text::blanked(value)));
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    written.chain(removed.map(|key| format!("  attribute {key} is removed\n"))).collect()
}

fn document(hook: Hook, ran: &CallReport, attributes: &Attributes) -> Value {
    let (word, text) = outcome(ran);
    let log: Vec<_> =
        ran.lines.iter().map(|(level, text)| json!({ "level": level_word(*level), "text": text })).collect();
    let mut document = json!({
        "hook": hook.as_str(), "ok": matches!(ran.end, CallEnd::Result(Ok(_))), "outcome": word, "message": text,
        "ms": millis(ran.took), "log": log, "score": null, "details": [],
        "processes": ran.processes().iter().map(ToString::to_string).collect::<Vec<_>>(), "attributes": attributes,
    });
    if let CallEnd::Result(Ok(Outcome::Status(report))) = &ran.end {
        document["score"] = json!(report.score);
        document["details"] = json!(report.details);
    }
    document
}
