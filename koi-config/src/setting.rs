//! How each type of value is read from and written to either format.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::address::Destination;
use crate::config::{Electors, Fence, OnStopFailure, Quorum};
use crate::duration::{self, BareNumber};
use crate::quote::{Escapes, quote};
use crate::secrecy::{excerpt, is_a_key};
use crate::zone::Bind;

/// What is wrong with a value. The message goes on from the key's name: `must be …, not …`.
#[derive(Debug)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) hint: String,
    /// The part of the text that is meant, if it is not the whole value (TOML only).
    pub(crate) span: Option<Range<usize>>,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Complaint {
        Complaint { message: message.into(), hint: hint.into(), span: None }
    }
}

impl From<(String, String)> for Complaint {
    fn from((message, hint): (String, String)) -> Complaint {
        Complaint::new(message, hint)
    }
}

/// A value, or everything that is wrong with it.
pub(crate) type Read<T> = Result<T, Vec<Complaint>>;

/// A type of value.
pub(crate) trait Setting: Sized {
    /// From `koi.toml`, strictly typed. Relative paths are relative to `folder`.
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Read<Self>;

    /// From `koi.conf`, where everything is text.
    fn from_classic(text: &str, folder: &Path) -> Read<Self> {
        Self::from_toml(&DeValue::String(text.into()), folder)
    }

    /// For `koi.toml`; none: it is unset.
    fn toml(&self) -> Option<String>;

    /// For `koi.conf`; none: it is unset, or cannot be said there.
    fn classic(&self) -> Option<String> {
        self.toml()
    }
}

/// Characters of a number that is repeated: those of the longest that a setting can have.
const NUMBER_CHARS: usize = 20;

fn complain<T>(message: impl Into<String>, hint: impl Into<String>) -> Read<T> {
    Err(vec![Complaint::new(message, hint)])
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", excerpt(text)),
        DeValue::Integer(number) if number.as_str().len() > NUMBER_CHARS => {
            "a number with too many digits".to_owned()
        }
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) if number.as_str().len() > NUMBER_CHARS => {
            "a number with too many digits".to_owned()
        }
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(yes) => format!("{yes}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn mistyped<T>(expected: &str, value: &DeValue<'_>, hint: &str) -> Read<T> {
    complain(format!("must be {expected}, not {}", describe(value)), hint)
}

fn text<'v>(expected: &str, value: &'v DeValue<'_>) -> Read<&'v str> {
    match value {
        DeValue::String(text) => Ok(text),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            mistyped(expected, value, "write it in double quotes")
        }
        DeValue::Array(_) | DeValue::Table(_) => mistyped(expected, value, ""),
    }
}

