//! What koid says of a component before it comes into the cluster: whether it loads, what it is, what it wants.

use std::io;
use std::path::{Path, PathBuf};

use koi_proto::api::{PluginDetail, PluginState};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::tool::{self, Stop};

/// A variable of koid's environment.
type Variable = (&'static str, &'static str);

/// For every koid of ours, so that what one has compiled the others can run: a handler that breaks off says where in its source, and unless
/// `optimized` code is wanted soon and need not be fast.
pub(in crate::dev) fn environment(optimized: bool) -> Vec<Variable> {
    let quick = (!optimized).then_some(("KOI_WASM_QUICK", "1"));
    quick.into_iter().chain([("KOI_WASM_LINES", "1")]).collect()
}

/// Names the folder of compiled code.
const CACHE: &str = "XDG_CACHE_HOME";

/// Asks koids of our own, which end with their answers.
#[derive(Clone, Debug)]
pub(super) struct Inspector {
    pub(super) koid: PathBuf,
    /// Where compiled code is kept, as koid's subcommands look for it.
    cache: PathBuf,
    /// Nobody else keeps it: the variable has to be set.
    own_cache: bool,
    environment: Vec<Variable>,
}

/// What the component wants of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wants {
    /// As it belongs into `service.toml`.
    pub(super) section: String,
    /// Some of it lets a handler do all that its user may.
    pub(super) dangerous: bool,
    error: Option<String>,
    refused: Option<String>,
}

/// Why nothing is known of a component.
#[derive(Debug, thiserror::Error)]
pub(super) enum InspectError {
    #[error("{}: {source}", koid.display())]
    Koid { koid: PathBuf, source: io::Error },
    /// It is refused, in koid's words.
    #[error("{0}")]
    Refused(String),
    /// koid has ended without an answer.
    #[error("koid could not say what it is: {0}")]
    Silent(String),
}

impl Inspector {
    /// Compiled code is kept in the user's cache, as `koi plugins check` does; where there is none, in `folder`.
    pub(super) fn new(koid: PathBuf, folder: &Path, optimized: bool) -> Inspector {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let usual = absolute(CACHE).or_else(|| Some(absolute("HOME")?.join(".cache")));
        let own_cache = usual.is_none();
        let cache = usual.unwrap_or_else(|| folder.join("cache"));
        Inspector { koid, cache, own_cache, environment: environment(optimized) }
    }

    /// Where the compiled code of components is.
    pub(super) fn compiled(&self) -> PathBuf {
        self.cache.join("koi/compiled")
    }

    /// A koid that is to say something.
    pub(super) fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.koid);
        command.arg(word).envs(self.environment.iter().copied());
        if self.own_cache {
            command.env(CACHE, &self.cache);
        }
        command
    }

    /// What it wants with the configuration of the service in this folder. None: a newer round is wanted.
    pub(super) async fn wants(
        &self,
        component: &Path,
        service: &Path,
        stop: &mut Stop,
    ) -> Result<Option<Wants>, InspectError> {
        let Some(wants) = self.ask::<Wants>("plugin-grants", component, service, stop).await? else {
            return Ok(None);
        };
        match wants.error.clone().or(wants.refused.clone()) {
            Some(why) => Err(InspectError::Refused(why)),
            None => Ok(Some(wants)),
        }
    }

    /// All that is known of it as it is used by the service in this folder, if it can be. None: a newer round is wanted.
    pub(super) async fn detail(
        &self,
        component: &Path,
        service: &Path,
        stop: &mut Stop,
    ) -> Result<Option<PluginDetail>, InspectError> {
        let Some(detail) = self.ask::<PluginDetail>("plugin-inspect", component, service, stop).await? else {
            return Ok(None);
        };
        let problem = detail.used_by.iter().find_map(|used| used.problem.clone());
        match detail.plugin.error.clone().or(problem) {
            Some(why) => Err(InspectError::Refused(why)),
            None if detail.plugin.state == PluginState::Ready => Ok(Some(detail)),
            None => Err(InspectError::Silent(String::new())),
        }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        word: &str,
        component: &Path,
        service: &Path,
        stop: &mut Stop,
    ) -> Result<Option<T>, InspectError> {
        let mut command = self.command(word);
        command.arg(component).arg("--service").arg(service);
        let output = tool::output(command, stop).await;
        let output = output.map_err(|source| InspectError::Koid { koid: self.koid.clone(), source })?;
        let Some(output) = output else { return Ok(None) };
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        serde_json::from_slice(&output.stdout).map(Some).map_err(|_| InspectError::Silent(said()))
    }
}
