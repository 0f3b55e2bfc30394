//! What operators want done.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, ElectorChange};
use koi_core::view::View;
use koi_proto::api::{
    ApiError, Bootstrap, Done, ElectorsChange, ErrorCode, Fence, Maintenance, OnNode, Promote, Reconfigure,
    Scope,
};
use tokio::sync::oneshot;

use super::attributes::{ATTRIBUTES, read_write};
use super::{groups, view};
use crate::api::body::{ResponseBody, json};
use crate::api::error::{bad_request, error, from_request_error, silent_core};
use crate::api::request::ApiRequest;
use crate::api::{Api, ReloadError, ReloadRequest};
use crate::cluster::handle::{CommandScope, RequestError};
use crate::cluster::requester::Requester;
use crate::reporting::say;

/// Characters of a request's body that are logged.
const SAID_CHARS: usize = 200;
/// The one command that may be asked to wait for what it has begun.
pub(in crate::api) const RECONFIGURE: &str = "/v1/reconfigure";
/// What a drill wants of a node.
const DRILL: &str = "/v1/drill";
/// How long a reload waits for plugins unless it is said: clients wait a little longer for any answer.
const WAIT: Duration = Duration::from_secs(4);
/// And at most, whatever is said.
pub(in crate::api) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long a look at the services folder may take before services are tried again as they were seen last.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// What stands before the group in the path of a command for one.
pub(in crate::api) const GROUPS: &str = "/v1/groups/";
/// What stands before every command.
const VERSION: &str = "/v1/";

/// A command, as it was asked for.
pub(super) struct Order {
    /// Its path where no group is named in it.
    path: String,
    /// It is about a group.
    grouped: bool,
    pub(super) scope: CommandScope,
    /// The group that was named; none: nobody named one.
    pub(super) named: Option<GroupName>,
}

/// Who carries out a command.
enum CommandTarget {
    /// The leader; with the body to pass on.
    Leader(Command, Bytes),
    /// The node with this name or UUID.
    Node(String),
    /// This node.
    Here(Command),
}

impl Api {
    /// Carries out `POST /v1/…`.
    pub(in crate::api) async fn post(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let order = Order::read(asked)?;
        if order.path == ATTRIBUTES {
            // What is written is nobody's but the readers': it is not logged.
            return self.write_attribute(asked, &order).await;
        }
        let place = self.place(asked, &order.path)?;
        tracing::info!(
            "{} asks for {} {}",
            asked.caller,
            asked.path.trim_start_matches(VERSION),
            say::short(String::from_utf8_lossy(&asked.body).trim(), SAID_CHARS)
        );
        // Whoever it is passed on to and knows no groups has no such path.
        let asked = &ApiRequest { path: order.passed_path(), ..asked.clone() };
        match place {
            CommandTarget::Here(command) => self.here(&order, command, &asked.requester).await,
            CommandTarget::Leader(command, body) => self.by_leader(asked, &order, command, body).await,
            CommandTarget::Node(name) => self.on_node(asked, &order, &name).await,
        }
    }

    fn place(&self, asked: &ApiRequest, path: &str) -> Result<CommandTarget, ApiError> {
        let leader = |command| Ok(CommandTarget::Leader(command, asked.body.clone()));
        match path {
            "/v1/promote" => {
                let Promote { node, dry_run, .. } = asked.json()?;
                if node.is_empty() {
                    return Err(bad_request("which node is to be promoted? {\"node\": \"NAME\"}"));
                }
                leader(Command::Promote { node, dry_run })
            }
            "/v1/demote" => leader(Command::Demote),
            "/v1/elect" => leader(Command::Elect),
            "/v1/start" => self.leader_for_node(asked, Command::Start),
            "/v1/stop" => self.leader_for_node(asked, Command::Stop),
            "/v1/maintenance" => leader(Command::Maintenance(asked.json::<Maintenance>()?.on)),
            "/v1/confirm-down" => match asked.json::<OnNode>()?.node {
                Some(node) => leader(Command::ConfirmDown(node)),
                None => Err(bad_request("which node is surely down? {\"node\": \"NAME\"}")),
            },
            "/v1/fence" => {
                let Fence { node, dry_run } = asked.json()?;
                if node.is_empty() {
                    return Err(bad_request("which node is to be turned off? {\"node\": \"NAME\"}"));
                }
                leader(Command::Fence { node, dry_run })
            }
            "/v1/recover" | RECONFIGURE | DRILL => Ok(CommandTarget::Node(self.node_or_own(asked)?)),
            "/v1/electors" => leader(Command::Electors(elector_change(asked.json()?)?)),
            "/v1/bootstrap" => {
                let Bootstrap { dry_run, electors } = asked.json()?;
                Ok(CommandTarget::Here(Command::Bootstrap { dry_run, electors }))
            }
            other => Err(ApiError::no_command(other)),
        }
    }

