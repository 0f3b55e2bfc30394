//! Reading of one section of a test file: each key is known, and has a value of its kind.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use crate::config::nearest::nearest;
use crate::config::setting::SettingValue;
use crate::scripted::file::error::{SpannedEntryError, TestEntryError};
use crate::service::duration;
use crate::service::toml_places::{TomlValue, in_file_order};

pub(super) type Value<'i> = TomlValue<'i>;
pub(super) type Result<T> = std::result::Result<T, SpannedEntryError>;

/// A section.
pub(super) struct Fields<'t, 'i> {
    table: &'t DeTable<'i>,
    /// As people call it.
    section: &'static str,
    /// Where it begins.
    pub(super) at: usize,
}

impl<'t, 'i> Fields<'t, 'i> {
    /// Of a section that has only these keys.
    pub(super) fn of(
        table: &'t DeTable<'i>,
        at: usize,
        section: &'static str,
        keys: &[&str],
    ) -> Result<Fields<'t, 'i>> {
        for (key, _) in in_file_order(table) {
            if !keys.contains(&key.get_ref().as_ref()) {
                let (key_text, nearest) =
                    (key.get_ref().to_string(), nearest(key.get_ref(), keys.iter().copied()).to_owned());
                let what = TestEntryError::UnknownKey { key: key_text, section, nearest };
                return Err(SpannedEntryError::of(key, what));
            }
        }
        // An array of tables begins where its first key does, for whoever looks for the line.
        Ok(Fields { table, section, at })
    }

    /// The section that stands as `value` under `key`.
    pub(super) fn within(
        key: &str,
        value: &'t Value<'i>,
        section: &'static str,
        keys: &[&str],
    ) -> Result<Fields<'t, 'i>> {
        let DeValue::Table(table) = value.get_ref() else { return Err(kind(value, key, "a section")) };
        Fields::of(table, value.span().start, section, keys)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'t Value<'i>> {
        self.table.get(key)
    }

    pub(super) fn missing(&self, key: &'static str, example: &'static str) -> SpannedEntryError {
        SpannedEntryError::new(self.at, TestEntryError::Missing { section: self.section, key, example })
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key).map(|value| text(key, value)).transpose()
    }

    pub(super) fn number<N: TryFrom<i64>>(&self, key: &str, expected: &'static str) -> Result<Option<N>> {
        self.get(key).map(|value| number(key, value, expected)).transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key).map(|value| (value, value.get_ref())) {
            None => Ok(false),
            Some((_, DeValue::Boolean(yes))) => Ok(*yes),
            Some((value, _)) => Err(kind(value, key, "true or false, without quotes")),
        }
    }

    pub(super) fn time(&self, key: &str) -> Result<Option<Duration>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            _ => return Err(kind(value, key, "a time in double quotes, like \"30s\"")),
        };
        let wrong = |source| TestEntryError::Time { key: key.to_owned(), source };
        duration::parse(text).map(Some).map_err(|source| SpannedEntryError::of(value, wrong(source)))
    }

    /// The elements of a list; none: there is no such key.
    pub(super) fn list(&self, key: &str) -> Result<&'t [Value<'i>]> {
        match self.get(key).map(|value| (value, value.get_ref())) {
            None => Ok(&[]),
            Some((_, DeValue::Array(list))) => Ok(elements(list)),
            Some((value, _)) => Err(kind(value, key, "a list; write [ … ], or [[ … ]] for sections")),
        }
    }

    /// Names and values in file order; none: there is no such key.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(String, &'t Value<'i>)>> {
        match self.get(key).map(|value| (value, value.get_ref())) {
            None => Ok(Vec::new()),
            Some((_, DeValue::Table(table))) => Ok(in_file_order(table)
                .into_iter()
                .map(|(name, value)| (name.get_ref().to_string(), value))
                .collect()),
            Some((value, _)) => Err(kind(value, key, "a section; write { name = \"value\" }")),
        }
    }

    /// Names with texts; none: there is no such key.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<(String, String)>> {
        let pairs = self.pairs(key)?.into_iter();
        pairs.map(|(name, value)| setting(&name, value).map(|text| (name, text))).collect()
    }

    /// Names with what may stand behind them under `[config]` of a `service.toml`; none: there is no such key.
    pub(super) fn settings(&self, key: &str) -> Result<Vec<(String, SettingValue)>> {
        let setting_of = |(name, value): (String, &Value<'_>)| {
            let found = match value.get_ref() {
                DeValue::Array(list) => {
                    SettingValue::Many(list.iter().map(|one| setting(&name, one)).collect::<Result<_>>()?)
                }
                _ => SettingValue::One(setting(&name, value)?),
            };
            Ok((name, found))
        };
        self.pairs(key)?.into_iter().map(setting_of).collect()
    }

    /// A part of a `service.toml`, as that has it.
    pub(super) fn raw(&self, key: &str) -> Result<toml::Table> {
        let Some(value) = self.get(key) else { return Ok(toml::Table::new()) };
        match plain(value) {
            Some(toml::Value::Table(table)) => Ok(table),
            _ => Err(kind(value, key, "a section, as in service.toml")),
        }
    }
}

fn elements<'t, 'i>(list: &'t DeArray<'i>) -> &'t [Value<'i>] {
    list
}

pub(super) fn kind(value: &Value<'_>, key: &str, expected: &'static str) -> SpannedEntryError {
    SpannedEntryError::of(value, TestEntryError::Kind { key: key.to_owned(), expected })
}

pub(super) fn text(key: &str, value: &Value<'_>) -> Result<String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(kind(value, key, "a text in double quotes")),
    }
}

/// A text, or what stands for one in `[config]` of a `service.toml`.
pub(super) fn setting(key: &str, value: &Value<'_>) -> Result<String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(_) => number::<i64>(key, value, "a number of 64 bits").map(|n| n.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Ok(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            Err(kind(value, key, "a text, a number, true or false"))
        }
    }
}

pub(super) fn number<N: TryFrom<i64>>(key: &str, value: &Value<'_>, expected: &'static str) -> Result<N> {
    let DeValue::Integer(number) = value.get_ref() else { return Err(kind(value, key, expected)) };
    let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
    parsed.and_then(|n| N::try_from(n).ok()).ok_or_else(|| kind(value, key, expected))
}

/// The one of `words` that `value` is; `what` they are.
pub(super) fn word<W: Clone>(
    value: &Value<'_>,
    key: &str,
    what: &'static str,
    words: &[(&str, W)],
) -> Result<W> {
    let text = text(key, value)?;
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, meant)) => Ok(meant.clone()),
        None => {
            let nearest = nearest(&text, known).to_owned();
            Err(SpannedEntryError::of(value, TestEntryError::UnknownWord { word: text, what, nearest }))
        }
    }
}

/// The same without places; none: a number that does not fit.
fn plain(value: &Value<'_>) -> Option<toml::Value> {
    Some(match value.get_ref() {
        DeValue::String(text) => toml::Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok()?.into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(moment) => toml::Value::Datetime(*moment),
        DeValue::Array(list) => list.iter().map(plain).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.get_ref().to_string(), plain(value)?)));
            entries.collect::<Option<toml::Table>>()?.into()
        }
    })
}

/// The later value of a name counts.
pub(super) fn laid_over<V: Clone>(
    below: &BTreeMap<String, V>,
    over: Vec<(String, V)>,
) -> BTreeMap<String, V> {
    let mut all = below.clone();
    all.extend(over);
    all
}
