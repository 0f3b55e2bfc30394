//! What each hook call is given to use the attributes of its group.

use std::sync::Arc;

use koi_core::io::HookRun;
use koi_plugin_api::CallAttributes;

use crate::attributes::call::{AttributesOfCall, NoAttributes};
use crate::attributes::live_calls::{CallScope, LiveCall, LiveCalls};
use crate::attributes::store::AttributesStore;

/// Opens the attributes to hook calls while they run.
#[derive(Clone, Debug)]
pub(crate) struct HookAttributes {
    pub(crate) calls: LiveCalls,
    pub(crate) store: AttributesStore,
}

impl HookAttributes {
    /// A call begins. None: it goes without a token, and the log says why.
    pub(super) fn begin(&self, hook: &HookRun) -> (Option<LiveCall>, Arc<dyn CallAttributes>) {
        let scope = CallScope {
            service: hook.service.clone(),
            hook: hook.hook.as_str(),
            run: hook.run.0,
            group: hook.group.clone(),
            epoch: hook.epoch,
        };
        match self.calls.begin(scope) {
            Ok(live) => {
                let attributes = AttributesOfCall { call: live.number(), store: self.store.clone() };
                (Some(live), Arc::new(attributes))
            }
            Err(error) => {
                tracing::warn!(
                    "{} of {} cannot use attributes: the kernel gives no random numbers: {error}",
                    hook.hook.as_str(),
                    hook.service
                );
                (None, no_attributes("the kernel gives no random numbers"))
            }
        }
    }
}

/// For a call that cannot use attributes.
pub(super) fn no_attributes(why: &'static str) -> Arc<dyn CallAttributes> {
    Arc::new(NoAttributes(why))
}
