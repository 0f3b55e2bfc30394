//! `GET /v1/events`: what has happened, and what happens.

use bytes::Bytes;
use hyper::Response;
use koi_proto::api::{ApiError, Event, EventLevel, Group};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::groups;
use crate::api::Api;
use crate::api::body::{ResponseBody, line, lines};
use crate::api::error::{bad_request, silent_core};
use crate::api::request::ApiRequest;

/// Lines that wait for a follower; the event hub keeps those beyond.
const LINES_WAITING: usize = 64;

impl Api {
    pub(super) async fn events(&self, asked: &ApiRequest) -> Result<Response<ResponseBody>, ApiError> {
        let since = match asked.parameter("since")? {
            None => 0,
            Some(text) => text.parse().map_err(|_| bad_request(format!("?since={text} is not a number")))?,
        };
        let follow = match asked.parameter("follow")?.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(bad_request(format!("?follow={other} is neither true nor false"))),
        };
        if let Some(name) = asked.parameter("node")? {
            if follow {
                return Err(bad_request("the events of another node are not followed: &follow=false"));
            }
            let Some(view) = self.view().await else { return Err(silent_core()) };
            if let Some(elsewhere) = self.pass_to_node(asked, &view, &name).await {
                return elsewhere;
            }
        }
        let group = match asked.parameter("group")? {
            None => None,
            Some(group) => {
                let Some(view) = self.view().await else { return Err(silent_core()) };
                Some(groups::known(&view, &group)?)
            }
        };
        let (kept, following) = self.hub.follow(since);
        let (sender, receiver) = mpsc::channel(LINES_WAITING);
        tokio::spawn(send_events(kept, follow.then_some(following), group, sender));
        Ok(lines(receiver))
    }
}

/// Sends the events of a group, or all. Ends when the other side has gone, or there is nothing more to come.
async fn send_events(
    kept: Vec<Event>,
    following: Option<Receiver<Event>>,
    group: Option<Group>,
    to: mpsc::Sender<Bytes>,
) {
    let is_meant = |event: &Event| group.as_ref().is_none_or(|group| event.group == *group);
    for event in kept.iter().filter(|event| is_meant(event)) {
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
            Ok(event) if !is_meant(&event) => continue,
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
