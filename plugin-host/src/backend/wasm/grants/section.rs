//! `[grants]` as a table: which keys there are and of which kind.

use toml::{Table, Value};

use crate::backend::wasm::grants::error::{EntryError, GrantError, ProgramError};
use crate::config::nearest::nearest;

/// The keys of `[grants]`.
pub(super) const KEYS: [&str; 11] =
    ["read", "write", "tcp", "udp", "lookup", "env", "exec", "exec-env", "http", "dangerous", "user"];

/// Entries of one key.
const ENTRIES: usize = 256;

/// `[grants]`, with known keys only.
pub(super) struct Section<'t>(&'t Table);

impl<'t> Section<'t> {
    pub(super) fn from_table(table: &'t Table) -> Result<Section<'t>, GrantError> {
        match table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => Err(GrantError::UnknownKey { key: key.clone(), nearest: nearest(key, KEYS) }),
            None => Ok(Section(table)),
        }
    }

    /// `key = true`; not there: false.
    pub(super) fn flag(&self, key: &str) -> Result<bool, GrantError> {
        match self.0.get(key) {
            None => Ok(false),
            Some(Value::Boolean(yes)) => Ok(*yes),
            Some(_) => Err(GrantError::NotABoolean { key: key.to_owned() }),
        }
    }

    /// `key = "…"`, made into what it means; not there: none.
    pub(super) fn text<T, E: Into<EntryError>>(
        &self,
        key: &str,
        make: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, GrantError> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => match make(text) {
                Ok(made) => Ok(Some(made)),
                Err(error) => Err(wrong_entry(key, format!("{text:?}"), error)),
            },
            Some(other) => Err(GrantError::NotAText { key: key.to_owned(), kind: with_article(other) }),
        }
    }

    /// `key = ["…", "…"]`, each made into what it means.
    pub(super) fn each<T, E: Into<EntryError>>(
        &self,
        key: &str,
        make: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, GrantError> {
        self.list(key)?
            .iter()
            .map(|value| match value {
                Value::String(text) => {
                    make(text).map_err(|error| wrong_entry(key, format!("\"{text}\""), error))
                }
                other => Err(wrong_kind(key, other)),
            })
            .collect()
    }

    /// Like [`each`](Section::each), of command lines: a text is split at its spaces, a list has a word in each entry. A table has the
    /// command line under `run`, and more to say of it.
    pub(super) fn command_lines<T>(
        &self,
        key: &str,
        make: impl Fn(&CommandLine<'_>) -> Result<T, ProgramError>,
    ) -> Result<Vec<T>, GrantError> {
        self.list(key)?
            .iter()
            .map(|value| {
                let wrong = |error| wrong_entry(key, value.to_string(), error);
                let line = match value {
                    Value::Table(table) => CommandLine::from_table(table).map_err(wrong)?,
                    other => {
                        let words = words(other).ok_or_else(|| wrong_kind(key, other))?;
                        CommandLine { words, user: None, keep: false }
                    }
                };
                make(&line).map_err(wrong)
            })
            .collect()
    }

    fn list(&self, key: &str) -> Result<&'t [Value], GrantError> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) if list.len() <= ENTRIES => Ok(list),
            Some(Value::Array(_)) => Err(GrantError::TooManyEntries { key: key.to_owned(), most: ENTRIES }),
            Some(Value::String(text)) => {
                Err(GrantError::NotAList { key: key.to_owned(), text: text.clone() })
            }
            Some(other) => Err(wrong_kind(key, other)),
        }
    }
}

/// An entry of `exec`.
pub(super) struct CommandLine<'t> {
    pub(super) words: Vec<&'t str>,
    /// As whom it runs; none: as koid.
    pub(super) user: Option<&'t str>,
    /// What it leaves in the background is left alone.
    pub(super) keep: bool,
}

impl<'t> CommandLine<'t> {
    fn from_table(table: &'t Table) -> Result<CommandLine<'t>, ProgramError> {
        let mut line = CommandLine { words: Vec::new(), user: None, keep: false };
        for (key, value) in table {
            match (key.as_str(), value) {
                ("run", value) => line.words = words(value).ok_or(ProgramError::Run)?,
                ("user", Value::String(user)) => line.user = Some(user),
                ("user", _) => return Err(ProgramError::User),
                ("keep", Value::Boolean(keep)) => line.keep = *keep,
                ("keep", _) => return Err(ProgramError::Keep),
                (other, _) => return Err(ProgramError::UnknownKey(other.to_owned())),
            }
        }
        if line.words.is_empty() { Err(ProgramError::Run) } else { Ok(line) }
    }
}

fn words(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(text.split_ascii_whitespace().collect()),
        Value::Array(words) => words.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn wrong_entry(key: &str, entry: String, error: impl Into<EntryError>) -> GrantError {
    GrantError::Entry { key: key.to_owned(), entry, source: error.into() }
}

fn wrong_kind(key: &str, value: &Value) -> GrantError {
    let example = match key {
        "read" | "write" => "/srv/data",
        "tcp" | "udp" => "10.0.0.5:6379",
        "exec" => "/usr/sbin/ip addr show dev eth0",
        "http" => "api.example:443",
        _ => "LANG",
    };
    GrantError::WrongKind { key: key.to_owned(), kind: with_article(value), example }
}

fn with_article(value: &Value) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}