fn list<T>(
    expected: &str,
    value: &DeValue<'_>,
    item: impl Fn(&Spanned<DeValue<'_>>) -> Read<T>,
) -> Read<Vec<T>> {
    let DeValue::Array(items) = value else {
        return mistyped(expected, value, "write it in square brackets: [\"…\", \"…\"]");
    };
    let mut read = Vec::new();
    let mut complaints = Vec::new();
    for element in items.iter() {
        match item(element) {
            Ok(value) => read.push(value),
            Err(wrong) => {
                complaints.extend(wrong.into_iter().map(|c| Complaint { span: Some(element.span()), ..c }));
            }
        }
    }
    if complaints.is_empty() { Ok(read) } else { Err(complaints) }
}

fn one_of<T: Copy>(choices: &[(&'static str, T)], value: &DeValue<'_>) -> Read<T> {
    let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
    let expected = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    };
    match choices.iter().find(|(word, _)| value.as_str() == Some(word)) {
        Some((_, choice)) => Ok(*choice),
        None => mistyped(&expected, value, ""),
    }
}

impl<T: Setting> Setting for Option<T> {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Read<Self> {
        T::from_toml(value, folder).map(Some)
    }

    fn from_classic(text: &str, folder: &Path) -> Read<Self> {
        T::from_classic(text, folder).map(Some)
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }

    fn classic(&self) -> Option<String> {
        self.as_ref().and_then(T::classic)
    }
}

impl Setting for bool {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        let quoted = value.as_str().is_some_and(|text| text.parse::<bool>().is_ok());
        let hint = if quoted { "write it without quotes" } else { "" };
        value.as_bool().map_or_else(|| mistyped("true or false", value, hint), Ok)
    }

    fn from_classic(text: &str, _: &Path) -> Read<Self> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => complain(format!("must be true or false, not {}", excerpt(text)), ""),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A whole number of a width that `koi.toml` and `koi.conf` share.
macro_rules! number {
    ($($type:ty => $least:expr),*) => {$(
        impl Setting for $type {
            fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
                let expected = format!("a whole number from {} to {}", $least, <$type>::MAX);
                let quoted = value.as_str().is_some_and(|text| text.parse::<$type>().is_ok());
                let hint = if quoted { "write it without quotes" } else { "" };
                let DeValue::Integer(digits) = value else { return mistyped(&expected, value, hint) };
                match <$type>::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) if number >= $least => Ok(number),
                    Ok(_) | Err(_) => mistyped(&expected, value, ""),
                }
            }

            fn from_classic(text: &str, _: &Path) -> Read<Self> {
                match text.parse::<$type>() {
                    Ok(number) if number >= $least => Ok(number),
                    Ok(_) | Err(_) => {
                        let (least, most) = ($least, <$type>::MAX);
                        let text = excerpt(text);
                        complain(format!("must be a whole number from {least} to {most}, not {text}"), "")
                    }
                }
            }

            fn toml(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

// The only u16 is a port, and port 0 does not exist.
number!(u16 => 1, u32 => u32::MIN, i32 => i32::MIN);

impl Setting for Duration {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        let expected = "a time such as \"10s\"";
        if let DeValue::Integer(number) = value {
            let hint = if number.as_str().len() > NUMBER_CHARS {
                String::new()
            } else {
                duration::unit_hint(&number.to_string())
            };
            return mistyped(expected, value, &hint);
        }
        duration::parse(text(expected, value)?, BareNumber::Refused).map_err(|why| vec![why.into()])
    }

    fn from_classic(text: &str, _: &Path) -> Read<Self> {
        duration::parse(text, BareNumber::Milliseconds).map_err(|why| vec![why.into()])
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&duration::show(*self), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(duration::show(*self))
    }
}

impl Setting for String {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        text("a text", value).map(str::to_owned)
    }

    fn toml(&self) -> Option<String> {
        Some(quote(self, Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(quote(self, Escapes::Info))
    }
}

/// A password: complaints do not repeat it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl Setting for Secret {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        match value.as_str() {
            Some(text) => Ok(Secret(text.to_owned())),
            None => complain("must be a text", "write it in double quotes"),
        }
    }

    fn toml(&self) -> Option<String> {
        self.0.toml()
    }

    fn classic(&self) -> Option<String> {
        self.0.classic()
    }
}

impl Setting for PathBuf {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Read<Self> {
        let text = text("a path", value)?;
        if text.is_empty() || text.contains('\0') {
            return complain(format!("must be a path, not {}", excerpt(text)), "");
        }
        if is_a_key(text) {
            return complain(
                "must be the path of a file, and what stands here looks like a key itself",
                "put the key into a file of its own; `koi keygen` makes one",
            );
        }
        std::path::absolute(folder.join(text)).or_else(|e| {
            complain(format!("cannot be made an absolute path: {e}"), "write a path that begins with /")
        })
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy(), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy(), Escapes::Info))
    }
}

impl Setting for Vec<PathBuf> {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Read<Self> {
        list("a list of paths", value, |item| PathBuf::from_toml(item.get_ref(), folder))
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().filter_map(Setting::toml)))
    }
}

fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

impl Setting for Bind {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        let expected = "an IP address of this machine, or 0.0.0.0 or :: for all";
        match Bind::parse(text(expected, value)?) {
            Ok(Some(bind)) => Ok(bind),
            Ok(None) => mistyped(expected, value, "the port has a key of its own: node.port"),
            Err(why) => Err(vec![why.into()]),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&self.show(), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(self.show())
    }
}

impl Setting for Vec<Destination> {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        list("a list of addresses", value, |item| {
            let text = text("a list of addresses, each a text", item.get_ref())?;
            Destination::parse(text).map_err(|why| vec![why.into()])
        })
    }

    fn from_classic(text: &str, _: &Path) -> Read<Self> {
        let mut read = Vec::new();
        let mut complaints = Vec::new();
        let entries = text.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
        for entry in entries.filter(|e| !e.is_empty()) {
            match Destination::parse(entry) {
                Ok(destination) => read.push(destination),
                Err(why) => complaints.push(why.into()),
            }
        }
        if complaints.is_empty() { Ok(read) } else { Err(complaints) }
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().map(|d| quote(&d.show(), Escapes::Toml))))
    }

    fn classic(&self) -> Option<String> {
        let list = self.iter().map(|d| d.show()).collect::<Vec<_>>().join(", ");
        Some(quote(&list, Escapes::Info))
    }
}

impl Setting for Electors {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
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
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
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

    fn from_classic(text: &str, _: &Path) -> Read<Self> {
        match text.parse::<u16>() {
            Ok(0) => Ok(Quorum::Off),
            Ok(needed) => Ok(Quorum::Count(needed)),
            Err(_) => {
                let text = excerpt(text);
                complain(format!("must be the number of electors needed, or 0 for off, not {text}"), "")
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
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        one_of(&FENCES, value)
    }

    fn toml(&self) -> Option<String> {
        FENCES.iter().find(|(_, fence)| fence == self).map(|(word, _)| quote(word, Escapes::Toml))
    }
}

const ON_STOP_FAILURES: [(&str, OnStopFailure); 2] =
    [("block", OnStopFailure::Block), ("ignore", OnStopFailure::Ignore)];

impl Setting for OnStopFailure {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
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
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Read<Self> {
        one_of(&LOG_LEVELS, value)
    }

    fn from_classic(text: &str, _: &Path) -> Read<Self> {
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
