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
    /// As it is said on a command line: `@FILE` is the text of that file, which only secrets take, and `@@…` a text that begins with `@`.
    pub fn of_command_line(key: &str, value: &str) -> Setting {
        let value = match value.strip_prefix('@') {
            Some(text) if text.starts_with('@') => SettingValue::One(text.to_owned()),
            // From the folder that the command was given in.
            Some(path) => SettingValue::File(std::path::absolute(path).unwrap_or_else(|_| path.into())),
            None => SettingValue::One(value.to_owned()),
        };
        Setting { key: key.to_owned(), value, line: 0 }
    }

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
