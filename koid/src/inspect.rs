//! `koid plugin-inspect FILE [--service DIR] [--trusted-key KEY]…`: says what a plugin's file is, without a daemon. `koi plugins inspect` starts it.
//! `koid plugin-grants` with the same words says what it wants, for `koi plugins grants`.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use koi_artifact::signature::{KeyError, TrustedKey, TrustedKeys};
use koi_plugin_host::{
    ConfigError, GrantsSection, Host, Manifest, PluginInfo, Registry, Resolver, Setting, Sources,
    discover_one,
};
use serde_json::{Value, json};

use crate::api;
use crate::reporting::say;

/// The first words on the command line.
pub(crate) const INSPECT: &str = "plugin-inspect";
pub(crate) const GRANTS: &str = "plugin-grants";

/// Why a plugin is not inspected.
#[derive(Debug, thiserror::Error)]
enum InspectError {
    #[error("name one plugin's file")]
    Usage,
    #[error("{} cannot be looked at: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is no plugin: those end in .so or .wasm", .0.display())]
    NoPlugin(PathBuf),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("no folder to look at it in can be made: {0}")]
    NoFolder(io::Error),
    /// The service's folder cannot be read, and why.
    #[error("{0}")]
    Service(String),
    #[error("{} cannot be looked at", .0.display())]
    Unknown(PathBuf),
    /// The plugin cannot be used: a sentence that names it.
    #[error("{0}")]
    Unusable(String),
    #[error("{}: {error}", .service.display())]
    Config { service: PathBuf, error: ConfigError },
}

/// What is asked for.
#[derive(Default)]
struct InspectRequest {
    file: PathBuf,
    service: Option<PathBuf>,
    /// Whose signatures count.
    trusted_keys: Vec<TrustedKey>,
}

/// Prints all that is known of the plugin as JSON; if it cannot be used, that with its `error`, and exit code 1. What cannot be looked
/// at at all is `refused`, and the exit code 2.
pub(crate) fn inspect(words: &[OsString]) -> ExitCode {
    answer(INSPECT, words, |asked| {
        let detail =
            look_into(asked, |registry, info| api::endpoints::plugins::detail(registry, info, None))?;
        let well = detail.plugin.state == "ready" && detail.used_by.iter().all(|used| used.problem.is_none());
        Ok((serde_json::to_value(detail).unwrap_or_default(), well))
    })
}

/// Prints what the plugin wants as JSON: `section` has it as `[grants]` of `service.toml`. Errors are as those of [`inspect`].
pub(crate) fn grants(words: &[OsString]) -> ExitCode {
    answer(GRANTS, words, |asked| {
        let info = look_into(asked, |_, info| info.clone())?;
        let Some(facts) = info.facts.filter(|_| info.ready) else {
            let why = info.error.map(|error| error.with_path(&asked.file));
            return Err(InspectError::Unusable(why.unwrap_or_else(|| asked.file.display().to_string())));
        };
        let settings = asked.service.as_deref().map(settings).transpose()?;
        let section = GrantsSection::new(&facts.metadata, settings.as_deref());
        let section = section.map_err(|error| InspectError::Config {
            service: asked.service.clone().unwrap_or_default(),
            error,
        })?;
        let wants: Vec<_> = section.wants.iter().map(api::endpoints::plugins::wanted).collect();
        let (name, version) = (facts.metadata.name, facts.metadata.version);
        let said = json!({
            "name": name, "version": version, "section": section.to_string(), "wants": wants,
            "dangerous": section.is_dangerous,
        });
        Ok((said, true))
    })
}

