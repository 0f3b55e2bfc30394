//! Which path does what (the table in `koi_proto::api`).

use bytes::Bytes;
use hyper::{Method, Response};
use koi_core::types::ServiceState;
use koi_proto::api::{ApiError, ErrorCode, Event, EventLevel, NodeStatus, Status};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Api;
use super::body::{Answer, json, line, lines, refusal};
use super::error::{bad_request, error, silent_core};
use super::request::Asked;
use super::status;
use crate::cluster::Look;
use crate::services::GOES_ON;
use crate::{say, sys};

/// Characters of a refused request that are logged, and of why it was refused.
const SAID_CHARS: usize = 400;
/// Lines that wait for a follower; the event hub keeps those beyond.
const LINES_WAITING: usize = 64;

impl Api {
    /// Answers one request.
    pub(super) async fn answer(&self, asked: Asked) -> Response<Answer> {
        self.route(&asked).await.unwrap_or_else(|error| {
            if asked.method == Method::POST {
                let (path, why) =
                    (say::short(&asked.path, SAID_CHARS), say::short(&error.message, SAID_CHARS));
                tracing::info!("{}: {path} was not done: {why}", asked.caller);
            }
            refusal(error)
        })
    }

    async fn route(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        if let (&Method::GET, Some(name)) = (&asked.method, Self::plugin_name(asked)?) {
            return self.plugin(asked, &name).await;
        }
        match (&asked.method, asked.path.as_str()) {
            (&Method::GET, "/v1/status") => self.status(asked).await,
            (&Method::GET, "/v1/local") => self.local(asked).await,
            (&Method::GET, "/v1/electors") => self.electors(asked).await,
            (&Method::GET, "/v1/failures") => self.failures(asked).await,
            (&Method::GET, "/v1/events") => self.events(asked),
            (&Method::GET, "/v1/plugins") => self.plugins(asked).await,
            (&Method::POST, _) => self.post(asked).await,
            (method, path) => Err(error(
                ErrorCode::NotFound,
                format!("there is no {method} {path}"),
                "the API's paths begin with /v1/; `curl --unix-socket … http://koi/v1/status` is one",
            )),
        }
    }

    async fn look(&self) -> Result<Look, ApiError> {
        let mut look = self.cluster.look().await.ok_or_else(silent_core)?;
        let bind = self.shared.get().config.node.bind;
        let peer = look.view.nodes.iter().find_map(|n| n.address.filter(|_| n.id != self.me));
        if let Some(own) = look.view.nodes.iter_mut().find(|n| n.id == self.me) {
            own.address = sys::address_towards(bind, peer).map(|ip| (ip, self.port).into());
        }
        Ok(look)
    }

    /// The leader's view if there is a leader, this node's own otherwise.
    async fn status(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        let Look { view, refused, .. } = self.look().await?;
        let current = self.shared.get();
        let mut status = status::status(&view, current.config.cluster.id, &current.settings);
        status.nodes.iter_mut().for_each(|node| self.add_details(node));
        let name = &current.config.node.name;
        warn_of(&mut status, name, self.details.exposed());
        warn_of(&mut status, name, refused.warnings);
        advise_of(&mut status, name, refused.advice);
        if view.acting {
            for local in self.gather(&view).await {
                match local {
                    Ok(local) => merge(&mut status, local),
                    Err(unasked) => status::warn(&mut status, [unasked.to_string()]),
                }
            }
            warn_of_held(&mut status);
            return Ok(json(&status));
        }
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (status::name_of(&view, leader), status::address_of(&view, leader));
            match self.pass(asked, Bytes::new(), &name, address).await {
                Ok(response) => return Ok(response),
                Err(failed) => {
                    let only =
                        format!("this is only what {} sees: {}", status.cluster.seen_by, failed.message);
                    status::warn(&mut status, [only]);
                }
            }
        }
        Ok(json(&status))
    }

    async fn local(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        let Look { view, dropped, refused } = self.look().await?;
        if let Some(name) = asked.parameter("node")?
            && let Some(elsewhere) = self.pass_to_node(asked, &view, &name).await
        {
            return elsewhere;
        }
        let mut local = status::local(&view, self.port, self.started_at, dropped);
        self.add_details(&mut local.node);
        local.warnings = self.details.exposed();
        local.warnings.extend(refused.warnings);
        local.advice = refused.advice;
        Ok(json(&local))
    }

    /// Adds what this node's services say besides their state; what is down says nothing.
    fn add_details(&self, node: &mut NodeStatus) {
        if node.id != self.me.to_string() {
            return;
        }
        let down = [ServiceState::Stopped, ServiceState::Failed].map(ServiceState::as_str);
        for service in node.services.iter_mut().flatten().filter(|s| !down.contains(&s.state.as_str())) {
            service.details = self.details.of(&service.name);
            service.held = self.details.held(&service.name);
        }
    }

    async fn electors(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        let view = self.look().await?.view;
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (status::name_of(&view, leader), status::address_of(&view, leader));
            if let Ok(response) = self.pass(asked, Bytes::new(), &name, address).await {
                return Ok(response);
            }
        }
        Ok(json(&status::electors(&view)))
    }

    async fn failures(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        let view = self.look().await?.view;
        if let Some(leader) = view.leader.filter(|id| *id != self.me && asked.passed == 0) {
            let (name, address) = (status::name_of(&view, leader), status::address_of(&view, leader));
            if let Ok(response) = self.pass(asked, Bytes::new(), &name, address).await {
                return Ok(response);
            }
        }
        Ok(json(&status::failures(&view)))
    }

    fn events(&self, asked: &Asked) -> Result<Response<Answer>, ApiError> {
        let since = match asked.parameter("since")? {
            None => 0,
            Some(text) => text.parse().map_err(|_| bad_request(format!("?since={text} is not a number")))?,
        };
        let follow = match asked.parameter("follow")?.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(bad_request(format!("?follow={other} is neither true nor false"))),
        };
        let (kept, following) = self.hub.follow(since);
        let (sender, receiver) = mpsc::channel(LINES_WAITING);
        tokio::spawn(send_events(kept, follow.then_some(following), sender));
        Ok(lines(receiver))
    }
}

/// Ends when the other side has gone, or there is nothing more to come.
async fn send_events(kept: Vec<Event>, following: Option<Receiver<Event>>, to: mpsc::Sender<Bytes>) {
    for event in &kept {
        if to.send(line(event)).await.is_err() {
            return;
        }
    }
    let Some(mut following) = following else { return };
    loop {
        let event = tokio::select! {
            event = following.recv() => event,
            () = to.closed() => return,
        };
        let text = match event {
            Ok(event) => line(&event),
            Err(RecvError::Lagged(missed)) => line(&Event {
                kind: "missed".into(),
                message: format!("{missed} events were missed: they came faster than they were read"),
                level: EventLevel::Warning,
                ..Event::default()
            }),
            Err(RecvError::Closed) => return,
        };
        if to.send(text).await.is_err() {
            return;
        }
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
    status::warn(status, held);
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
    }
}
