//! `service.toml`: what a service says of itself (docs/handlers.md).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_artifact::{Reference, ReferenceError, SCHEME};
use koi_plugin_api::Hook;
use koi_plugin_shell::open_regular;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::nearest::nearest;
use crate::config::setting::{Setting, SettingValue};
use crate::service::duration;
use crate::service::duration::DurationError;
use crate::service::policy::{POLICY_KEYS, PolicySettings, policy, truth};
use crate::service::toml_places::{TomlKey, TomlValue, in_file_order, line_of};

/// Bytes of a `service.toml`.
const MANIFEST_BYTES: u64 = 256 * 1024;

const KEYS: [&str; 7] = ["handler", "changed", "config", "timeouts", "policy", "limits", "grants"];
const TIMEOUT_KEYS: [&str; 8] =
    ["start", "stop", "promote", "demote", "status", "failed", "changed", "status_interval"];

/// Everything that a `service.toml` may say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// A plugin's name, a path to a `.so` or `.wasm`, or the reference of what was pulled, with its digest; none: by what lies in the folder.
    pub handler: Option<String>,
    /// Of a service in a single file: whether it is called with `changed` too.
    pub changed: Option<bool>,
    /// `[config]`, to be held against what the handler understands, in file order.
    pub config: Vec<Setting>,
    /// `[timeouts]`.
    pub timeouts: Timeouts,
    /// `[policy]`.
    pub policy: PolicySettings,
    /// `[limits]`, to be checked by the handler's kind.
    pub limits: toml::Table,
    /// `[grants]`, to be checked by the handler's kind.
    pub grants: toml::Table,
    /// The line of each key of `[grants]`, from 1; that of the section itself is under an empty key.
    pub grant_lines: BTreeMap<String, usize>,
}

/// `[timeouts]`: what this service wants other than `[services.timeouts]` and `timing.status_interval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// By hook, in the order of [`Hook::ALL`].
    hooks: [Option<Duration>; Hook::ALL.len()],
    /// How often `status` runs.
    pub status_interval: Option<Duration>,
}

impl Timeouts {
    /// How long `hook` may take; none: as everywhere.
    pub fn for_hook(&self, hook: Hook) -> Option<Duration> {
        self.hooks[hook as usize]
    }

    fn set(&mut self, key: &str, time: Duration) {
        match Hook::ALL.into_iter().find(|hook| hook.as_str() == key) {
            Some(hook) => self.hooks[hook as usize] = Some(time),
            None => self.status_interval = Some(time),
        }
    }
}

/// Why a `service.toml` cannot be used. Nothing of it is.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is there and cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than 256 KiB.
    #[error("{}: longer than {} KiB; is it a service.toml?", path.display(), MANIFEST_BYTES / 1024)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It does not say anything that koi understands.
    #[error("{}:{line}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there, and what to write.
        what: ManifestEntryError,
    },
}