/// Prints an answer to what is asked for, and whether all is well.
fn answer(
    word: &str,
    words: &[OsString],
    make: impl FnOnce(&InspectRequest) -> Result<(Value, bool), InspectError>,
) -> ExitCode {
    let asked = match read(words) {
        Ok(asked) => asked,
        Err(why) => {
            let refused = match why {
                InspectError::Usage => {
                    format!("{why}; koid {word} FILE [--service DIR] [--trusted-key KEY]…")
                }
                other => other.to_string(),
            };
            say::error(&format!("koid: {refused}"));
            // For `koi plugins`.
            say::line_as_it_is(&json!({ "refused": refused }).to_string());
            return ExitCode::from(2);
        }
    };
    match make(&asked) {
        Ok((said, well)) => {
            say::line_as_it_is(&said.to_string());
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            say::line_as_it_is(&json!({ "error": why.to_string() }).to_string());
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[OsString]) -> Result<InspectRequest, InspectError> {
    let absolute = |word: &OsString| {
        fs::canonicalize(word).map_err(|source| InspectError::Unreadable { path: word.into(), source })
    };
    let [file, options @ ..] = words else { return Err(InspectError::Usage) };
    let mut asked = InspectRequest { file: absolute(file)?, ..InspectRequest::default() };
    for option in options.chunks(2) {
        match option {
            [flag, service] if flag == "--service" => asked.service = Some(absolute(service)?),
            [flag, key] if flag == "--trusted-key" => {
                asked.trusted_keys.push(key.to_string_lossy().parse()?);
            }
            _ => return Err(InspectError::Usage),
        }
    }
    Ok(asked)
}

/// Loads the plugin, and makes of it what is asked for.
fn look_into<T>(
    asked: &InspectRequest,
    make: impl FnOnce(&Registry, &PluginInfo) -> T,
) -> Result<T, InspectError> {
    if !asked.file.extension().is_some_and(|ending| ending == "so" || ending == "wasm") {
        return Err(InspectError::NoPlugin(asked.file.clone()));
    }
    let folder = tempfile::Builder::new().prefix("koi-inspect-").tempdir();
    let folder = folder.map_err(InspectError::NoFolder)?;
    let (host, keeps) = place(folder.path(), &asked.file);
    let progress = Arc::new(|sentence: &str| say::error(&format!("koid: {sentence}")));
    let sources =
        Sources { trusted_keys: TrustedKeys::new(asked.trusted_keys.clone()), ..Sources::default() };
    let registry =
        Registry::new(host.clone(), folder.path().to_owned()).with_progress(progress).with_sources(sources);
    let info = look(&registry, asked)?;
    let made = make(&registry, &info);
    if let Some(hash) = info.hash.filter(|_| keeps) {
        // Only compiled code is worth keeping. It is removed at another time if it cannot be now.
        let _ = fs::remove_file(host.pinned_dir().join(hash.to_string()));
    }
    Ok(made)
}

/// What the service in this folder says under `[config]`.
fn settings(service: &Path) -> Result<Vec<Setting>, InspectError> {
    let manifest = Manifest::load(&service.join("service.toml"));
    let manifest = manifest.map_err(|why| InspectError::Service(why.to_string()))?;
    Ok(manifest.unwrap_or_default().config)
}

fn look(registry: &Registry, asked: &InspectRequest) -> Result<PluginInfo, InspectError> {
    if let Some(service) = &asked.service {
        let found = discover_one(service, Some(&asked.file), registry);
        let found = found.map_err(|why| InspectError::Service(why.to_string()))?;
        // What is wrong is found again in what is known of the plugin.
        let _ = registry.open(&found);
    }
    registry.plugin_in(&asked.file).ok_or_else(|| InspectError::Unknown(asked.file.clone()))
}

/// Where the plugin is looked at: a component where its compiled code stays, so that it is compiled once.
fn place(folder: &Path, file: &Path) -> (Host, bool) {
    let program = PathBuf::from("/proc/self/exe");
    let is_component = file.extension().is_some_and(|ending| ending == "wasm");
    let cache = if is_component { cache() } else { None };
    let keeps = cache.is_some();
    let dir = cache.unwrap_or_else(|| folder.to_owned());
    (Host { program, dir, protected: Vec::new(), resolver: Resolver::default(), stand_in: None }, keeps)
}

/// `$XDG_CACHE_HOME/koi`, for this user alone; none: there is no place for it.
fn cache() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let dir = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?.join("koi");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok().map(|()| dir)
}
