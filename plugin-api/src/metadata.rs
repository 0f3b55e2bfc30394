//! What a handler says of itself; the same for native plugins and for `describe` of the WIT.

use std::fmt;

use koi_hook::HookSet;
#[cfg(feature = "host")]
use serde::{Deserialize, Serialize};

/// What a handler says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its name: `shell`, or that of the plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub description: String,
    /// Which hooks it has; the others count as success at once.
    pub hooks: HookSet,
    /// What it wants of the node. Only a sandboxed handler has to ask.
    pub wants: Vec<Want>,
    /// The keys of `[config]` that it understands; none: it takes any.
    pub config: Vec<ConfigKey>,
}

/// A key of `[config]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(Serialize, Deserialize))]
pub struct ConfigKey {
    /// The key.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// What its value may be.
    pub kind: ConfigKind,
    /// It may have a list of values.
    pub many: bool,
    /// Without it the service cannot run.
    pub required: bool,
    /// What it is where `service.toml` does not say, as `service.toml` has it; empty: it has no value then. More than one only where
    /// it takes many.
    pub default: Vec<String>,
}

/// What a value of `[config]` may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(Serialize, Deserialize))]
pub enum ConfigKind {
    /// A text, a number, true or false: the handler does not say which.
    #[default]
    Any,
    /// A text.
    Text,
    /// A whole number.
    Integer {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
    },
    /// True or false.
    Boolean,
    /// A time like `30s`; the handler gets milliseconds.
    Duration,
    /// `HOST:PORT`.
    Address,
    /// An IP address, perhaps with `/BITS`.
    Ip,
    /// One of these texts.
    OneOf(Vec<String>),
    /// The text of a file that `service.toml` names. It is shown nowhere.
    Secret,
}

/// What people read: `integer 1 to 65535`, `one of fast, safe`.
impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigKind::Any => f.write_str("any"),
            ConfigKind::Text => f.write_str("text"),
            ConfigKind::Integer { least: i64::MIN, most: i64::MAX } => f.write_str("integer"),
            ConfigKind::Integer { least, most: i64::MAX } => write!(f, "integer from {least}"),
            ConfigKind::Integer { least: i64::MIN, most } => write!(f, "integer up to {most}"),
            ConfigKind::Integer { least, most } => write!(f, "integer {least} to {most}"),
            ConfigKind::Boolean => f.write_str("true or false"),
            ConfigKind::Duration => f.write_str("duration"),
            ConfigKind::Address => f.write_str("HOST:PORT"),
            ConfigKind::Ip => f.write_str("IP address"),
            ConfigKind::OneOf(texts) => write!(f, "one of {}", texts.join(", ")),
            ConfigKind::Secret => f.write_str("secret"),
        }
    }
}

/// Something of the node that a handler wants, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(Serialize, Deserialize))]
pub struct Want {
    /// What. Its texts may name keys of `[config]` in braces.
    pub capability: Capability,
    /// One line for people; empty: it does not say.
    pub reason: String,
}

/// Something of the node that `[grants]` can grant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(Serialize, Deserialize))]
pub enum Capability {
    /// Run this program with these arguments.
    Exec(Program),
    /// Run this program, an absolute path, with whatever arguments are granted: a handler of koi:service@0.1 does not say which it needs.
    ExecPath(String),
    /// Give this variable to the programs that it runs.
    ExecEnv(String),
    /// Connect to `ip:port`, `host:port` or `network/bits:port`.
    Tcp(String),
    /// Exchange datagrams with such an address.
    Udp(String),
    /// Send HTTP requests to such an address.
    Http(String),
    /// Have any name looked up.
    Lookup,
    /// Read this directory.
    Read(String),
    /// Read and write this directory.
    Write(String),
    /// See this environment variable of the daemon.
    Env(String),
}

/// A program that a handler wants to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "host", derive(Serialize, Deserialize))]
pub struct Program {
    /// An absolute path, then a word for each argument, with `*` for any text and a last `**` for any further arguments.
    pub words: Vec<String>,
    /// As which user; none: as koid.
    pub user: Option<String>,
    /// What it leaves in the background goes on after the call.
    pub keep: bool,
}