/// What is wrong with one line of a `service.toml`.
#[derive(Debug, thiserror::Error)]
pub enum ManifestEntryError {
    /// It is not TOML.
    #[error("{0}")]
    Syntax(String),
    /// No such key.
    #[error("`{key}` is not a key of service.toml; the nearest is `{nearest}`")]
    UnknownKey {
        /// What is written.
        key: String,
        /// What may be meant.
        nearest: String,
    },
    /// A value stands where a section belongs.
    #[error("`{0}` must be a section; write [{0}]")]
    NotASection(String),
    /// Something else than a text.
    #[error("`{0}` must be a text in double quotes")]
    NotAText(String),
    /// A handler in a registry that is none.
    #[error("`handler`: {0}")]
    Reference(#[from] ReferenceError),
    /// A handler in a registry that could be another one tomorrow.
    #[error(
        "`handler`: {0} may lead to another file tomorrow; run `koi plugins pull {0}`, and write the line with sha256 that it prints"
    )]
    Unpinned(String),
    /// A date or a list of lists under `[config]`.
    #[error("`{0}` must be a text, a number, true or false; or a list of them, if the handler takes one")]
    NotASetting(String),
    /// A table under `[config]` that names no file.
    #[error("`{0}` must be a value; a secret is written {0} = {{ file = \"/PATH/TO/FILE\" }}")]
    NotAFile(String),
    /// It stands outside of its section.
    #[error("`{key}` belongs under [{section}]")]
    Misplaced {
        /// What is written.
        key: String,
        /// Where it belongs.
        section: &'static str,
    },
    /// Something else than a number, or one that is too small or too large.
    #[error("`{key}` must be a number from {least} to {most}")]
    NotANumber {
        /// Which one.
        key: String,
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// A time that is too short or too long.
    #[error("`{key}` must be a time from {} to {}", koi_duration::format(*least), koi_duration::format(*most))]
    OutOfRange {
        /// Which one.
        key: String,
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// Neither true nor false.
    #[error("`{0}` must be true or false")]
    NotATruth(String),
    /// A time that is no text.
    #[error("`{0}` must be a time in double quotes, like \"30s\"")]
    NotATime(String),
    /// A text that is no time.
    #[error("`{key}`: {source}")]
    Time {
        /// Which one.
        key: String,
        /// What is wrong with it.
        source: DurationError,
    },
}

impl Manifest {
    /// Reads the `service.toml` at `path`; none: it isn't there.
    pub fn load(path: &Path) -> Result<Option<Manifest>, ManifestError> {
        let unreadable = |source| ManifestError::Unreadable { path: path.to_owned(), source };
        let file = match open_regular(path) {
            Ok(file) => file,
            // A dangling link is a service.toml that cannot be read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = String::new();
        file.take(MANIFEST_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MANIFEST_BYTES {
            return Err(ManifestError::TooLong { path: path.to_owned() });
        }
        Manifest::parse(&text).map(Some).map_err(|SpannedError { at, what }| ManifestError::Invalid {
            path: path.to_owned(),
            line: line_of(&text, at),
            what,
        })
    }

    /// What a handler is made of. Another time-out or policy needs no new one, nor does another line for the same setting.
    pub(crate) fn of_handler(&self) -> Manifest {
        let setting = |setting: &Setting| Setting { line: 0, ..setting.clone() };
        let config = self.config.iter().map(setting).collect();
        let (timeouts, policy) = (Timeouts::default(), PolicySettings::default());
        Manifest { timeouts, policy, config, grant_lines: BTreeMap::new(), ..self.clone() }
    }

    /// The line of a key of `[grants]`, or of the section where it has no such key; none: there is no section.
    pub(crate) fn grant_line(&self, key: Option<&str>) -> Option<usize> {
        self.grant_lines.get(key.unwrap_or_default()).or_else(|| self.grant_lines.get("")).copied()
    }

    fn parse(text: &str) -> Result<Manifest, SpannedError> {
        let of_toml = |e: toml::de::Error| SpannedError {
            at: e.span().map_or(0, |s| s.start),
            what: ManifestEntryError::Syntax(e.message().to_owned()),
        };
        let table = DeTable::parse(text).map_err(of_toml)?;
        let mut raw: toml::Table = text.parse().map_err(of_toml)?;
        let mut manifest = Manifest::default();
        for (key, value) in in_file_order(table.get_ref()) {
            match key.get_ref().as_ref() {
                "handler" => manifest.handler = Some(handler(key, value)?),
                "changed" => manifest.changed = Some(truth("changed", value)?),
                "config" => manifest.config = config(section(key, value)?, text)?,
                "timeouts" => manifest.timeouts = timeouts(section(key, value)?)?,
                "policy" => manifest.policy = policy(section(key, value)?)?,
                "limits" => manifest.limits = raw_section(&mut raw, key, value)?,
                "grants" => {
                    manifest.grant_lines = grant_lines(key, section(key, value)?, text);
                    manifest.grants = raw_section(&mut raw, key, value)?;
                }
                name if POLICY_KEYS.contains(&name) => {
                    let what = ManifestEntryError::Misplaced { key: name.to_owned(), section: "policy" };
                    return Err(SpannedError::new(key, what));
                }
                _ => return Err(unknown(key, &KEYS)),
            }
        }
        Ok(manifest)
    }
}

/// Something wrong, and the byte of the text at which it stands.
#[derive(Debug)]
pub(super) struct SpannedError {
    at: usize,
    what: ManifestEntryError,
}

impl SpannedError {
    pub(super) fn new<T>(at: &Spanned<T>, what: ManifestEntryError) -> SpannedError {
        SpannedError { at: at.span().start, what }
    }
}

fn section<'t, 'i>(key: &TomlKey<'i>, value: &'t TomlValue<'i>) -> Result<&'t DeTable<'i>, SpannedError> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        _ => Err(SpannedError::new(key, ManifestEntryError::NotASection(key.get_ref().to_string()))),
    }
}

fn grant_lines(section: &TomlKey<'_>, table: &DeTable<'_>, text: &str) -> BTreeMap<String, usize> {
    let line = |key: &TomlKey<'_>| line_of(text, key.span().start);
    let keys = table.iter().map(|(key, _)| (key.get_ref().to_string(), line(key)));
    keys.chain([(String::new(), line(section))]).collect()
}

fn raw_section(
    raw: &mut toml::Table,
    key: &TomlKey<'_>,
    value: &TomlValue<'_>,
) -> Result<toml::Table, SpannedError> {
    section(key, value)?;
    match raw.remove(key.get_ref().as_ref()) {
        Some(toml::Value::Table(table)) => Ok(table),
        _ => Ok(toml::Table::new()),
    }
}

fn string(key: &TomlKey<'_>, value: &TomlValue<'_>) -> Result<String, SpannedError> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err(SpannedError::new(value, ManifestEntryError::NotAText(key.get_ref().to_string()))),
    }
}

