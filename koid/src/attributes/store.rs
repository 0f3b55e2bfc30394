//! Reads and writes of attributes, wherever they are asked for: by the API, or by a call inside koid.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use koi_core::attributes::{AttributeChange, AttributesCopy};
use koi_core::group::GroupName;
use koi_core::io::Command;
use koi_core::types::{Epoch, NodeId};
use koi_proto::api::{ApiError, AttributesState, ErrorCode, GroupAttributes};
use koi_proto::client::{Client, ClientError, Endpoint, Method, read};

use super::board::Board;
use crate::api::endpoints::view;
use crate::api::error::{error, no_leader, silent_core};
use crate::api::request::PASSED;
use crate::cluster::handle::{Cluster, CommandScope, RequestError};
use crate::cluster::requester::Requester;
use crate::config::current::SharedConfig;

/// How long a leader may take to say what it knows.
const FRESH_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to the attributes. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct AttributesStore {
    pub(crate) me: NodeId,
    pub(crate) cluster: Cluster,
    pub(crate) board: Board,
    pub(crate) shared: SharedConfig,
}

impl AttributesStore {
    /// What a group's attributes say here, as the node acts on it.
    pub(crate) fn local(&self, group: &GroupName) -> GroupAttributes {
        GroupAttributes {
            group: group.into(),
            seen_by: self.shared.get().config.node.name.clone(),
            state: self.board.read(group).map(|copy| state(&copy)).unwrap_or_default(),
        }
    }

    /// What the leader knows: every write that was answered is in it. `passed`: it is asked for by another node, which took this one for the leader.
    pub(crate) async fn fresh(
        &self,
        group: &GroupName,
        passed: bool,
        requester: &Requester,
    ) -> Result<GroupAttributes, ApiError> {
        let view = self.cluster.snapshot().await.ok_or_else(silent_core)?.view;
        if view.acting {
            return Ok(self.local(group));
        }
        let Some(leader) = view.leader.filter(|id| *id != self.me && !passed) else {
            return Err(no_leader(Some(&view)));
        };
        let name = view::name_of(&view, leader);
        let Some(address) = view::address_of(&view, leader) else {
            let message = format!("{name} leads, and its address is not known yet");
            return Err(error(ErrorCode::NoLeader, message, "try again in a moment"));
        };
        let current = self.shared.get();
        let endpoint = Endpoint::Sealed {
            host: address.to_string(),
            cluster_id: current.config.cluster.id,
            keyring: Arc::clone(&current.keyring),
        };
        let client = Client::new(endpoint, requester.at_most(FRESH_TIMEOUT));
        let path = format!("/v1/attributes?group={group}&fresh=true");
        let answer = client.raw(Method::GET, &path, Bytes::new(), &[(PASSED, "1")]).await;
        match answer.and_then(|(status, answer)| read::<GroupAttributes>(status, &answer)) {
            Ok(fresh) => Ok(fresh),
            Err(ClientError::Refused { error, .. }) => Err(error),
            Err(failed) => Err(error(
                ErrorCode::NoLeader,
                format!("{name} leads, and did not say what the attributes are: {failed}"),
                format!(
                    "is TCP port {} open between the nodes? Without `fresh` this node says what it acts on",
                    address.port()
                ),
            )),
        }
    }

    /// Writes an attribute under a mastership of this node. Ends at once when the lease on it is lost.
    pub(crate) async fn write(
        &self,
        group: &GroupName,
        epoch: Epoch,
        change: AttributeChange,
        requester: &Requester,
    ) -> Result<(), RequestError> {
        let scope = CommandScope { group: group.clone(), sole: false };
        self.cluster.command(&scope, Command::WriteAttribute { epoch, change }, requester).await.map(drop)
    }
}

/// In the words of the API.
pub(crate) fn state(copy: &AttributesCopy) -> AttributesState {
    let all = copy.attributes.iter();
    AttributesState {
        version: copy.changed.to_string(),
        values: all.map(|(key, value)| (key.to_string(), value.as_str().to_owned())).collect(),
    }
}
