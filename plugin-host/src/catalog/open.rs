//! A service's handler: opened once, and kept until something that it was made of has changed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use koi_plugin_api::Want;
use koi_plugin_shell::{Shape, ShellHandler};

use crate::backend::code::Opened;
use crate::catalog::error::OpenError;
use crate::catalog::handler_snapshot::{HandlerSnapshot, PluginSnapshot};
use crate::catalog::loading::loaded_plugin::LoadedPlugin;
use crate::config::settle::settle;
use crate::granted::Granted;
use crate::plugin::{Facts, FileHash, Opening, Resolved, Setup};
use crate::service::definition::Found;
use crate::service::manifest::Manifest;

/// How long a handler that could not be opened is left alone: names are resolved for it, and that may take long.
const AGAIN: Duration = Duration::from_secs(10);

/// A service's handler, and what goes with it.
#[derive(Clone)]
pub struct Ready {
    /// Runs its hooks.
    pub opened: Opened,
    /// `[config]`, with the handler's defaults filled in.
    pub config: Vec<(String, String)>,
    /// What it takes to make it again.
    pub snapshot: HandlerSnapshot,
    /// Another one for each handler that was opened, in this process.
    pub number: u64,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("config", &self.config)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// How one service uses a plugin.
#[derive(Clone, Debug)]
pub struct Use {
    /// The service's name.
    pub service: String,
    /// What is granted to it; of a service that cannot run with it: as it stands in its `service.toml`.
    pub granted: Vec<Granted>,
    /// What the plugin wants for this service and is not granted, as far as that is why it cannot run with it. Keys of `[config]` are
    /// filled in.
    pub missing: Vec<Want>,
    /// Its limits, a line each.
    pub limits: Vec<String>,
    /// Why it cannot run with it.
    pub problem: Option<OpenError>,
}

/// What a registry knows of one service.
#[derive(Clone)]
pub(crate) struct ServiceSlot {
    /// The file of the plugin that it names; none: the shell, or nothing that there is.
    pub(crate) plugin: Option<PathBuf>,
    handler: String,
    inputs: Option<HandlerInputs>,
    result: Result<Ready, (OpenError, Instant)>,
}

/// What a handler is made of. It is kept as long as none of this changes.
#[derive(Clone, Debug, PartialEq)]
struct HandlerInputs {
    shape: Shape,
    workingdir: PathBuf,
    hash: Option<FileHash>,
    manifest: Manifest,
}

impl ServiceSlot {
    /// Opens the handler of `found`, or takes over the one that was open before.
    pub(crate) fn open(
        before: Option<ServiceSlot>,
        found: &Found,
        plugin: Result<Arc<LoadedPlugin>, OpenError>,
        workingdir: &Path,
    ) -> (ServiceSlot, Result<Ready, OpenError>) {
        let path = plugin.as_ref().ok().and_then(|plugin| plugin.path.clone());
        // The service uses this file even when no plugin can be loaded from it.
        let path = path.or_else(|| found.handler.contains('/').then(|| PathBuf::from(&found.handler)));
        let slot = |inputs, result: &Result<Ready, OpenError>| ServiceSlot {
            plugin: path.clone(),
            handler: found.handler.clone(),
            inputs,
            result: result.clone().map_err(|error| (error, Instant::now())),
        };
        let plugin = match (plugin, &found.problem) {
            (Ok(plugin), None) => plugin,
            (Err(error), _) => return (slot(None, &Err(error.clone())), Err(error)),
            (Ok(_), Some(problem)) => {
                let error = OpenError::Service(problem.clone());
                return (slot(None, &Err(error.clone())), Err(error));
            }
        };
        let inputs = HandlerInputs {
            shape: found.shape.clone(),
            workingdir: workingdir.to_owned(),
            hash: plugin.code.as_ref().map(|loaded| loaded.hash),
            manifest: found.manifest.of_handler(),
        };
        if let Some(before) = before.filter(|slot| slot.inputs.as_ref() == Some(&inputs)) {
            match &before.result {
                Ok(ready) => return (slot(Some(inputs), &before.result_now()), Ok(ready.clone())),
                Err((error, at)) if at.elapsed() < AGAIN => {
                    let error = error.clone();
                    return (before, Err(error));
                }
                Err(_) => {}
            }
        }
        let result = open(found, &plugin, workingdir);
        (slot(Some(inputs), &result), result)
    }

