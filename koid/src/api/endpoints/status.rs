//! What is: `GET /v1/status`, `local`, `electors` and `failures`.

use bytes::Bytes;
use hyper::Response;
use koi_core::types::ServiceState;
use koi_proto::api::{ApiError, GroupOnNode, GroupStatus, NodeStatus, Patience, Status, Timing};

use super::view::ms;
use super::{groups, statistics, view};
use crate::api::Api;
use crate::api::body::{ResponseBody, json};
use crate::api::error::silent_core;
use crate::api::request::ApiRequest;
use crate::attributes::store;
use crate::cluster::handle::Snapshot;
use crate::os::restarts::restarted_by;
use crate::os::sys;
use crate::reporting::events::unix_ms;
use crate::services::retained::GOES_ON;
use crate::services::scan_results::ServicePatience;

impl Api {
    async fn look(&self) -> Result<Snapshot, ApiError> {
        let mut look = self.cluster.snapshot().await.ok_or_else(silent_core)?;
        let bind = self.shared.get().config.node.bind;
        let peer = look.view.nodes.iter().find_map(|n| n.address.filter(|_| n.id != self.me));
        if let Some(own) = look.view.nodes.iter_mut().find(|n| n.id == self.me) {
            own.address = sys::address_towards(bind, peer).map(|ip| (ip, self.port).into());
        }
        Ok(look)
    }

    /// The leader's view if there is a leader, this node's own otherwise.
    pub(super) async fn status(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let Snapshot { view, refused, .. } = self.look().await?;
        let current = self.shared.get();
        let mut status = view::status(&view, current.config.cluster.id, &current.settings);
        status.nodes.iter_mut().for_each(|node| self.add_details(node));
        status.groups.iter_mut().for_each(|group| self.add_attributes(group));
        let name = &current.config.node.name;
        warn_of(&mut status, name, self.findings.exposed());
        warn_of(&mut status, name, refused.warnings);
        advise_of(&mut status, name, refused.advice);
        if view.acting {
            for local in self.gather(&view).await {
                match local {
                    Ok(local) => merge(&mut status, local),
                    Err(unasked) => view::warn(&mut status, [unasked.to_string()]),
                }
            }
            warn_of_held(&mut status);
            return Ok(json(&status));
        }
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (view::name_of(&view, leader), view::address_of(&view, leader));
            match self.pass(asked, Bytes::new(), &name, address).await {
                Ok(response) => return Ok(response),
                Err(failed) => {
                    let only =
                        format!("this is only what {} sees: {}", status.cluster.seen_by, failed.message);
                    view::warn(&mut status, [only]);
                }
            }
        }
        Ok(json(&status))
    }

    pub(super) async fn local(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let Snapshot { view, dropped, refused } = self.look().await?;
        if let Some(name) = asked.parameter("node")?
            && let Some(elsewhere) = self.pass_to_node(asked, &view, &name).await
        {
            return elsewhere;
        }
        let mut local = view::local(&view, self.port, self.started_at, dropped);
        self.add_details(&mut local.node);
        local.newest_event = Some(self.hub.newest());
        local.now_ms = Some(unix_ms());
        local.timing = Some(timing(&self.shared.get().config.timing));
        local.restarted_by = restarted_by();
        local.warnings = self.findings.exposed();
        local.warnings.extend(refused.warnings);
        local.advice = refused.advice;
        Ok(json(&local))
    }

    /// Adds what this node's services say besides their state, and what their hooks cost; what is down says nothing.
    fn add_details(&self, node: &mut NodeStatus) {
        if node.id != self.me.to_string() {
            return;
        }
        for service in node.services.iter_mut().flatten() {
            service.patience = self.findings.patience(&service.name).as_ref().map(patience);
            let known = self.statistics.for_service(&service.name);
            service.statistics = known.map(|known| statistics::of_handler(&known.current));
        }
        let down = [ServiceState::Stopped, ServiceState::Failed].map(ServiceState::as_str);
        for service in node.services.iter_mut().flatten().filter(|s| !down.contains(&s.state.as_str())) {
            let said = self.details.for_service(&service.name);
            (service.details, service.status_hash) = (said.details, said.plugin_hash);
            let watched = self.processes.for_service(&service.name);
            (service.processes, service.unwatched) = (watched.ids, watched.problem);
            service.held = self.findings.retained(&service.name).map(|why| why.to_string());
        }
    }

    /// Adds what the group's attributes say, where it has some.
    fn add_attributes(&self, status: &mut GroupStatus) {
        let copy = status.name.as_str().parse().ok().and_then(|group| self.attributes.board.read(&group));
        status.attributes = copy.map(|copy| store::state(&copy)).filter(|state| !state.values.is_empty());
    }

    pub(super) async fn electors(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let view = self.look().await?.view;
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (view::name_of(&view, leader), view::address_of(&view, leader));
            if let Ok(response) = self.pass(asked, Bytes::new(), &name, address).await {
                return Ok(response);
            }
        }
        Ok(json(&view::electors(&view)))
    }

    pub(super) async fn failures(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let view = self.look().await?.view;
        let group = asked.parameter("group")?;
        let group = group.map(|group| groups::known(&view, &group)).transpose()?;
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (view::name_of(&view, leader), view::address_of(&view, leader));
            if let Ok(response) = self.pass(asked, Bytes::new(), &name, address).await {
                return Ok(response);
            }
        }
        Ok(json(&view::failures(&view, group.as_ref())))
    }
}

