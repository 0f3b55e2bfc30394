//! How a type of value is read from and written to either format.

use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use super::error::{Parsed, ValueError};
use super::excerpt::excerpt;

/// A type of value.
pub(crate) trait Setting: Sized {
    /// From `koi.toml`, strictly typed. Relative paths are relative to `folder`.
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self>;

    /// From `koi.conf`, where everything is text.
    fn from_classic(text: &str, folder: &Path) -> Parsed<Self> {
        Self::from_toml(&DeValue::String(text.into()), folder)
    }

    /// For `koi.toml`; none: it is unset.
    fn toml(&self) -> Option<String>;

    /// For `koi.conf`; none: it is unset, or cannot be said there.
    fn classic(&self) -> Option<String> {
        self.toml()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        T::from_toml(value, folder).map(Some)
    }

    fn from_classic(text: &str, folder: &Path) -> Parsed<Self> {
        T::from_classic(text, folder).map(Some)
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }

    fn classic(&self) -> Option<String> {
        self.as_ref().and_then(T::classic)
    }
}

/// Characters of a number that is repeated: those of the longest that a setting can have.
pub(super) const NUMBER_CHARS: usize = 20;

pub(super) fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Parsed<T> {
    Err(vec![ValueError::new(message, hint)])
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

pub(super) fn mistyped<T>(expected: &str, value: &DeValue<'_>, hint: &str) -> Parsed<T> {
    refuse(format!("must be {expected}, not {}", describe(value)), hint)
}

pub(super) fn text<'v>(expected: &str, value: &'v DeValue<'_>) -> Parsed<&'v str> {
    match value {
        DeValue::String(text) => Ok(text),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            mistyped(expected, value, "write it in double quotes")
        }
        DeValue::Array(_) | DeValue::Table(_) => mistyped(expected, value, ""),
    }
}

pub(super) fn list<T>(
    expected: &str,
    value: &DeValue<'_>,
    item: impl Fn(&Spanned<DeValue<'_>>) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let DeValue::Array(items) = value else {
        return mistyped(expected, value, "write it in square brackets: [\"…\", \"…\"]");
    };
    let mut read = Vec::new();
    let mut errors = Vec::new();
    for element in items.iter() {
        match item(element) {
            Ok(value) => read.push(value),
            Err(wrong) => {
                errors.extend(wrong.into_iter().map(|e| ValueError { span: Some(element.span()), ..e }));
            }
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

pub(super) fn one_of<T: Copy>(choices: &[(&'static str, T)], value: &DeValue<'_>) -> Parsed<T> {
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

pub(super) fn bracketed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}
