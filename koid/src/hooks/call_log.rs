//! What a hook says, and what it starts, while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use koi_child::group::NotedGroup;
use koi_core::io::RunId;
use koi_plugin_api::{CallLog, Incident, LogLevel};

use super::process_groups::{GroupKind, ProcessGroups};
use super::statistics::counters::HandlerCounters;
use crate::guardian_client::client::Guardian;

/// Takes a hook's output to the log, remembers its process groups, and notes what became of its handler.
pub(super) struct HookLog {
    pub(super) service: String,
    pub(super) hook: &'static str,
    pub(super) run: RunId,
    pub(super) groups: ProcessGroups,
    pub(super) guardian: Option<Guardian>,
    pub(super) counters: Arc<HandlerCounters>,
    /// The handler's code has broken off.
    pub(super) crashed: AtomicBool,
    /// The process groups that were started for the call.
    pub(super) started: Mutex<Vec<i32>>,
}

/// Groups of one call that are remembered.
const GROUPS: usize = 64;

impl HookLog {
    /// Whether the handler's code has broken off.
    pub(super) fn crashed(&self) -> bool {
        self.crashed.load(Ordering::Relaxed)
    }

    /// The process groups that were started for the call, by their leaders.
    pub(super) fn groups_started(&self) -> Vec<i32> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn began(&self, group: i32, kind: GroupKind) {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if started.len() < GROUPS {
            started.push(group);
        }
        drop(started);
        let group = NotedGroup::now(group);
        if let Some(guardian) = &self.guardian {
            guardian.group_began(self.run.0, group, kind);
        }
        self.groups.began(self.run, group, kind);
    }
}

impl CallLog for HookLog {
    fn line(&self, level: LogLevel, text: &str) {
        let (service, hook) = (self.service.as_str(), self.hook);
        match level {
            LogLevel::Debug => tracing::debug!(service, hook, "{text}"),
            LogLevel::Info => tracing::info!(service, hook, "{text}"),
            LogLevel::Warn => tracing::warn!(service, hook, "{text}"),
            LogLevel::Error => tracing::error!(service, hook, "{text}"),
        }
    }

    fn group_began(&self, id: i32) {
        self.began(id, GroupKind::Plain);
    }

    fn broker_began(&self, id: i32) {
        self.began(id, GroupKind::Broker);
    }

    fn group_gone(&self, id: i32) {
        if let Some(guardian) = &self.guardian {
            guardian.group_gone(self.run.0, id);
        }
        self.groups.gone(self.run, id);
    }

    fn incident(&self, incident: Incident) {
        match incident {
            Incident::Crashed => self.crashed.store(true, Ordering::Relaxed),
            Incident::Unsupported | Incident::NoScore => {}
        }
    }

    fn memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.counters.saw_memory(peak_bytes, limit_bytes);
    }
}