    fn result_now(&self) -> Result<Ready, OpenError> {
        self.result.clone().map_err(|(error, _)| error)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.result.is_ok()
    }

    /// Whether it is this plugin that the service names.
    pub(crate) fn uses(&self, plugin: &LoadedPlugin) -> bool {
        match (&self.plugin, &plugin.path) {
            (Some(used), Some(path)) => used == path,
            // Of a plugin that cannot be used only the name is known.
            (None, Some(_)) => self.handler == plugin.name && self.handler != ShellHandler::NAME,
            (None, None) => self.handler == plugin.name,
            (Some(_), None) => false,
        }
    }

    pub(crate) fn describe(&self, service: &str) -> Use {
        let service = service.to_owned();
        match &self.result {
            Ok(Ready { opened, .. }) => {
                let (granted, limits) = (opened.granted.clone(), opened.limits.clone());
                Use { service, granted, missing: Vec::new(), limits, problem: None }
            }
            Err((error, _)) => Use {
                service,
                granted: self.inputs.as_ref().map(|of| as_written(&of.manifest.grants)).unwrap_or_default(),
                missing: error.missing().to_vec(),
                limits: Vec::new(),
                problem: Some(error.clone()),
            },
        }
    }
}

/// The subject of an entry, and how it is shown.
pub(crate) fn words_of(key: &str, value: &toml::Value) -> Option<(String, String)> {
    // The value of `exec` is its program alone.
    match value {
        toml::Value::String(text) => {
            let program = text.split_whitespace().next().filter(|_| key == "exec");
            Some((program.unwrap_or(text).to_owned(), text.clone()))
        }
        // The form of `exec` with more to say.
        toml::Value::Table(of) => of.get("run").and_then(|run| words_of(key, run)),
        // The form of `exec` for words with blanks in them.
        toml::Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(toml::Value::as_str).collect();
            Some((words.first().copied().unwrap_or_default().to_owned(), words.join(" ")))
        }
        _ => None,
    }
}

/// `[grants]` like that of a service that was opened, as far as it can be read at all.
fn as_written(grants: &toml::Table) -> Vec<Granted> {
    let lines = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::Array(values) => {
            let entries = values.iter().filter_map(|value| words_of(key, value));
            entries.map(|(value, shown)| Granted::entry(key, value, shown)).collect::<Vec<_>>()
        }
        other => {
            vec![Granted { key: key.clone(), value: String::new(), line: format!("{key} = {other}") }]
        }
    };
    grants.iter().flat_map(lines).collect()
}

fn open(found: &Found, plugin: &LoadedPlugin, workingdir: &Path) -> Result<Ready, OpenError> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let declared = plugin.facts().map(|facts: &Facts| facts.metadata.config.as_slice()).unwrap_or_default();
    let config = settle(&plugin.name, declared, &found.manifest.config)
        .map_err(|error| OpenError::Config { service: found.path().to_owned(), error })?;
    let setup = Setup {
        service: &found.name,
        home: found.home(),
        config: &config.values,
        secrets: &config.secrets,
        grants: &found.manifest.grants,
        limits: &found.manifest.limits,
        opening: Opening::First,
    };
    let of_plugin = plugin.code.as_ref().zip(plugin.path.as_ref()).map(|(loaded, path)| {
        PluginSnapshot::new(path.clone(), plugin.kind, loaded.hash.to_string(), loaded.code.facts())
    });
    let opened = match &plugin.code {
        Some(loaded) => loaded.code.open(&setup).map_err(|error| OpenError::Handler(Arc::new(error)))?,
        None => Opened {
            handler: Arc::new(ShellHandler::open(found.shape.clone(), workingdir)),
            granted: Vec::new(),
            limits: Vec::new(),
            resolved: Resolved::default(),
        },
    };
    let setup = Setup { opening: Opening::Resumed(&opened.resolved), ..setup };
    let snapshot = HandlerSnapshot::new(&setup, &found.shape, workingdir.to_owned(), of_plugin);
    Ok(Ready { opened, config: config.values, snapshot, number: NUMBER.fetch_add(1, Ordering::Relaxed) })
}
