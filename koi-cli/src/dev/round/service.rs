//! The `service.toml` that a component is tried with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{HANDLER, MANIFEST};
use crate::cli::Dev;

/// How often `status` runs where the service does not say: an author wants to see what it says.
const STATUS_INTERVAL: &str = "1s";

/// Bytes of a `service.toml`, as koid takes them.
const READ_BYTES: u64 = 256 * 1024;

/// What the author says of the service.
#[derive(Clone, Debug)]
pub(super) struct ServiceSource {
    /// The folder with a `service.toml`; none: there is no such service yet.
    pub(super) folder: Option<PathBuf>,
    /// Keys of `[config]` with their values, as they stand on the command line.
    settings: Vec<(String, String)>,
}

/// Why a `service.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {} KiB", .0.display(), READ_BYTES / 1024)]
    TooLong(PathBuf),
    #[error("{}: {source}", path.display())]
    Toml { path: PathBuf, source: Box<toml::de::Error> },
    #[error("{}: [{section}] must be a section", path.display())]
    NoSection { path: PathBuf, section: &'static str },
    #[error("no service.toml can be written: {0}")]
    Write(#[from] toml::ser::Error),
}

impl ServiceSource {
    pub(super) fn new(args: &Dev) -> ServiceSource {
        let pair =
            |setting: &String| setting.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        ServiceSource {
            folder: args.service.clone(),
            settings: args.settings.iter().filter_map(pair).collect(),
        }
    }

    /// The text of `service.toml`, without `[grants]` unless the service has some.
    pub(super) fn text(&self) -> Result<String, ServiceError> {
        let path = self.path();
        let mut table = match self.folder {
            Some(_) => read(&path)?,
            None => Table::new(),
        };
        // The component lies in the service's folder, and is its handler.
        table.remove("handler");
        let config = section(&mut table, "config", &path)?;
        for (at, (key, value)) in self.settings.iter().enumerate() {
            let value = said(value);
            let is_first = self.settings[..at].iter().all(|(before, _)| before != key);
            match config.get_mut(key) {
                Some(Value::Array(all)) if !is_first => all.push(value),
                Some(one) if !is_first => *one = Value::Array(vec![one.clone(), value]),
                Some(_) | None => drop(config.insert(key.clone(), value)),
            }
        }
        let timeouts = section(&mut table, "timeouts", &path)?;
        if !timeouts.contains_key("status_interval") {
            timeouts.insert("status_interval".to_owned(), Value::String(STATUS_INTERVAL.to_owned()));
        }
        Ok(toml::to_string(&table)?)
    }

    fn path(&self) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new(".")).join(MANIFEST)
    }

    /// What koid says of the copy that it was shown, said of what the author wrote.
    pub(super) fn in_own_words(&self, said: &str, staged: &Path, component: &Path) -> String {
        let copy = staged.display().to_string();
        let said =
            said.replace(&staged.join(HANDLER).display().to_string(), &component.display().to_string());
        let own = self.folder.as_ref().map(|folder| folder.display().to_string());
        // Lines of the copy are not those of the file.
        let mut words = said;
        while let Some(at) = words.find(&format!("{copy}/service.toml:")) {
            let rest = &words[at + copy.len() + "/service.toml:".len()..];
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let file = own.as_ref().map_or("--config".to_owned(), |own| format!("{own}/service.toml"));
            words = format!("{}{file}{after}", &words[..at]);
        }
        for (key, _) in &self.settings {
            let in_file = format!("write {key} = {{ file = \"/etc/koi/secrets/…\" }}");
            words = words.replace(&in_file, &format!("say --config {key}=@FILE"));
        }
        words.replace(&copy, own.as_deref().unwrap_or("the service"))
    }
}

/// A value of the command line: `@FILE` is the text of that file, which only secrets take, and `@@…` a text that begins with `@`.
fn said(value: &str) -> Value {
    match value.strip_prefix('@') {
        Some(text) if text.starts_with('@') => Value::String(text.to_owned()),
        Some(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            let file = Value::String(path.to_string_lossy().into_owned());
            Value::Table([("file".to_owned(), file)].into_iter().collect())
        }
        None => Value::String(value.to_owned()),
    }
}

