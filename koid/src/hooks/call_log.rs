//! What a hook says, and what it starts, while it runs.

use koi_core::io::RunId;
use koi_plugin_api::{CallLog, LogLevel};

use super::process_groups::ProcessGroups;
use crate::guardian_client::client::Guardian;

/// Takes a hook's output to the log, and remembers its process group.
pub(super) struct HookLog {
    pub(super) service: String,
    pub(super) hook: &'static str,
    pub(super) run: RunId,
    pub(super) groups: ProcessGroups,
    pub(super) guardian: Option<Guardian>,
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

    fn process_group(&self, id: Option<i32>) {
        if let Some(guardian) = &self.guardian {
            guardian.group(self.run.0, id);
        }
        let mut groups = self.groups.lock();
        match id {
            Some(group) => groups.insert(self.run, group),
            None => groups.remove(&self.run),
        };
    }
}
