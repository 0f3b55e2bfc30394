//! What came of a call, held against what was to come of it.

use std::collections::BTreeMap;

use koi_plugin_api::{HookError, Incident, LogLevel, Observed, Outcome, StatusReport};

use crate::conformance::error::LoadedHandlerError;
use crate::conformance::harness::{CallEnd, CallReport};
use crate::conformance::trial_group::Attributes;
use crate::scripted::file::call::{At, CallScript, Expected, MessageText, OutcomeWord};
use crate::scripted::finding::{Finding, shown};

/// Before the text of a handler that says `misconfigured`, by which koi's people tell it from `fatal`.
const MISCONFIGURED: &str = "misconfigured: ";

/// What a store has.
pub(super) type Stored = BTreeMap<String, Vec<u8>>;

/// How a call ended, and what it said.
pub(super) fn outcome(ran: &CallReport) -> (OutcomeWord, String) {
    let crashed = ran.incidents.contains(&Incident::Crashed);
    match &ran.end {
        CallEnd::Result(Ok(_)) if ran.incidents.contains(&Incident::Unsupported) => {
            (OutcomeWord::Unsupported, String::new())
        }
        CallEnd::Result(Ok(Outcome::Done | Outcome::Started(_))) => (OutcomeWord::Done, String::new()),
        CallEnd::Result(Ok(Outcome::Status(report))) => (observed(report.observed), report.message.clone()),
        CallEnd::Result(Err(HookError::Failed(text))) if crashed => (OutcomeWord::Crashed, text.clone()),
        CallEnd::Result(Err(HookError::Failed(text))) => (OutcomeWord::Failed, text.clone()),
        CallEnd::Result(Err(HookError::Lasting(text))) => match text.strip_prefix(MISCONFIGURED) {
            Some(text) => (OutcomeWord::Misconfigured, text.to_owned()),
            None => (OutcomeWord::Fatal, text.clone()),
        },
        CallEnd::Result(Err(HookError::CannotRun(text) | HookError::NoRoom(text))) => {
            (OutcomeWord::CannotRun, text.clone())
        }
        CallEnd::Result(Err(HookError::TimedOut(text))) => (OutcomeWord::TimedOut, text.clone()),
        CallEnd::Result(Err(HookError::Aborted)) => (OutcomeWord::Aborted, "interrupted".into()),
        CallEnd::Hung => (OutcomeWord::Lost, "it does not end, and was left alone".into()),
        CallEnd::Panicked => (OutcomeWord::Lost, "koid's own code panicked; this is a fault of koid".into()),
    }
}

fn observed(observed: Observed) -> OutcomeWord {
    match observed {
        Observed::Healthy => OutcomeWord::Ok,
        Observed::Promoted => OutcomeWord::Promoted,
        Observed::Standby => OutcomeWord::Standby,
        Observed::Live => OutcomeWord::Live,
        Observed::Stopped => OutcomeWord::Stopped,
    }
}

/// All in which a call is not as it should be; `stored` is what the store has after it, `attributes` what the group has.
pub(super) fn findings(
    call: &CallScript,
    ran: &CallReport,
    stored: &Stored,
    attributes: &Attributes,
) -> Vec<Finding> {
    let hook = call.hook.as_str();
    let (ended, message) = outcome(ran);
    let expected = &call.expected;
    let mut found = Vec::new();
    let said = match message.is_empty() {
        true => ended.as_str().to_owned(),
        false => format!("{}: {message}", ended.as_str()),
    };
    match &expected.outcome {
        Some(wanted) if wanted.value != ended => {
            found.push(Finding::other(wanted.line, format!("{hook}: outcome"), wanted.value.as_str(), said));
        }
        None if !ended.is_well() => {
            found.push(Finding::other(call.line, format!("{hook}: outcome"), "that it goes well", said));
        }
        Some(_) | None => {}
    }
    if ran.dropped_lines() > 0 {
        let (all, dropped) = (ran.lines_in_all, ran.dropped_lines());
        let what =
            format!("{hook}: it wrote {all} lines in one call; koid would have dropped {dropped} of them");
        found.push(Finding::of(call.line, what));
    }
    // What an outcome that nobody expected says besides is of no account.
    if found.is_empty() {
        found.extend(of_message(hook, expected, &message));
        found.extend(of_status(hook, expected, ran));
        found.extend(of_processes(hook, expected, ran));
    }
    found.extend(of_log(hook, expected, ran));
    found.extend(of_store(hook, expected, stored));
    found.extend(of_attributes(hook, expected, attributes));
    found
}