impl Capability {
    /// The key of `[grants]` that grants it.
    pub fn grant_key(&self) -> &'static str {
        match self {
            Capability::Exec(_) | Capability::ExecPath(_) => "exec",
            Capability::ExecEnv(_) => "exec-env",
            Capability::Tcp(_) => "tcp",
            Capability::Udp(_) => "udp",
            Capability::Http(_) => "http",
            Capability::Lookup => "lookup",
            Capability::Read(_) => "read",
            Capability::Write(_) => "write",
            Capability::Env(_) => "env",
        }
    }

    /// Its subject: the directory, address, variable or program's path; empty: it has none.
    pub fn subject(&self) -> &str {
        match self {
            Capability::Exec(program) => program.words.first().map(String::as_str).unwrap_or_default(),
            Capability::Lookup => "",
            Capability::ExecPath(text)
            | Capability::ExecEnv(text)
            | Capability::Tcp(text)
            | Capability::Udp(text)
            | Capability::Http(text)
            | Capability::Read(text)
            | Capability::Write(text)
            | Capability::Env(text) => text,
        }
    }

    /// All its texts: the subject, and the other words and the user of a program.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (subject, words, user) = match self {
            Capability::Exec(program) => (None, &program.words[..], program.user.as_deref()),
            other => (Some(other.subject()), &[][..], None),
        };
        subject.into_iter().chain(words.iter().map(String::as_str)).chain(user)
    }
}

/// As the line of `[grants]` that grants it: `tcp = ["127.0.0.1:6379"]`.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.grant_key();
        match self {
            Capability::Exec(program) => write!(f, "{key} = [{program}]"),
            Capability::Lookup => write!(f, "{key} = true"),
            other => write!(f, "{key} = [{:?}]", other.subject()),
        }
    }
}

/// As an entry of `exec`: `"/usr/sbin/ip link"`; a word with a space in it makes it a list, a user or `keep` a table.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
        let run = match self.words.iter().all(is_plain) {
            true => format!("{:?}", self.words.join(" ")),
            false => format!("{:?}", self.words),
        };
        if self.user.is_none() && !self.keep {
            return f.write_str(&run);
        }
        write!(f, "{{ run = {run}")?;
        if let Some(user) = &self.user {
            write!(f, ", user = {user:?}")?;
        }
        f.write_str(if self.keep { ", keep = true }" } else { " }" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str]) -> Program {
        Program { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Program::default() }
    }

    #[test]
    fn a_capability_reads_like_the_line_that_grants_it() {
        let plain = program(&["/usr/sbin/ip", "link", "*"]);
        assert_eq!(Capability::Exec(plain).to_string(), "exec = [\"/usr/sbin/ip link *\"]");
        let blank = program(&["/bin/echo", "a b"]);
        assert_eq!(Capability::Exec(blank).to_string(), "exec = [[\"/bin/echo\", \"a b\"]]");
        let kept =
            Program { user: Some("postgres".into()), keep: true, ..program(&["/usr/bin/pg_ctl", "start"]) };
        assert_eq!(
            Capability::Exec(kept).to_string(),
            "exec = [{ run = \"/usr/bin/pg_ctl start\", user = \"postgres\", keep = true }]"
        );
        assert_eq!(Capability::Lookup.to_string(), "lookup = true");
        assert_eq!(Capability::Tcp("a:1".into()).to_string(), "tcp = [\"a:1\"]");
    }

    #[test]
    fn the_kinds_of_values_are_named() {
        let integer = |least, most| ConfigKind::Integer { least, most }.to_string();
        assert_eq!(integer(1, 65535), "integer 1 to 65535");
        assert_eq!(integer(0, i64::MAX), "integer from 0");
        assert_eq!(integer(i64::MIN, i64::MAX), "integer");
        assert_eq!(ConfigKind::OneOf(vec!["a".into(), "b".into()]).to_string(), "one of a, b");
    }
}
