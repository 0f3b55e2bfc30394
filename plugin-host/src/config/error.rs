//! What can be wrong with `[config]`.

use std::fmt;
use std::path::PathBuf;

use koi_plugin_api::ConfigKind;

use crate::config::value::ValueError;

/// All that is wrong with a service's `[config]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<ConfigKeyError>);

impl std::error::Error for ConfigError {}

/// One line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

/// What is wrong with one key. `line` is that of `service.toml`, 0 where it stands in none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigKeyError {
    /// The handler does not know it.
    #[error("`{key}` under [config]{} is not a key of the handler {handler}; the nearest is `{nearest}`", at(*line))]
    Unknown { key: String, line: usize, handler: String, nearest: String },
    /// The handler needs it.
    #[error(
        "`{key}`{} is missing; write {key} = {} under [config] of service.toml",
        in_brackets(description),
        example(kind, *many)
    )]
    Missing { key: String, description: String, kind: ConfigKind, many: bool },
    /// A list stands where one value belongs.
    #[error("`{key}` under [config]{} is a list, and one value is wanted: a text, a number, true or false", at(*line))]
    List { key: String, line: usize },
    /// A file is named for what is no secret.
    #[error(
        "`{key}` under [config]{} names a file, and only a key that the handler declares a secret is read from one: write the value itself",
        at(*line)
    )]
    File { key: String, line: usize },
    /// Its value is not what the handler takes. A secret is not repeated.
    #[error("`{key}` under [config]{}: {source}", at(*line))]
    Value { key: String, line: usize, source: ValueError },
    /// A secret stands in `service.toml` itself, or on a command line.
    #[error(
        "`{key}` under [config]{} is a secret: put it into a file that only root may read, and {}",
        at(*line),
        from_file(key, *line)
    )]
    Inline { key: String, line: usize },
    /// The file of a secret has no absolute path.
    #[error("`{key}` under [config]{}: {} is no absolute path", at(*line), path.display())]
    RelativeFile { key: String, line: usize, path: PathBuf },
}

fn at(line: usize) -> String {
    if line == 0 { String::new() } else { format!(" (line {line})") }
}

fn from_file(key: &str, line: usize) -> String {
    match line {
        0 => format!("say --config {key}=@FILE"),
        _ => format!("write {key} = {}", example(&ConfigKind::Secret, false)),
    }
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// A value of this kind as `service.toml` has it.
fn example(kind: &ConfigKind, many: bool) -> String {
    let one = match kind {
        ConfigKind::Any | ConfigKind::Text => "\"…\"".to_owned(),
        ConfigKind::Integer { least, most } => 0.clamp(*least, *most).to_string(),
        ConfigKind::Boolean => "true".to_owned(),
        ConfigKind::Duration => "\"10s\"".to_owned(),
        ConfigKind::Address => "\"HOST:PORT\"".to_owned(),
        ConfigKind::Ip => "\"10.0.0.9\"".to_owned(),
        ConfigKind::OneOf(texts) => format!("{:?}", texts.first().map(String::as_str).unwrap_or_default()),
        ConfigKind::Secret => "{ file = \"/etc/koi/secrets/…\" }".to_owned(),
    };
    if many { format!("[{one}]") } else { one }
}
