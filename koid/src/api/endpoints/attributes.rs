//! `GET` and `POST /v1/attributes`: what the attributes of a group say, and how they are written.

use std::time::Duration;

use hyper::Response;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError};
use koi_proto::api::{ApiError, Done, ErrorCode, WriteAttribute};

use super::commands::Order;
use super::{groups, view};
use crate::api::body::{ResponseBody, json};
use crate::api::error::{bad_request, error, from_request_error, silent_core};
use crate::api::request::ApiRequest;
use crate::api::{Api, Caller};
use crate::attributes::call;
use crate::attributes::live_calls::CallScope;
use crate::cluster::handle::RequestError;
use crate::reporting::say;

/// Where they are read and written.
pub(in crate::api) const ATTRIBUTES: &str = "/v1/attributes";
/// How long a change is waited for at most before the answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Characters of who forces a write, as another node says it.
const BY_CHARS: usize = 200;

impl Api {
    pub(super) async fn read_attributes(
        &self,
        asked: &ApiRequest,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let fresh = flag(asked, "fresh")?;
        let change = awaited(asked)?;
        if fresh && change.is_some() {
            return Err(bad_request(
                "what the leader knows is not waited for: either &fresh=true or &wait_ms=N",
            ));
        }
        let group = self.group_to_read(asked).await?;
        if let Some((version, wait)) = change {
            let mut board = self.attributes.board.clone();
            let changed = board.other_than(&group, &version);
            // Without a change the answer is what it says still.
            let _ = tokio::time::timeout(asked.requester.at_most(wait), changed).await;
            self.call_of(asked)?;
        }
        let said = match fresh {
            true => self.attributes.fresh(&group, asked.passed > 0, &asked.requester).await?,
            false => self.attributes.local(&group),
        };
        Ok(json(&said))
    }

    /// The group of the call that asks; the one that is named; or the only one.
    async fn group_to_read(&self, asked: &ApiRequest) -> Result<GroupName, ApiError> {
        let named = asked.parameter("group")?.map(|group| groups::named(&group)).transpose()?;
        if let Some(call) = self.call_of(asked)? {
            return of_call(&call, named.as_ref());
        }
        let group = named.clone().unwrap_or_default();
        if self.attributes.board.read(&group).is_some() && named.is_some() {
            return Ok(group);
        }
        let view = self.view().await.ok_or_else(silent_core)?;
        if named.is_none() && flag(asked, "sole")? && groups::are_several(&view) {
            let all = [GroupName::MAIN].into_iter().chain(view.groups.iter().map(|group| group.name.clone()));
            return Err(from_request_error(RequestError::SeveralGroups(all.collect()), None));
        }
        groups::known(&view, group.as_str())?;
        Ok(group)
    }

    /// The hook call that asks; none: somebody else does.
    fn call_of(&self, asked: &ApiRequest) -> Result<Option<CallScope>, ApiError> {
        let Some(token) = &asked.token else { return Ok(None) };
        if !matches!(asked.caller, Caller::Local { .. }) {
            let message = "a hook's token is good on its own node alone, on koid's socket";
            return Err(error(
                ErrorCode::Refused,
                message,
                "ask koid on this machine: leave out --host and --port",
            ));
        }
        let over = || {
            error(
                ErrorCode::Refused,
                "the token is of no hook call that runs: a token ends with its call",
                "whoever outlives a hook reads without one (unset KOI_TOKEN, and name the group), and cannot write",
            )
        };
        self.live_calls.find(token).map(Some).ok_or_else(over)
    }

    /// Writes for a hook under its mastership, or for an operator by force.
    pub(super) async fn write_attribute(
        &self,
        asked: &ApiRequest,
        order: &Order,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let write = read_write(asked)?;
        let value = match (&write.value, write.remove) {
            (Some(value), false) => Some(value.clone()),
            (None, true) => None,
            _ => return Err(not_understood()),
        };
        let change = call::change(&write.key, value).map_err(bad_request)?;
        match (self.call_of(asked)?, write.force) {
            (Some(call), true) => Err(error(
                ErrorCode::Refused,
                format!("{call} writes under its own mastership, and forces nothing"),
                "leave out --force; an operator forces, without KOI_TOKEN",
            )),
            (None, false) => Err(error(
                ErrorCode::Refused,
                "only the hooks of the master's services write attributes, with the token that koid gives them in KOI_TOKEN",
                "an operator writes with --force, whoever is master",
            )),
            (Some(call), false) => {
                of_call(&call, order.named.as_ref())?;
                tracing::debug!("{call} writes attribute {}", change.key);
                let what = said(&change.key, write.remove);
                match self.attributes.write(&call.group, call.epoch, change, &asked.requester).await {
                    Ok(()) => Ok(json(&Done { message: what, ..Done::default() })),
                    Err(failed) => Err(self.refusal(order, failed).await),
                }
            }
            (None, true) => self.force(asked, order, (write, change)).await,
        }
    }

