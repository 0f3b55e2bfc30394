//! Passes requests on to other nodes, over the sealed stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use koi_core::types::NodeState;
use koi_core::view::View;
use koi_proto::api::{ApiError, ErrorBody, ErrorCode, Local};
use koi_proto::client::{Client, ClientError, Endpoint};
use tokio::task::JoinSet;

use super::view;
use crate::api::Api;
use crate::api::body::{ResponseBody, raw};
use crate::api::endpoints::commands::{GROUPS, LONGEST_WAIT, RECONFIGURE, wait};
use crate::api::error::{error, from_request_error, unknown_node};
use crate::api::request::{ApiRequest, MOST_PASSED, PASSED};
use crate::cluster::handle::RequestError;

/// How the path of a write of an attribute ends.
const ATTRIBUTES_VERB: &str = "/attributes";

/// What would be taken: the one question whose answer may have to be compiled.
pub(in crate::api) const STAGED: &str = "/v1/staged";

/// How long another node may take: its own limit for a command, and something for the way.
const PASS_TIMEOUT: Duration = Duration::from_secs(12);
/// How long another node may take to tell of its services.
const GATHER_TIMEOUT: Duration = Duration::from_secs(1);
/// Nodes that were silent for so long are not asked: they would only make status slow.
const ASK_WITHIN: Duration = Duration::from_secs(3);

impl Api {
    fn client(&self, address: SocketAddr, timeout: Duration) -> Client {
        let current = self.shared.get();
        let endpoint = Endpoint::Sealed {
            host: address.to_string(),
            cluster_id: current.config.cluster.id,
            keyring: Arc::clone(&current.keyring),
        };
        Client::new(endpoint, timeout)
    }

    /// Passes a request on to the node called `name`, and its answer back.
    pub(in crate::api) async fn pass(
        &self,
        asked: &ApiRequest,
        body: Bytes,
        name: &str,
        address: Option<SocketAddr>,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let Some(address) = address else {
            let message = format!("{name} must do this, and its address is not known yet");
            return Err(error(
                ErrorCode::NoLeader,
                message,
                "try again in a moment, or ask that node itself",
            ));
        };
        let path = match asked.query.is_empty() {
            true => asked.path.clone(),
            false => format!("{}?{}", asked.path, asked.query),
        };
        let wait = match asked.path.as_str() {
            RECONFIGURE => wait(asked),
            // It may have to compile what it would take, and is bounded by whoever waits.
            STAGED => LONGEST_WAIT,
            _ => Duration::ZERO,
        };
        let timeout = asked.requester.at_most(PASS_TIMEOUT + wait);
        if timeout.is_zero() {
            return Err(from_request_error(RequestError::NotBegun, None));
        }
        let client = self.client(address, timeout);
        let passed = (asked.passed + 1).to_string();
        let headers = [(PASSED, passed.as_str()), ("content-type", "application/json")];
        match client.raw(asked.method.clone(), &path, body, &headers).await {
            Ok((status, answer))
                if asked.path.ends_with(ATTRIBUTES_VERB) && is_unknown_path(status, &answer) =>
            {
                Err(knows_not(name, "attributes"))
            }
            Ok((status, answer)) if asked.path.starts_with(GROUPS) && is_unknown_path(status, &answer) => {
                Err(knows_not(name, "groups of services"))
            }
            Ok((status, answer)) => Ok(raw(status, answer)),
            Err(failed) => Err(not_passed(&failed, name, address)),
        }
    }

    /// Passes a request on to the node called `name`; none: it is this node itself that is meant. Only the leader hears
    /// everyone: it is asked about nodes that are not known here.
    pub(in crate::api) async fn pass_to_node(
        &self,
        asked: &ApiRequest,
        view: &View,
        name: &str,
    ) -> Option<Result<Response<ResponseBody>, ApiError>> {
        let node = view::find(view, name);
        if name == self.shared.get().config.node.name || node.is_some_and(|n| n.id == self.me) {
            return None;
        }
        let leader = view.leader.filter(|id| *id != self.me);
        let (name, address) = match (node, leader) {
            // Its address is proven to whoever it talks to: the leader.
            (Some(node), Some(leader))
                if node.address.is_none() && asked.passed == 0 && node.id != leader =>
            {
                (view::name_of(view, leader), view::address_of(view, leader))
            }
            (Some(node), _) => (node.name.clone(), node.address),
            (None, Some(leader)) if asked.passed == 0 => {
                (view::name_of(view, leader), view::address_of(view, leader))
            }
            (None, _) => return Some(Err(unknown_node(name))),
        };
        if asked.passed >= MOST_PASSED {
            return Some(Err(error(
                ErrorCode::Refused,
                format!("{name} is not here"),
                "try again in a moment",
            )));
        }
        Some(self.pass(asked, asked.body.clone(), &name, address).await)
    }

    /// What each node other than this one says of itself, or why one that is heard does not.
    pub(in crate::api) async fn gather(&self, view: &View) -> Vec<Result<Local, GatherError>> {
        let mut asked = JoinSet::new();
        for node in view.nodes.iter().filter(|n| n.id != view.id && n.seen < ASK_WITHIN) {
            let Some(address) = node.address else { continue };
            let (client, name) = (self.client(address, GATHER_TIMEOUT), node.name.clone());
            // Of one that is silent too that is said already.
            let heard = node.state != NodeState::Disconnected;
            asked.spawn(async move {
                match client.get::<Local>("/v1/local").await {
                    Ok(local) => Some(Ok(local)),
                    Err(failed) => heard.then(|| Err(GatherError { name, port: address.port(), failed })),
                }
            });
        }
        asked.join_all().await.into_iter().flatten().collect()
    }
}

/// A node's datagrams pass and its connections do not. Commands would not reach it either.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} is heard and tells nothing of its services over TCP: {failed}; is TCP port {port} open between the nodes?"
)]
pub(in crate::api) struct GatherError {
    name: String,
    port: u16,
    failed: ClientError,
}

/// Whether an answer is that there is no such command.
fn is_unknown_path(status: u16, answer: &[u8]) -> bool {
    let said = serde_json::from_slice::<ErrorBody>(answer).map(|said| said.error).unwrap_or_default();
    status == ErrorCode::NotFound.http_status() && said.is_unknown_command()
}

fn knows_not(name: &str, what: &str) -> ApiError {
    let message = format!("{name} must do this, and its koid knows no {what}");
    error(ErrorCode::Refused, message, format!("nothing has changed; upgrade koid on {name}"))
}

fn not_passed(failed: &ClientError, name: &str, address: SocketAddr) -> ApiError {
    match failed {
        // It may have been begun there.
        ClientError::TimedOut { .. } | ClientError::Broken { .. } => error(
            ErrorCode::Timeout,
            format!("{name} ({address}) was asked and gave no answer: {failed}; it may yet take effect"),
            "look at `koi status`",
        ),
        _ => error(
            ErrorCode::NoLeader,
            format!("{name} ({address}) must do this, and cannot be reached over TCP: {failed}"),
            format!("is TCP port {} open between the nodes?", address.port()),
        ),
    }
}
