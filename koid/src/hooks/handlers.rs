//! The handlers of the services, as hooks are run with them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use koi_core::io::HandlerInstance;
use koi_plugin_api::Handler;
use koi_plugin_host::OutputLimit;

use super::repeated_lines::StatusLines;
use super::statistics::Statistics;
use super::statistics::counters::HandlerCounters;

/// How one service's hooks are run.
#[derive(Clone)]
pub(crate) struct Runnable {
    /// Which one it is, as its spec has it.
    pub(crate) instance: HandlerInstance,
    /// Runs them.
    pub(crate) handler: Arc<dyn Handler>,
    /// The service's folder.
    pub(crate) home: PathBuf,
    /// Where its processes run.
    pub(crate) workdir: PathBuf,
    /// `[config]` of its `service.toml`.
    pub(crate) config: Vec<(String, String)>,
    /// SHA-256 of its plugin's file, in hexadecimal digits; none: it is a script.
    pub(crate) plugin_hash: Option<String>,
    /// How much it may still say.
    pub(crate) output: Arc<OutputLimit>,
    /// What its `status` has said.
    pub(crate) status_lines: Arc<StatusLines>,
    /// What its calls cost.
    pub(crate) counters: Arc<HandlerCounters>,
}

/// The services' handlers, by name: the one in force, and one that the core may not have taken over yet. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    known: Arc<RwLock<HashMap<String, Vec<Runnable>>>>,
    statistics: Statistics,
}

impl Handlers {
    /// Takes the handlers of the services that are there now. Handlers of services that have gone are kept until [`Handlers::keep_only`]
    /// drops them: a service that still runs has yet to be stopped.
    pub(crate) fn update(&self, found: impl IntoIterator<Item = (String, Runnable)>) {
        let mut known = self.write();
        for (name, mut runnable) in found {
            let (hash, version) = (runnable.plugin_hash.as_deref(), runnable.handler.metadata().version);
            runnable.counters = self.statistics.count(&name, hash, &version);
            let opened = known.entry(name).or_default();
            if let Some(before) = opened.first() {
                // The output limit and the known status lines outlive a change of the folder.
                (runnable.output, runnable.status_lines) =
                    (before.output.clone(), before.status_lines.clone());
            }
            opened.retain(|before| before.instance != runnable.instance);
            opened.push(runnable);
        }
    }

    /// Lets go of the handlers of services that are not needed any more, with the processes that run them.
    pub(crate) fn keep_only(&self, is_needed: impl Fn(&str) -> bool) {
        let mut known = self.write();
        let gone: Vec<_> = known.extract_if(|name, _| !is_needed(name)).collect();
        gone.iter().for_each(|(name, _)| self.statistics.forget(name));
        drop(known);
        // A process is ended here, and nobody waits for the lock meanwhile.
        drop(gone);
    }

    /// Whether `service` has this handler.
    pub(crate) fn has(&self, service: &str, instance: HandlerInstance) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(service).is_some_and(|opened| opened.iter().any(|runnable| runnable.instance == instance))
    }

    /// Lets go of all: the daemon ends.
    pub(crate) fn clear(&self) {
        self.write().clear();
    }

    /// What their calls cost.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics.clone()
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Vec<Runnable>>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// This handler. Earlier ones are dropped: the core never returns to a handler that it had before.
    pub(super) fn get(&self, service: &str, instance: HandlerInstance) -> Option<Runnable> {
        let mut known = self.write();
        let opened = known.get_mut(service)?;
        let at = opened.iter().position(|runnable| runnable.instance == instance)?;
        opened.drain(..at);
        opened.first().cloned()
    }
}
