//! One call of a test, and what is to come of it.

use std::time::Duration;

use koi_plugin_api::{Failure, Hook, Role};
use toml::de::DeValue;

use crate::scripted::file::bytes::bytes;
use crate::scripted::file::fields::{Fields, Result, Value, kind, text, word};
use crate::scripted::file::given::moment;

const KEYS: [&str; 15] = [
    "hook",
    "role",
    "epoch",
    "newest_epoch",
    "timeout",
    "clock",
    "cause",
    "outcome",
    "message",
    "score",
    "details",
    "log",
    "store",
    "processes",
    "attributes",
];

/// A hook that is called.
#[derive(Clone, Debug)]
pub(crate) struct CallScript {
    pub(crate) line: usize,
    pub(crate) hook: Hook,
    /// None: what goes with the hook.
    pub(crate) role: Option<Role>,
    pub(crate) epoch: Option<u64>,
    /// The newest epoch that the node has heard of; none: that of the call.
    pub(crate) newest_epoch: Option<u64>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) clock: Option<Duration>,
    pub(crate) cause: Option<Failure>,
    pub(crate) expected: Expected,
}

/// What is to come of a call. What is not said is not checked, but that the hook goes well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) outcome: Option<At<OutcomeWord>>,
    pub(crate) message: Option<At<MessageText>>,
    pub(crate) score: Option<At<i64>>,
    pub(crate) details: Vec<At<(String, String)>>,
    /// Each must be in a line of the log.
    pub(crate) log: Vec<At<String>>,
    /// Keys with their values; none: the key is not there.
    pub(crate) store: Vec<At<(String, Option<Vec<u8>>)>>,
    /// The processes that are named, as a script prints them; none: they are not looked at.
    pub(crate) processes: Option<At<Vec<String>>>,
    /// Attributes with their values; none: the group has no such attribute.
    pub(crate) attributes: Vec<At<(String, Option<String>)>>,
}

/// Something, and its line.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) line: usize,
    pub(crate) value: T,
}

/// What a message is to be.
#[derive(Clone, Debug)]
pub(crate) enum MessageText {
    /// This.
    Exactly(String),
    /// Something that has this in it.
    Contains(String),
}

/// How a hook may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutcomeWord {
    Done,
    Ok,
    Promoted,
    Standby,
    Live,
    Stopped,
    Failed,
    Fatal,
    Misconfigured,
    TimedOut,
    CannotRun,
    /// It broke off: a trap, a lost process.
    Crashed,
    /// It says that it does not have this hook.
    Unsupported,
    Aborted,
    /// Never expected: koid's own fault, or a process that cannot be ended.
    Lost,
}

/// Those that may be expected.
const OUTCOMES: [(&str, OutcomeWord); 13] = [
    ("done", OutcomeWord::Done),
    ("ok", OutcomeWord::Ok),
    ("promoted", OutcomeWord::Promoted),
    ("standby", OutcomeWord::Standby),
    ("live", OutcomeWord::Live),
    ("stopped", OutcomeWord::Stopped),
    ("failed", OutcomeWord::Failed),
    ("fatal", OutcomeWord::Fatal),
    ("misconfigured", OutcomeWord::Misconfigured),
    ("timed-out", OutcomeWord::TimedOut),
    ("cannot-run", OutcomeWord::CannotRun),
    ("crashed", OutcomeWord::Crashed),
    ("unsupported", OutcomeWord::Unsupported),
];

impl OutcomeWord {
    pub(crate) fn as_str(self) -> &'static str {
        let known = OUTCOMES.iter().find(|(_, outcome)| *outcome == self);
        known.map_or(if self == OutcomeWord::Aborted { "aborted" } else { "lost" }, |(word, _)| word)
    }

    /// The hook went well.
    pub(crate) fn is_well(self) -> bool {
        match self {
            OutcomeWord::Done
            | OutcomeWord::Ok
            | OutcomeWord::Promoted
            | OutcomeWord::Standby
            | OutcomeWord::Live
            | OutcomeWord::Stopped => true,
            OutcomeWord::Failed
            | OutcomeWord::Fatal
            | OutcomeWord::Misconfigured
            | OutcomeWord::TimedOut
            | OutcomeWord::CannotRun
            | OutcomeWord::Crashed
            | OutcomeWord::Unsupported
            | OutcomeWord::Aborted
            | OutcomeWord::Lost => false,
        }
    }
}