fn handler(key: &TomlKey<'_>, value: &TomlValue<'_>) -> Result<String, SpannedError> {
    let text = string(key, value)?;
    if !text.starts_with(SCHEME) {
        return Ok(text);
    }
    let wrong = |what| SpannedError::new(value, what);
    let reference: Reference = text.parse().map_err(|error: ReferenceError| wrong(error.into()))?;
    match reference.digest {
        Some(digest) => Ok(reference.pinned(digest).to_string()),
        None => Err(wrong(ManifestEntryError::Unpinned(text))),
    }
}

fn config(table: &DeTable<'_>, text: &str) -> Result<Vec<Setting>, SpannedError> {
    let setting = |(key, value): (&TomlKey<'_>, &TomlValue<'_>)| {
        let name = key.get_ref().to_string();
        let wrong = |what: fn(String) -> ManifestEntryError| SpannedError::new(key, what(name.clone()));
        let not_a_setting = || wrong(ManifestEntryError::NotASetting);
        let found = match value.get_ref() {
            DeValue::Array(list) => {
                let texts = list.iter().map(|item| scalar(item.get_ref()).ok_or_else(not_a_setting));
                SettingValue::Many(texts.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let file = table.iter().next().filter(|(key, _)| table.len() == 1 && key.get_ref() == "file");
                match file.map(|(_, value)| value.get_ref()) {
                    Some(DeValue::String(path)) => SettingValue::File(PathBuf::from(path.as_ref())),
                    Some(_) | None => return Err(wrong(ManifestEntryError::NotAFile)),
                }
            }
            one => SettingValue::One(scalar(one).ok_or_else(not_a_setting)?),
        };
        let line = line_of(text, key.span().start);
        Ok(Setting { key: name, value: found, line })
    };
    in_file_order(table).into_iter().map(setting).collect()
}

/// A text, a number, true or false as a handler expects it.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            // However it is written: 0x10 is 16.
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Some(parsed.map_or_else(|_| number.to_string(), |n| n.to_string()))
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(yes) => Some(yes.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn timeouts(table: &DeTable<'_>) -> Result<Timeouts, SpannedError> {
    let mut timeouts = Timeouts::default();
    for (key, value) in in_file_order(table) {
        let name = key.get_ref().as_ref();
        if !TIMEOUT_KEYS.contains(&name) {
            return Err(unknown(key, &TIMEOUT_KEYS));
        }
        timeouts.set(name, time(name, value)?);
    }
    Ok(timeouts)
}

/// A time that is longer than nothing.
pub(super) fn time(key: &str, value: &TomlValue<'_>) -> Result<Duration, SpannedError> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(SpannedError::new(value, ManifestEntryError::NotATime(key.to_owned())));
    };
    duration::parse(text)
        .map_err(|source| SpannedError::new(value, ManifestEntryError::Time { key: key.to_owned(), source }))
}

pub(super) fn unknown(key: &TomlKey<'_>, known: &[&str]) -> SpannedError {
    let name = key.get_ref().to_string();
    let nearest = nearest(&name, known.iter().copied()).to_owned();
    SpannedError::new(key, ManifestEntryError::UnknownKey { key: name, nearest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Option<Manifest>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("service.toml");
        std::fs::write(&path, text).unwrap();
        Manifest::load(&path).map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    fn error(text: &str) -> String {
        load(text).unwrap_err()
    }

    #[test]
    fn everything_that_may_stand_in_it_is_read() {
        let text = "handler = \"vip\"\n[config]\nzone = \"b\"\naddress = \"10.0.0.9\"\nport = 0x10\nload = 1.50\narp = true\n\
                    peers = [\"a\", 2]\npassword = { file = \"/etc/db\" }\n[timeouts]\nstart = \"5s\"\nstatus_interval = \"1s\"\n[policy]\nstatus_failures = 3\nstatus_retry = \"2s\"\nrestarts = 2\nrestart_window = \"5m\"\nrestart_timeout = \"20s\"\ncritical = false\n[limits]\nmemory = \"64MiB\"\n[grants]\ntcp = [\"a:1\"]\n";
        let manifest = load(text).unwrap().unwrap();
        assert_eq!(manifest.handler.as_deref(), Some("vip"));
        let one = |key, value, line| Setting { line, ..Setting::said(key, value) };
        let peers = SettingValue::Many(vec!["a".into(), "2".into()]);
        let expected = [
            one("zone", "b", 3),
            one("address", "10.0.0.9", 4),
            one("port", "16", 5),
            one("load", "1.50", 6),
            one("arp", "true", 7),
            Setting { value: peers, ..one("peers", "", 8) },
            Setting { value: SettingValue::File("/etc/db".into()), ..one("password", "", 9) },
        ];
        assert_eq!(manifest.config, expected, "in file order");
        assert_eq!(manifest.timeouts.for_hook(Hook::Start), Some(Duration::from_secs(5)));
        assert_eq!(manifest.timeouts.for_hook(Hook::Stop), None);
        assert_eq!(manifest.timeouts.status_interval, Some(Duration::from_secs(1)));
        let policy = PolicySettings {
            status_failures: Some(3),
            status_retry: Some(Duration::from_secs(2)),
            restarts: Some(2),
            restart_window: Some(Duration::from_mins(5)),
            restart_timeout: Some(Duration::from_secs(20)),
            critical: Some(false),
        };
        assert_eq!(manifest.policy, policy);
        assert_eq!(manifest.limits["memory"].as_str(), Some("64MiB"));
        assert_eq!(manifest.grants["tcp"][0].as_str(), Some("a:1"));
        assert_eq!(
            (manifest.grant_line(Some("tcp")), manifest.grant_line(Some("exec"))),
            (Some(23), Some(22))
        );
        assert_eq!(Manifest::default().grant_line(None), None);
    }

    #[test]
    fn one_that_is_not_there_or_empty_says_nothing() {
        assert!(Manifest::load(Path::new("/no/such/service.toml")).unwrap().is_none());
        assert_eq!(load(""), Ok(Some(Manifest::default())));
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_the_nearest_key() {
        let nearest = |line, name, nearest| {
            format!("service.toml:{line}: `{name}` is not a key of service.toml; the nearest is `{nearest}`")
        };
        assert_eq!(error("\nhandlr = \"x\"\n"), nearest(2, "handlr", "handler"));
        assert_eq!(error("[config]\na = 1\n\n[timeout]\n"), nearest(4, "timeout", "timeouts"));
        assert_eq!(
            error("[timeouts]\nstart = \"1s\"\nstatus-interval = \"1s\"\n"),
            nearest(3, "status-interval", "status_interval")
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_an_error_with_its_line() {
        assert_eq!(error("\nhandler = 7\n"), "service.toml:2: `handler` must be a text in double quotes");
        assert_eq!(error("config = 1\n"), "service.toml:1: `config` must be a section; write [config]");
        assert_eq!(
            error("[config]\nlist = [\n[1]]\n"),
            "service.toml:2: `list` must be a text, a number, true or false; or a list of them, if the handler takes one"
        );
        for table in ["{}", "{ fil = \"/a\" }", "{ file = 1 }", "{ file = \"/a\", mode = 1 }"] {
            assert_eq!(
                error(&format!("[config]\npassword = {table}\n")),
                "service.toml:2: `password` must be a value; a secret is written password = { file = \"/PATH/TO/FILE\" }"
            );
        }
        let time = error("[timeouts]\nstop = 5\n");
        assert_eq!(time, "service.toml:2: `stop` must be a time in double quotes, like \"30s\"");
        let failures = "`status_failures` must be a number from 1 to 1000";
        for wrong in ["0", "1001", "-1", "\"3\"", "1.5"] {
            assert_eq!(
                error(&format!("[policy]\nstatus_failures = {wrong}\n")),
                format!("service.toml:2: {failures}")
            );
        }
        for (wrong, range) in [
            ("status_retry = \"1ms\"", "`status_retry` must be a time from 10ms to 24h"),
            ("restart_window = \"999h\"", "`restart_window` must be a time from 1s to 168h"),
            ("restart_timeout = \"25h\"", "`restart_timeout` must be a time from 100ms to 24h"),
        ] {
            assert_eq!(error(&format!("[policy]\n{wrong}\n")), format!("service.toml:2: {range}"));
        }
        let critical = error("[policy]\ncritical = \"no\"\n");
        assert_eq!(critical, "service.toml:2: `critical` must be true or false");
        assert_eq!(error("critical = false\n"), "service.toml:1: `critical` belongs under [policy]");
        assert!(error("[timeouts]\nstop = \"5\"\n").starts_with("service.toml:2: `stop`: `5` is not a time"));
    }

    #[test]
    fn a_handler_in_a_registry_is_named_by_its_digest() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let pinned = format!("oci://registry.example/redis@{digest}");
        let both = format!("oci://registry.example/redis:0.2.0@{digest}");
        for text in [&pinned, &both] {
            let manifest = load(&format!("handler = \"{text}\"\n")).unwrap().unwrap();
            assert_eq!(manifest.handler.as_ref(), Some(&pinned));
        }
        let why = error("\nhandler = \"oci://registry.example/redis:0.2.0\"\n");
        assert!(
            why.starts_with("service.toml:2: ")
                && why.contains("koi plugins pull oci://registry.example/redis:0.2.0"),
            "{why}"
        );
        assert!(error("handler = \"oci://redis\"\n").contains("names no registry"));
    }

    #[test]
    fn what_is_not_toml_is_an_error_with_its_line() {
        assert!(error("handler = \"x\"\n[config\n").starts_with("service.toml:2: "));
        assert!(error("handler = \"x\"\nhandler = \"y\"\n").starts_with("service.toml:2: "));
        assert!(error(&"#".repeat(300_000)).contains("longer than 256 KiB"));
    }
}
