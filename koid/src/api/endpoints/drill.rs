//! `POST /v1/drill`: what a drill has this node do, and what is written down of it.

use std::time::Duration;

use hyper::Response;
use koi_core::types::ServiceState;
use koi_core::view::View;
use koi_proto::api::{ApiError, CRASH_AFTER, Done, Drill, DrillAction, ErrorCode, EventLevel, Group};

use crate::api::Api;
use crate::api::body::{ResponseBody, json};
use crate::api::error::{bad_request, error, from_request_error, silent_core};
use crate::api::request::ApiRequest;
use crate::cluster::handle::RequestError;
use crate::os::restarts::restarted_by;
use crate::os::sys;
use crate::reporting::say;

/// Characters of what is written into the events.
const MESSAGE_CHARS: usize = 1000;

impl Api {
    pub(super) async fn drill(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let drill: Drill = asked.json()?;
        if !asked.requester.waits(sys::now()) {
            return Err(from_request_error(RequestError::NotBegun, None));
        }
        let message = match drill.action {
            DrillAction::Begin => self.note(drill.group, &drill.message, EventLevel::Info),
            DrillAction::End => {
                self.drilled.clear();
                let level = if drill.amiss { EventLevel::Warning } else { EventLevel::Info };
                self.note(drill.group, &drill.message, level)
            }
            DrillAction::FailStatus => self.fail_status(drill.service.as_deref()).await?,
            DrillAction::Crash => self.crash().await?,
            DrillAction::Unknown(action) => {
                return Err(bad_request(format!(
                    "there is no drill {action:?}: begin, end, fail-status or crash"
                )));
            }
        };
        Ok(json(&Done { message, ..Done::default() }))
    }

    /// Writes into the events of a group; what was written.
    fn note(&self, group: Group, message: &str, level: EventLevel) -> String {
        let message = say::short(&say::one_line(message), MESSAGE_CHARS).into_owned();
        self.hub.push_drill(&self.shared.get().config.node.name, group, &message, level);
        message
    }

    /// A drill that would show nothing is refused.
    async fn drillable(&self) -> Result<View, ApiError> {
        let view = self.view().await.ok_or_else(silent_core)?;
        if view.record.maintenance {
            return Err(refused(
                "the cluster is in maintenance mode, in which nobody takes over",
                "`koi maintenance off` first",
            ));
        }
        Ok(view)
    }

    async fn fail_status(&self, service: Option<&str>) -> Result<String, ApiError> {
        let Some(name) = service else {
            return Err(bad_request("the status of which service is to fail? {\"service\": \"NAME\"}"));
        };
        let view = self.drillable().await?;
        let is_promoted = |state| state == ServiceState::Promoted;
        let mut services = view.own_services();
        let Some((group, _)) = services.find(|(_, of)| of.name == name && is_promoted(of.state)) else {
            return Err(refused(
                format!("no service {name} is promoted here"),
                "`koi status` says which are, and where",
            ));
        };
        let Some(patience) = self.findings.patience(name) else {
            return Err(refused(format!("{name} has no status"), "choose a service that has one"));
        };
        let times = patience.policy.status_failures;
        self.drilled.fail(name, times);
        let which = if times == 1 { "next status".to_owned() } else { format!("next {times} statuses") };
        let message = format!("a drill: the {which} of {name} will be counted as failed");
        Ok(self.note(group.into(), &message, EventLevel::Warning))
    }

    /// Never two masters: it is a crash like any other, and the guardian takes down what runs (R8).
    async fn crash(&self) -> Result<String, ApiError> {
        self.drillable().await?;
        let Some(restarted_by) = restarted_by() else {
            return Err(refused(
                "nothing is known that would start koid here again",
                "run it by systemd as contrib/koid.service does, or set KOI_RESTARTED_BY in its environment",
            ));
        };
        tokio::spawn(crash_after(CRASH_AFTER));
        let message = format!("a drill: koid kills itself now; {restarted_by} starts it again");
        Ok(self.note(Group::default(), &message, EventLevel::Warning))
    }
}

async fn crash_after(time: Duration) {
    tokio::time::sleep(time).await;
    sys::kill_self();
}

fn refused(message: impl Into<String>, hint: &str) -> ApiError {
    error(ErrorCode::Refused, message, hint)
}