fn read(path: &Path) -> Result<Table, ServiceError> {
    let unreadable = |source| ServiceError::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > READ_BYTES {
        return Err(ServiceError::TooLong(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    text.parse().map_err(|source| ServiceError::Toml { path: path.to_owned(), source: Box::new(source) })
}

fn section<'t>(table: &'t mut Table, name: &'static str, path: &Path) -> Result<&'t mut Table, ServiceError> {
    let value = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
    value.as_table_mut().ok_or_else(|| ServiceError::NoSection { path: path.to_owned(), section: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(folder: Option<&Path>, settings: &[&str]) -> ServiceSource {
        ServiceSource::new(&Dev {
            service: folder.map(Path::to_owned),
            settings: settings.iter().map(|text| (*text).to_owned()).collect(),
            ..Dev::default()
        })
    }

    #[test]
    fn settings_make_a_configuration_and_one_given_twice_is_a_list() {
        let text = source(None, &["a=1", "b=x=\"y\"", "c=1", "c=2", "c=3"]).text().unwrap();
        let table: Table = text.parse().unwrap();
        let config = table["config"].as_table().unwrap();
        assert_eq!((config["a"].as_str(), config["b"].as_str()), (Some("1"), Some("x=\"y\"")));
        assert_eq!(config["c"].as_array().unwrap().len(), 3);
        assert_eq!(table["timeouts"]["status_interval"].as_str(), Some("1s"));
        assert!(table.get("grants").is_none());
    }

    #[test]
    fn a_secret_is_named_by_its_file() {
        let text = source(None, &["a=@/s/a", "b=@@b", "c=@c"]).text().unwrap();
        let table: Table = text.parse().unwrap();
        let config = table["config"].as_table().unwrap();
        assert_eq!((config["a"]["file"].as_str(), config["b"].as_str()), (Some("/s/a"), Some("@b")));
        assert!(
            config["c"]["file"].as_str().is_some_and(|path| path.starts_with('/') && path.ends_with("/c"))
        );
    }

    #[test]
    fn a_service_keeps_what_it_says_but_for_its_handler_and_what_is_set_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.toml");
        let toml = "handler = \"db\"\n[config]\na = [\"1\", \"2\"]\nb = 2\n[timeouts]\nstatus_interval = \"5s\"\n[grants]\ntcp = [\"h:1\"]\n";
        fs::write(&path, toml).unwrap();
        let table: Table = source(Some(folder.path()), &["a=9"]).text().unwrap().parse().unwrap();
        assert!(table.get("handler").is_none());
        assert_eq!(table["config"]["a"].as_str(), Some("9"));
        assert_eq!(table["config"]["b"].as_integer(), Some(2));
        assert_eq!(table["timeouts"]["status_interval"].as_str(), Some("5s"));
        assert_eq!(table["grants"]["tcp"][0].as_str(), Some("h:1"));

        fs::write(&path, "[config\n").unwrap();
        let wrong = source(Some(folder.path()), &[]).text().unwrap_err().to_string();
        assert!(wrong.contains("service.toml: TOML parse error at line 1"), "{wrong}");
        fs::write(&path, "config = 1\n").unwrap();
        let wrong = source(Some(folder.path()), &[]).text().unwrap_err().to_string();
        assert!(wrong.ends_with("[config] must be a section"), "{wrong}");
    }

    #[test]
    fn what_is_wrong_with_the_copy_is_said_of_the_file() {
        let own = source(Some(Path::new("/s/db")), &[]);
        let said = own.in_own_words(
            "/tmp/k/staged/service.toml:4: `x` is not a key",
            Path::new("/tmp/k/staged"),
            Path::new("h.wasm"),
        );
        assert_eq!(said, "/s/db/service.toml: `x` is not a key");
        let none = source(None, &[]);
        let said = "/tmp/k/staged/handler.wasm: empty; /tmp/k/staged: `x` is missing";
        let said = none.in_own_words(said, Path::new("/tmp/k/staged"), Path::new("h.wasm"));
        assert_eq!(said, "h.wasm: empty; the service: `x` is missing");
        let secret =
            "/tmp/k/staged/service.toml:2: `t` is a secret: write t = { file = \"/etc/koi/secrets/…\" }";
        let said =
            source(None, &["t=x"]).in_own_words(secret, Path::new("/tmp/k/staged"), Path::new("h.wasm"));
        assert_eq!(said, "--config: `t` is a secret: say --config t=@FILE");
    }
}