fn timing(timing: &koi_config::Timing) -> Timing {
    Timing {
        heartbeat_ms: ms(timing.heartbeat),
        leader_lease_ms: ms(timing.leader_lease),
        master_lease_ms: ms(timing.master_lease),
        demote_grace_ms: ms(timing.demote_grace),
    }
}

fn patience(patience: &ServicePatience) -> Patience {
    let ServicePatience { status_interval, policy } = patience;
    Patience {
        status_interval_ms: ms(*status_interval),
        status_failures: policy.status_failures,
        status_retry_ms: ms(policy.status_retry),
        restarts: policy.restarts,
        restart_timeout_ms: ms(policy.restart_timeout),
    }
}

/// What would fail at the next start is to be seen while there is time.
fn warn_of_held(status: &mut Status) {
    let all = status.nodes.iter().flat_map(|node| node.services.iter().flatten().map(move |s| (node, s)));
    let held = all.filter_map(|(node, service)| {
        let why = service.held.as_ref()?;
        Some(format!("{} on {} {GOES_ON}: {why}", service.name, node.name))
    });
    let held: Vec<String> = held.collect();
    view::warn(status, held);
}

/// Adds what is wrong with a node by its own word.
fn warn_of(status: &mut Status, node: &str, warnings: Vec<String>) {
    status.cluster.warnings.extend(warnings.into_iter().map(|warning| format!("{node}: {warning}")));
}

/// Adds what a node noticed that is no fault.
fn advise_of(status: &mut Status, node: &str, advice: Vec<String>) {
    status.cluster.advice.extend(advice.into_iter().map(|advice| format!("{node}: {advice}")));
}

/// Adds what a node says of itself to what the leader says of it.
fn merge(status: &mut Status, local: koi_proto::api::Local) {
    warn_of(status, &local.node.name, local.warnings);
    advise_of(status, &local.node.name, local.advice);
    if let Some(node) = status.nodes.iter_mut().find(|n| n.id == local.node.id) {
        node.services = local.node.services;
        node.action = local.node.action;
        node.recovers_in_ms = local.node.recovers_in_ms;
        if !local.node.message.is_empty() {
            node.message = local.node.message;
        }
        if node.last_failure.is_none() {
            node.last_failure = local.node.last_failure;
        }
        for of in &mut node.groups {
            let Some(own) = local.node.groups.iter().find(|own| own.name == of.name) else { continue };
            let state = std::mem::take(&mut of.state);
            let message =
                if own.message.is_empty() { std::mem::take(&mut of.message) } else { own.message.clone() };
            *of = GroupOnNode { state, stopped: of.stopped, message, ..own.clone() };
        }
    }
}