    /// The core knows whether this node leads; if it does not, the leader is asked, once, and told who wants it.
    async fn force(
        &self,
        asked: &ApiRequest,
        order: &Order,
        (write, change): (WriteAttribute, koi_core::attributes::AttributeChange),
    ) -> Result<Response<ResponseBody>, ApiError> {
        let node = self.shared.get().config.node.name.clone();
        let by = match (asked.caller, &write.by) {
            (Caller::Local { uid }, _) => format!("user {uid} on {node}"),
            (Caller::Remote(_), Some(by)) if asked.passed > 0 => {
                say::short(&say::one_line(by), BY_CHARS).into_owned()
            }
            (Caller::Remote(address), _) => format!("somebody at {} with the cluster's key", address.ip()),
        };
        let what = said(&change.key, write.remove);
        tracing::info!("{by} forces a write of group {}: {what}", order.scope.group);
        let (api, scope, requester) = (self.clone(), order.scope.clone(), asked.requester.clone());
        let asked_for = (what, by.clone());
        // Whoever asks may go meanwhile: it is told of all the same.
        let forced = tokio::spawn(async move {
            let outcome = api.cluster.command(&scope, Command::ForceAttribute(change), &requester).await;
            api.tell_of_force(&scope.group, &asked_for, &outcome);
            outcome
        });
        match forced.await.unwrap_or(Err(RequestError::Ending)) {
            Ok(done) => Ok(json(&self.done(order, done).await)),
            Err(RequestError::Refused(CommandError::NotLeader { leader: Some(leader) }))
                if leader != self.me && asked.passed == 0 =>
            {
                let body = serde_json::to_vec(&WriteAttribute { by: Some(by), ..write });
                let body = body.map_err(|e| error(ErrorCode::Internal, e.to_string(), ""))?;
                let asked = &ApiRequest { path: order.passed_path(), ..asked.clone() };
                let view = self.view().await.ok_or_else(silent_core)?;
                let (name, address) = (view::name_of(&view, leader), view::address_of(&view, leader));
                self.pass(asked, body.into(), &name, address).await
            }
            Err(failed) => Err(self.refusal(order, failed).await),
        }
    }

    /// What was written by force, or perhaps, and who wanted it, goes into the events.
    fn tell_of_force(
        &self,
        group: &GroupName,
        (what, by): &(String, String),
        outcome: &Result<Answered, RequestError>,
    ) {
        let certain = match outcome {
            Ok(_) => "",
            Err(
                RequestError::Timeout(_)
                | RequestError::Refused(CommandError::LostLeadership | CommandError::LostLease),
            ) => ", perhaps: it was not confirmed",
            Err(_) => return,
        };
        let node = self.shared.get().config.node.name.clone();
        self.hub.push_forced(&node, group.into(), &format!("{what} by force{certain}; {by} wanted it"));
    }
}

fn said(key: &koi_core::attributes::AttributeKey, removed: bool) -> String {
    format!("attribute {key} is {}", if removed { "removed" } else { "written" })
}

/// The group of a call: no other opens to it.
fn of_call(call: &CallScope, named: Option<&GroupName>) -> Result<GroupName, ApiError> {
    match named {
        Some(named) if *named != call.group => Err(error(
            ErrorCode::Refused,
            format!("the token is of {call} in group {}, and opens nothing of {named}", call.group),
            "a hook reads and writes the attributes of its own group",
        )),
        _ => Ok(call.group.clone()),
    }
}

/// The state that the asker has, and how long it waits for another; none: it waits for nothing.
fn awaited(asked: &ApiRequest) -> Result<Option<(String, Duration)>, ApiError> {
    let (version, wait) = (asked.parameter("after")?, asked.parameter("wait_ms")?);
    match (version, wait) {
        (None, None) => Ok(None),
        (Some(version), Some(wait)) => {
            let ms = wait.parse().map_err(|_| bad_request(format!("?wait_ms={wait} is not a number")))?;
            Ok(Some((version, Duration::from_millis(ms).min(LONGEST_WAIT))))
        }
        _ => Err(bad_request("?after=VERSION and &wait_ms=N go together")),
    }
}

fn flag(asked: &ApiRequest, name: &str) -> Result<bool, ApiError> {
    match asked.parameter(name)?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(bad_request(format!("?{name}={other} is neither true nor false"))),
    }
}

/// Whether a request waits for a change.
pub(in crate::api) fn waits(asked: &ApiRequest) -> bool {
    matches!(asked.parameter("wait_ms"), Ok(Some(_)))
}

/// What is wrong with the body is said without what is in it.
pub(super) fn read_write(asked: &ApiRequest) -> Result<WriteAttribute, ApiError> {
    let write: Result<WriteAttribute, _> = serde_json::from_slice(&asked.body);
    write.map_err(|e| {
        let ApiError { message, .. } = not_understood();
        bad_request(format!("{message} (line {}, column {}; values are UTF-8)", e.line(), e.column()))
    })
}

fn not_understood() -> ApiError {
    bad_request(format!(
        "{ATTRIBUTES}: the body is not what is expected: {{\"key\": \"KEY\", \"value\": \"TEXT\"}} or {{\"key\": \"KEY\", \"remove\": true}}"
    ))
}