fn hooks() -> Vec<(&'static str, Hook)> {
    Hook::ALL.into_iter().map(|hook| (hook.as_str(), hook)).collect()
}

/// `[[test.call]]`.
pub(super) fn call(value: &Value<'_>, line_of: &dyn Fn(usize) -> usize) -> Result<CallScript> {
    let fields = Fields::within("call", value, "[[test.call]]", &KEYS)?;
    let hook = fields.get("hook").ok_or_else(|| fields.missing("hook", "hook = \"start\""))?;
    let roles = [("none", Role::None), ("standby", Role::Standby), ("promoted", Role::Promoted)];
    let role = fields.get("role").map(|value| word(value, "role", "a role", &roles)).transpose()?;
    let number = "a whole number, from 0 on";
    Ok(CallScript {
        line: line_of(fields.at),
        hook: word(hook, "hook", "a hook", &hooks())?,
        role,
        epoch: fields.number("epoch", number)?,
        newest_epoch: fields.number("newest_epoch", number)?,
        timeout: fields.time("timeout")?,
        clock: moment(&fields, "clock")?,
        cause: cause(&fields)?,
        expected: expected(&fields, line_of)?,
    })
}

fn cause(fields: &Fields<'_, '_>) -> Result<Option<Failure>> {
    let Some(value) = fields.get("cause") else { return Ok(None) };
    let fields = Fields::within("cause", value, "cause", &["hook", "message", "timed_out"])?;
    let hook = fields.get("hook").ok_or_else(|| fields.missing("hook", "hook = \"promote\""))?;
    Ok(Some(Failure {
        hook: word(hook, "hook", "a hook", &hooks())?,
        message: fields.text("message")?.unwrap_or_default(),
        timed_out: fields.flag("timed_out")?,
    }))
}

fn expected(fields: &Fields<'_, '_>, line_of: &dyn Fn(usize) -> usize) -> Result<Expected> {
    let line = |value: &Value<'_>| line_of(value.span().start);
    let mut expected = Expected::default();
    if let Some(value) = fields.get("outcome") {
        let outcome = word(value, "outcome", "an outcome", &OUTCOMES)?;
        expected.outcome = Some(At { line: line(value), value: outcome });
    }
    if let Some(value) = fields.get("message") {
        expected.message = Some(At { line: line(value), value: message(value)? });
    }
    if let Some(value) = fields.get("score") {
        let score = fields.number("score", "a whole number of 64 bits")?.unwrap_or_default();
        expected.score = Some(At { line: line(value), value: score });
    }
    for (name, value) in fields.pairs("details")? {
        let detail = text(&name, value)?;
        expected.details.push(At { line: line(value), value: (name, detail) });
    }
    for value in fields.list("log")? {
        expected.log.push(At { line: line(value), value: text("log", value)? });
    }
    for (name, value) in fields.pairs("store")? {
        let stored = match value.get_ref() {
            DeValue::Boolean(false) => None,
            DeValue::Boolean(true) => {
                return Err(kind(value, &name, "its value, or false if it is not there"));
            }
            _ => Some(bytes(&name, value)?),
        };
        expected.store.push(At { line: line(value), value: (name, stored) });
    }
    if let Some(value) = fields.get("processes") {
        let named = fields.list("processes")?.iter().map(|one| text("processes", one));
        expected.processes = Some(At { line: line(value), value: named.collect::<Result<_>>()? });
    }
    for (name, value) in fields.pairs("attributes")? {
        let written = match value.get_ref() {
            DeValue::Boolean(false) => None,
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                return Err(kind(
                    value,
                    &name,
                    "a text in double quotes, or false if there is no such attribute",
                ));
            }
        };
        expected.attributes.push(At { line: line(value), value: (name, written) });
    }
    Ok(expected)
}

fn message(value: &Value<'_>) -> Result<MessageText> {
    match value.get_ref() {
        DeValue::String(text) => Ok(MessageText::Exactly(text.to_string())),
        DeValue::Table(_) => {
            let fields = Fields::within("message", value, "message", &["contains"])?;
            let part = fields.text("contains")?;
            let part = part.ok_or_else(|| fields.missing("contains", "message = { contains = \"…\" }"))?;
            Ok(MessageText::Contains(part))
        }
        _ => Err(kind(value, "message", "a text, or { contains = \"…\" }")),
    }
}
