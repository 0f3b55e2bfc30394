//! A configuration under construction.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Keys with their sections (`"timing.heartbeat"`) and values as they stand in TOML.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Sets a key; `value` is TOML, so texts are in quotes.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets a key to a text.
    pub fn set_text(&mut self, key: &str, value: impl std::fmt::Display) {
        self.set(key, format!("{:?}", value.to_string()));
    }

    /// Leaves a key out.
    pub fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// The file.
    pub fn to_toml(&self) -> String {
        let mut sections: BTreeMap<&str, String> = BTreeMap::new();
        for (key, value) in &self.0 {
            let (section, key) = key.rsplit_once('.').expect("a setting is called section.key");
            let _ = writeln!(sections.entry(section).or_default(), "{key} = {value}");
        }
        sections.iter().map(|(section, lines)| format!("[{section}]\n{lines}\n")).collect()
    }
}
