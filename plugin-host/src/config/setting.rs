//! A line of `[config]` as it stands there.

use std::path::PathBuf;

/// A key of `[config]` with its value, whatever the handler makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub key: String,
    /// What stands behind it.
    pub value: SettingValue,
    /// The line of `service.toml`, from 1; 0: it stands in none.
    pub line: usize,
}

/// What stands behind a key of `[config]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A text; a number, true or false as text.
    One(String),
    /// A list of such.
    Many(Vec<String>),
    /// `{ file = "PATH" }`: the text of that file.
    File(PathBuf),
}

impl Setting {
    /// A text that stands in no file.
    pub fn said(key: &str, value: &str) -> Setting {
        Setting { key: key.to_owned(), value: SettingValue::One(value.to_owned()), line: 0 }
    }
}

/// A service's configuration as its handler gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// What is said, in file order, and the handler's defaults for the rest. A key with many values is there once for each.
    pub values: Vec<(String, String)>,
    /// Keys whose values are read from files at each call.
    pub secrets: Vec<SecretFile>,
}

/// A key of `[config]`, and the file that has its value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SecretFile {
    /// The key.
    pub key: String,
    /// The file, an absolute path.
    pub path: PathBuf,
}
