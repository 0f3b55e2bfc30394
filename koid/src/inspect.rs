//! `koid plugin-inspect FILE [--service DIR]`: says what a plugin's file is, without a daemon. `koi plugins inspect` starts it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use koi_plugin_host::{Host, PluginInfo, Registry, Resolver, discover_one};

use crate::api;
use crate::reporting::say;

/// The first word on the command line.
pub(crate) const WORD: &str = "plugin-inspect";

const USAGE: &str = "koid plugin-inspect FILE [--service DIR]";

/// Why a plugin is not inspected.
#[derive(Debug, thiserror::Error)]
enum InspectError {
    #[error("name one plugin's file")]
    Usage,
    #[error("{} cannot be looked at: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is no plugin: those end in .so or .wasm", .0.display())]
    NoPlugin(PathBuf),
    #[error("no folder to look at it in can be made: {0}")]
    NoFolder(io::Error),
    /// The service's folder cannot be read, and why.
    #[error("{0}")]
    Service(String),
    #[error("{} cannot be looked at", .0.display())]
    Unknown(PathBuf),
}

/// What is asked for.
struct InspectRequest {
    file: PathBuf,
    service: Option<PathBuf>,
}

/// Prints all that is known of the plugin as JSON; if it cannot be used, that with its `error`, and exit code 1. What cannot be looked
/// at at all is `refused`, and the exit code 2.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let asked = match read(words) {
        Ok(asked) => asked,
        Err(why) => {
            let refused = format!("{why}; {USAGE}");
            say::error(&format!("koid: {refused}"));
            // For `koi plugins inspect`.
            say::line_as_it_is(&serde_json::json!({ "refused": refused }).to_string());
            return ExitCode::from(2);
        }
    };
    match inspect(&asked) {
        Ok(detail) => {
            say::line_as_it_is(&serde_json::to_string(&detail).unwrap_or_default());
            let well =
                detail.plugin.state == "ready" && detail.used_by.iter().all(|used| used.problem.is_none());
            if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            say::line_as_it_is(&serde_json::json!({ "error": why.to_string() }).to_string());
            ExitCode::FAILURE
        }
    }
}

fn read(words: &[OsString]) -> Result<InspectRequest, InspectError> {
    let absolute = |word: &OsString| {
        fs::canonicalize(word).map_err(|source| InspectError::Unreadable { path: word.into(), source })
    };
    match words {
        [file] => Ok(InspectRequest { file: absolute(file)?, service: None }),
        [file, flag, service] if flag == "--service" => {
            Ok(InspectRequest { file: absolute(file)?, service: Some(absolute(service)?) })
        }
        _ => Err(InspectError::Usage),
    }
}

fn inspect(asked: &InspectRequest) -> Result<koi_proto::api::PluginDetail, InspectError> {
    if !asked.file.extension().is_some_and(|ending| ending == "so" || ending == "wasm") {
        return Err(InspectError::NoPlugin(asked.file.clone()));
    }
    let folder = tempfile::Builder::new().prefix("koi-inspect-").tempdir();
    let folder = folder.map_err(InspectError::NoFolder)?;
    let (host, keeps) = place(folder.path(), &asked.file);
    let progress = Arc::new(|sentence: &str| say::error(&format!("koid: {sentence}")));
    let registry = Registry::new(host.clone(), folder.path().to_owned()).with_progress(progress);
    let info = look(&registry, asked)?;
    let detail = api::endpoints::plugins::detail(&registry, &info);
    if let Some(hash) = info.hash.filter(|_| keeps) {
        // Only compiled code is worth keeping. It is removed at another time if it cannot be now.
        let _ = fs::remove_file(host.pinned_dir().join(hash.to_string()));
    }
    Ok(detail)
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