    /// The node that is meant is the one that was asked first: the leader must be told its name.
    fn leader_for_node(
        &self,
        asked: &ApiRequest,
        command: fn(String) -> Command,
    ) -> Result<CommandTarget, ApiError> {
        let node = self.node_or_own(asked)?;
        let named = OnNode { node: Some(node.clone()), ..asked.json()? };
        let body = serde_json::to_vec(&named).expect("names and their keys are always JSON");
        Ok(CommandTarget::Leader(command(node), body.into()))
    }

    fn node_or_own(&self, asked: &ApiRequest) -> Result<String, ApiError> {
        Ok(asked.json::<OnNode>()?.node.unwrap_or_else(|| self.shared.get().config.node.name.clone()))
    }

    async fn here(
        &self,
        order: &Order,
        command: Command,
        requester: &Requester,
    ) -> Result<Response<ResponseBody>, ApiError> {
        match self.cluster.command(&order.scope, command, requester).await {
            Ok(done) => Ok(json(&self.done(order, done).await)),
            Err(failed) => Err(self.refusal(order, failed).await),
        }
    }

    /// The core knows whether this node leads; if it does not, the leader is asked, once.
    async fn by_leader(
        &self,
        asked: &ApiRequest,
        order: &Order,
        command: Command,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let leader = match self.cluster.command(&order.scope, command, &asked.requester).await {
            Ok(done) => return Ok(json(&self.done(order, done).await)),
            Err(RequestError::Refused(CommandError::NotLeader { leader: Some(leader) }))
                if leader != self.me && asked.passed == 0 =>
            {
                leader
            }
            Err(failed) => return Err(self.refusal(order, failed).await),
        };
        let Some(view) = self.view().await else { return Err(silent_core()) };
        self.pass(asked, body, &view::name_of(&view, leader), view::address_of(&view, leader)).await
    }

    async fn on_node(
        &self,
        asked: &ApiRequest,
        order: &Order,
        name: &str,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let Some(view) = self.view().await else { return Err(silent_core()) };
        match self.pass_to_node(asked, &view, name).await {
            Some(elsewhere) => elsewhere,
            None if order.path == "/v1/recover" => {
                // What was mended a moment ago is what is to be tried.
                let _ = tokio::time::timeout(LOOK_TIMEOUT, self.scan_trigger.scan()).await;
                self.here(order, Command::Recover, &asked.requester).await
            }
            None if order.path == DRILL => self.drill(asked).await,
            None => self.reconfigure(asked).await,
        }
    }

    async fn reconfigure(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let (reply, answer) = oneshot::channel();
        let ending = || from_request_error(RequestError::Ending, None);
        let wait = asked.requester.at_most(wait(asked));
        let request = ReloadRequest { reply, requester: asked.requester.clone(), wait };
        self.reload.send(request).await.map_err(|_| ending())?;
        match answer.await.map_err(|_| ending())? {
            Ok(done) => Ok(json(&done)),
            Err(ReloadError::NotBegun) => Err(from_request_error(RequestError::NotBegun, None)),
            Err(failed) => Err(error(
                ErrorCode::Refused,
                failed.to_string(),
                "the old configuration stays in force; mend the file",
            )),
        }
    }

