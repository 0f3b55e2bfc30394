//! Values that are one of a few.

use std::path::Path;

use toml::de::DeValue;

use super::error::Parsed;
use super::excerpt::excerpt;
use super::quote::{Escapes, quote};
use super::setting::{Setting, bracketed, list, mistyped, one_of, refuse, text};
use crate::config::{Electors, Fence, OnStopFailure, Quorum};

impl Setting for Electors {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let expected = "the number of electors, or a list of their names";
        match value {
            DeValue::Integer(digits) => match u16::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(count) => Ok(Electors::Count(count)),
                Err(_) => mistyped(expected, value, ""),
            },
            DeValue::Array(_) => list(expected, value, |item| {
                text("a list of names, each a text", item.get_ref()).map(str::to_owned)
            })
            .map(Electors::Names),
            DeValue::String(_) => {
                mistyped(expected, value, "electors = 3, or electors = [\"a\", \"b\", \"c\"]")
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => {
                mistyped(expected, value, "")
            }
        }
    }

    fn toml(&self) -> Option<String> {
        Some(match self {
            Electors::Count(count) => count.to_string(),
            Electors::Names(names) => bracketed(names.iter().map(|name| quote(name, Escapes::Toml))),
        })
    }

    fn classic(&self) -> Option<String> {
        None
    }
}

impl Setting for Quorum {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let expected = "\"majority\", \"off\" or the number of electors needed";
        match value {
            DeValue::Integer(digits) => match u16::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(count) if count > 0 => Ok(Quorum::Count(count)),
                Ok(_) => mistyped(expected, value, "to switch quorum off, say so: quorum = \"off\""),
                Err(_) => mistyped(expected, value, ""),
            },
            DeValue::String(word) if word == "majority" => Ok(Quorum::Majority),
            DeValue::String(word) if word == "off" => Ok(Quorum::Off),
            DeValue::String(word) if word.parse::<u16>().is_ok() => {
                mistyped(expected, value, "write the number without quotes")
            }
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => mistyped(expected, value, ""),
        }
    }

    fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
        match text.parse::<u16>() {
            Ok(0) => Ok(Quorum::Off),
            Ok(needed) => Ok(Quorum::Count(needed)),
            Err(_) => {
                let text = excerpt(text);
                refuse(format!("must be the number of electors needed, or 0 for off, not {text}"), "")
            }
        }
    }

    fn toml(&self) -> Option<String> {
        Some(match self {
            Quorum::Majority => "\"majority\"".to_owned(),
            Quorum::Count(count) => count.to_string(),
            Quorum::Off => "\"off\"".to_owned(),
        })
    }

    fn classic(&self) -> Option<String> {
        match self {
            Quorum::Majority => None,
            Quorum::Count(count) => Some(count.to_string()),
            Quorum::Off => Some("0".to_owned()),
        }
    }
}

const FENCES: [(&str, Fence); 3] =
    [("none", Fence::None), ("watchdog", Fence::Watchdog), ("reboot", Fence::Reboot)];

impl Setting for Fence {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        one_of(&FENCES, value)
    }

    fn toml(&self) -> Option<String> {
        FENCES.iter().find(|(_, fence)| fence == self).map(|(word, _)| quote(word, Escapes::Toml))
    }
}

const ON_STOP_FAILURES: [(&str, OnStopFailure); 2] =
    [("block", OnStopFailure::Block), ("ignore", OnStopFailure::Ignore)];

impl Setting for OnStopFailure {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        one_of(&ON_STOP_FAILURES, value)
    }

    fn toml(&self) -> Option<String> {
        ON_STOP_FAILURES.iter().find(|(_, choice)| choice == self).map(|(word, _)| quote(word, Escapes::Toml))
    }
}

/// `node.log_level`.
#[derive(Clone, Copy)]
pub(crate) struct LogLevel(pub(crate) &'static str);

const LOG_LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel("error")),
    ("warn", LogLevel("warn")),
    ("info", LogLevel("info")),
    ("debug", LogLevel("debug")),
    ("trace", LogLevel("trace")),
];

impl LogLevel {
    /// The level of this name, if there is one.
    pub(crate) fn named(name: &str) -> Option<LogLevel> {
        LOG_LEVELS.iter().find(|(word, _)| *word == name).map(|(_, level)| *level)
    }
}

impl Setting for LogLevel {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        one_of(&LOG_LEVELS, value)
    }

    fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
        let word = match text {
            "warning" => "warn",
            "fatal" | "critical" => "error",
            other => other,
        };
        one_of(&LOG_LEVELS, &DeValue::String(word.into()))
    }

    fn toml(&self) -> Option<String> {
        Some(quote(self.0, Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
}
