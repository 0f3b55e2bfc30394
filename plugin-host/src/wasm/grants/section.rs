//! `[grants]` as a table: which keys there are and of which kind.

use toml::{Table, Value};

use super::KEYS;

/// Entries of one key.
const ENTRIES: usize = 256;

/// `[grants]`, with known keys only.
pub(super) struct Section<'t>(&'t Table);

impl<'t> Section<'t> {
    pub(super) fn of(table: &'t Table) -> Result<Section<'t>, String> {
        match table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => {
                let nearest = nearest(key);
                Err(format!("`{key}` is not a key of [grants]; the nearest is `{nearest}`"))
            }
            None => Ok(Section(table)),
        }
    }

    /// `key = true`; not there: false.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        match self.0.get(key) {
            None => Ok(false),
            Some(Value::Boolean(yes)) => Ok(*yes),
            Some(_) => Err(format!("`{key}` under [grants] must be true or false, without quotes")),
        }
    }

    /// `key = ["…", "…"]`, each made into what it means. The error of `make` is the end of a sentence.
    pub(super) fn each<T>(
        &self,
        key: &str,
        make: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.list(key)?
            .iter()
            .map(|value| match value {
                Value::String(text) => {
                    make(text).map_err(|why| format!("`{key}` under [grants]: \"{text}\": {why}"))
                }
                other => Err(wrong_kind(key, other)),
            })
            .collect()
    }

    /// Like [`each`](Section::each), of command lines: a text is split at its spaces, a list has a word in each entry.
    pub(super) fn command_lines<T>(
        &self,
        key: &str,
        make: impl Fn(&[&str]) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.list(key)?
            .iter()
            .map(|value| {
                let words: Option<Vec<&str>> = match value {
                    Value::String(text) => Some(text.split_ascii_whitespace().collect()),
                    Value::Array(words) => words.iter().map(Value::as_str).collect(),
                    _ => None,
                };
                let words = words.ok_or_else(|| wrong_kind(key, value))?;
                make(&words).map_err(|why| format!("`{key}` under [grants]: {value}: {why}"))
            })
            .collect()
    }

    fn list(&self, key: &str) -> Result<&'t [Value], String> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) if list.len() <= ENTRIES => Ok(list),
            Some(Value::Array(_)) => Err(format!("`{key}` under [grants] has more than {ENTRIES} entries")),
            Some(Value::String(text)) => {
                Err(format!("`{key}` under [grants] must be a list; write {key} = [{text:?}]"))
            }
            Some(other) => Err(wrong_kind(key, other)),
        }
    }
}

fn wrong_kind(key: &str, value: &Value) -> String {
    let example = match key {
        "read" | "write" => "/srv/data",
        "tcp" | "udp" => "10.0.0.5:6379",
        "exec" => "/usr/sbin/ip addr show dev eth0",
        "http" => "api.example:443",
        _ => "LANG",
    };
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!(
        "`{key}` under [grants] has {article} {kind} in it; write a list of texts, like {key} = [\"{example}\"]"
    )
}

fn nearest(key: &str) -> &'static str {
    let likeness = |candidate: &&&str| (strsim::jaro_winkler(key, candidate) * 1000.0) as u32;
    KEYS.iter().max_by_key(likeness).copied().unwrap_or_default()
}