/// What is wrong where what is given was to be refused with `wanted` in the reason.
pub(super) fn refusal(wanted: &At<String>, seen: Option<&LoadedHandlerError>) -> Option<Finding> {
    let seen = seen.map(ToString::to_string);
    let is_meant = seen.as_ref().is_some_and(|why| why.contains(&wanted.value));
    let expected = format!("a reason with {:?} in it", wanted.value);
    let shown = || seen.map_or_else(|| "what is given is taken".to_owned(), |why| format!("{why:?}"));
    (!is_meant).then(|| Finding::other(wanted.line, "refused", expected, shown()))
}

fn of_message(hook: &str, expected: &Expected, message: &str) -> Option<Finding> {
    let wanted = expected.message.as_ref()?;
    let (is_well, shown) = match &wanted.value {
        MessageText::Exactly(text) => (text == message, format!("{text:?}")),
        MessageText::Contains(part) => (message.contains(part), format!("something with {part:?} in it")),
    };
    let finding = || Finding::other(wanted.line, format!("{hook}: message"), shown, format!("{message:?}"));
    (!is_well).then(finding)
}

fn of_status(hook: &str, expected: &Expected, ran: &CallReport) -> Vec<Finding> {
    let report = match &ran.end {
        CallEnd::Result(Ok(Outcome::Status(report))) => report,
        _ => &StatusReport::from(Observed::Healthy),
    };
    let mut found = Vec::new();
    if let Some(wanted) = expected.score.as_ref().filter(|wanted| report.score != Some(wanted.value)) {
        let seen = report.score.map_or("none".to_owned(), |score| score.to_string());
        found.push(Finding::other(wanted.line, format!("{hook}: score"), wanted.value.to_string(), seen));
    }
    for wanted in &expected.details {
        let (name, value) = &wanted.value;
        let seen = report.details.iter().find(|(detail, _)| detail == name).map(|(_, value)| value);
        if seen != Some(value) {
            let seen = seen.map_or("no such detail".to_owned(), |seen| format!("{seen:?}"));
            found.push(Finding::other(
                wanted.line,
                format!("{hook}: detail {name}"),
                format!("{value:?}"),
                seen,
            ));
        }
    }
    found
}

fn of_processes(hook: &str, expected: &Expected, ran: &CallReport) -> Option<Finding> {
    let wanted = expected.processes.as_ref()?;
    let seen: Vec<String> = ran.processes().iter().map(ToString::to_string).collect();
    let shown = |all: &[String]| if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let finding =
        || Finding::other(wanted.line, format!("{hook}: processes"), shown(&wanted.value), shown(&seen));
    (seen != wanted.value).then(finding)
}

fn of_attributes(hook: &str, expected: &Expected, attributes: &Attributes) -> Vec<Finding> {
    let shown = |value: Option<&String>| {
        value.map_or("no such attribute".to_owned(), |value| shown(value.as_bytes()))
    };
    let is_other =
        |wanted: &&At<(String, Option<String>)>| attributes.get(&wanted.value.0) != wanted.value.1.as_ref();
    let others = expected.attributes.iter().filter(is_other);
    others
        .map(|wanted| {
            let (key, value) = &wanted.value;
            let what = format!("{hook}: the attribute {key}");
            Finding::other(wanted.line, what, shown(value.as_ref()), shown(attributes.get(key)))
        })
        .collect()
}

fn of_log(hook: &str, expected: &Expected, ran: &CallReport) -> Vec<Finding> {
    let lines: Vec<String> = ran.lines.iter().map(|(level, text)| log_line(*level, text)).collect();
    let is_missing = |wanted: &&At<String>| lines.iter().all(|line| !line.contains(&wanted.value));
    let missing = expected.log.iter().filter(is_missing);
    missing
        .map(|wanted| {
            let what = format!("{hook}: log");
            Finding::other(wanted.line, what, format!("a line with {:?} in it", wanted.value), "no such line")
        })
        .collect()
}

/// A line of the log, as tests and reports have it: `warn: not announced`.
pub(super) fn log_line(level: LogLevel, text: &str) -> String {
    let word = match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    format!("{word}: {text}")
}

fn of_store(hook: &str, expected: &Expected, stored: &Stored) -> Vec<Finding> {
    let shown_value = |value: Option<&Vec<u8>>| value.map_or("no such key".to_owned(), |value| shown(value));
    let others =
        expected.store.iter().filter(|wanted| stored.get(&wanted.value.0) != wanted.value.1.as_ref());
    others
        .map(|wanted| {
            let (key, value) = &wanted.value;
            let what = format!("{hook}: {key} in the store");
            Finding::other(wanted.line, what, shown_value(value.as_ref()), shown_value(stored.get(key)))
        })
        .collect()
}