    /// What was done. Where there are several groups it names the one that it was done to.
    pub(super) async fn done(&self, order: &Order, done: Answered) -> Done {
        let view = if order.grouped { self.view().await } else { None };
        let message = match view {
            Some(view) => groups::about(&view, &order.scope.group, &done.message),
            None => done.message,
        };
        Done { message, steps: done.steps, ..Done::default() }
    }

    /// Why it was not done, with the group in the commands that the refusal names.
    pub(super) async fn refusal(&self, order: &Order, failed: RequestError) -> ApiError {
        let view = self.view().await;
        let refusal = from_request_error(failed, view.as_ref());
        let Some(view) = view.filter(|_| order.grouped) else { return refusal };
        let worded = |text: &str| groups::worded(&view, &order.scope.group, text);
        ApiError { message: worded(&refusal.message), hint: worded(&refusal.hint), ..refusal }
    }

    /// The core's view; none: the loop does not answer.
    pub(in crate::api) async fn view(&self) -> Option<View> {
        self.cluster.snapshot().await.map(|snapshot| snapshot.view)
    }
}

fn elector_change(change: ElectorsChange) -> Result<ElectorChange, ApiError> {
    match change {
        ElectorsChange { add: Some(new), remove: None, replace: None, by: None } => {
            Ok(ElectorChange::Add(new))
        }
        ElectorsChange { add: None, remove: Some(old), replace: None, by: None } => {
            Ok(ElectorChange::Remove(old))
        }
        ElectorsChange { add: None, remove: None, replace: Some(old), by: Some(new) } => {
            Ok(ElectorChange::Replace { old, new })
        }
        _ => Err(bad_request(
            "one change at a time: {\"add\": \"NODE\"}, {\"remove\": \"NODE\"}, or {\"replace\": \"OLD\", \"by\": \"NEW\"}",
        )),
    }
}

impl Order {
    fn read(asked: &ApiRequest) -> Result<Order, ApiError> {
        let in_path = asked.path.strip_prefix(GROUPS).and_then(|rest| rest.split_once('/'));
        let path = in_path.map_or_else(|| asked.path.clone(), |(_, verb)| format!("{VERSION}{verb}"));
        let is_of_group = groups::VERBS.iter().any(|verb| path.strip_prefix(VERSION) == Some(*verb));
        if !is_of_group && path != ATTRIBUTES {
            // As it was asked for: no such path has a group.
            let scope = CommandScope::default();
            return Ok(Order { path: asked.path.clone(), grouped: false, scope, named: None });
        }
        let Scope { group: in_body, sole_group } = match path == ATTRIBUTES {
            true => read_write(asked)?.scope,
            false => asked.json()?,
        };
        let in_body = in_body.map(|group| groups::named(group.as_str())).transpose()?;
        let in_path = in_path.map(|(group, _)| groups::named(group)).transpose()?;
        if let (Some(path), Some(body)) = (&in_path, &in_body)
            && path != body
        {
            return Err(bad_request(format!(
                "for which group? The path says {path}, and the body says {body}"
            )));
        }
        let named = in_path.or(in_body);
        let scope =
            CommandScope { sole: sole_group && named.is_none(), group: named.clone().unwrap_or_default() };
        Ok(Order { path, grouped: true, scope, named })
    }

    /// Its path for other nodes: one that knows no groups has none but those of `main`.
    pub(super) fn passed_path(&self) -> String {
        let Order { path, scope: CommandScope { group, .. }, .. } = self;
        match path.strip_prefix(VERSION).filter(|_| !group.is_main()) {
            Some(verb) => format!("{GROUPS}{group}/{verb}"),
            None => path.clone(),
        }
    }
}

/// How long the answer to a request may wait for plugins.
pub(in crate::api) fn wait(asked: &ApiRequest) -> Duration {
    let wait_ms = asked.json::<Reconfigure>().ok().and_then(|asked| asked.wait_ms);
    wait_ms.map_or(WAIT, Duration::from_millis).min(LONGEST_WAIT)
}
