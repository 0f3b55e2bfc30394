//! How a service is, in a few words.

use koi_proto::api::{NodeState, NodeStatus, ServiceState, ServiceStatus};

use crate::render::layout::Tone;
use crate::render::layout::clock::span;

/// The service states in the order in which they are counted: what deserves a look first.
const STATES: [ServiceState; 9] = [
    ServiceState::Failed,
    ServiceState::Failing,
    ServiceState::Stopping,
    ServiceState::Stopped,
    ServiceState::Starting,
    ServiceState::Demoting,
    ServiceState::Promoting,
    ServiceState::Started,
    ServiceState::Promoted,
];

/// How a node's services are: `3 promoted`, or `1 failed, 2 stopped`.
pub(crate) fn counts(services: &[&ServiceStatus]) -> String {
    let count = |word: &str, n: usize| (n > 0).then(|| format!("{n} {}", word.to_lowercase()));
    let disabled = services.iter().filter(|s| s.disabled).count();
    let enabled = || services.iter().filter(|s| !s.disabled);
    let known = STATES
        .iter()
        .filter_map(|state| count(state.as_str(), enabled().filter(|s| s.state == *state).count()));
    let unknown = enabled().filter(|s| !STATES.contains(&s.state)).count();
    let parts: Vec<String> =
        known.chain(count("unknown", unknown)).chain(count("disabled", disabled)).collect();
    if parts.is_empty() { "no services".to_owned() } else { parts.join(", ") }
}

/// Whether nothing needs to be said of a service, given what its node is in its group.
pub(crate) fn is_fine(service: &ServiceStatus, node: &NodeStatus) -> bool {
    if service.failed || service.disabled {
        return false;
    }
    let of = node.groups.iter().find(|of| of.name == service.group);
    match of.map_or(&node.state, |of| &of.state) {
        NodeState::Master => service.state == ServiceState::Promoted,
        NodeState::Standby | NodeState::Live => service.state == ServiceState::Started && service.promotable,
        NodeState::Stopped | NodeState::Disconnected | NodeState::Failed => {
            matches!(service.state, ServiceState::Stopped | ServiceState::Started)
        }
        NodeState::Elector | NodeState::Unknown(_) => true,
    }
}

/// The tone of a service's state.
pub(crate) fn tone(service: &ServiceStatus) -> Tone {
    if service.failed {
        return Tone::Bad;
    }
    match service.state {
        ServiceState::Failed | ServiceState::Failing => Tone::Bad,
        ServiceState::Promoted => Tone::Good,
        ServiceState::Started => Tone::Plain,
        ServiceState::Stopped => Tone::Dim,
        ServiceState::Stopping
        | ServiceState::Starting
        | ServiceState::Demoting
        | ServiceState::Promoting
        | ServiceState::Unknown(_) => Tone::Warn,
    }
}

/// Its priority as two digits, or none.
pub(crate) fn priority(service: &ServiceStatus) -> String {
    service.priority.map(|p| format!("{p:02}")).unwrap_or_default()
}

/// The classic mark: `-` when failed.
pub(crate) fn mark(service: &ServiceStatus) -> &'static str {
    if service.failed { "-" } else { "+" }
}

/// What it is doing: `start 3.2s`; empty: nothing.
pub(crate) fn doing(service: &ServiceStatus) -> String {
    match (&service.hook, service.hook_ms) {
        (Some(hook), Some(ms)) => format!("{hook} {}", span(ms)),
        (Some(hook), None) => hook.to_string(),
        (None, _) => String::new(),
    }
}

/// Why it is as it is: its message, or what else there is to say.
pub(crate) fn remark(service: &ServiceStatus) -> String {
    match &service.message {
        _ if service.disabled => "disabled: a file `disabled` lies in its folder".to_owned(),
        Some(message) => message.clone(),
        None if service.failed => "failed".to_owned(),
        None if service.state == ServiceState::Started && !service.promotable => {
            "not promotable now".to_owned()
        }
        None => String::new(),
    }
}

/// Why it goes on as it was.
pub(crate) fn held(service: &ServiceStatus) -> String {
    let sentence =
        |why: &String| format!("goes on as it was until it is stopped; it could not be started so: {why}");
    service.held.as_ref().map(sentence).unwrap_or_default()
}

/// Why the end of its process is not seen at once.
pub(crate) fn unwatched(service: &ServiceStatus) -> String {
    let sentence = |why: &String| format!("the end of its process is not seen at once: {why}");
    service.unwatched.as_ref().map(sentence).unwrap_or_default()
}

/// Its message, and behind it what its handler said of it besides.
pub(crate) fn said(service: &ServiceStatus) -> String {
    let parts = [remark(service), unwatched(service), details(service)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// What its handler said of it besides, and the processes that are watched: `lag=0, version=7.2, process 8587`.
pub(crate) fn details(service: &ServiceStatus) -> String {
    let ids: Vec<String> = service.processes.iter().map(u32::to_string).collect();
    let watched = match &ids[..] {
        [] => None,
        [id] => Some(format!("process {id}")),
        several => Some(format!("processes {}", several.join(" "))),
    };
    let pairs: Vec<_> = service.details.iter().map(pair).chain(watched).collect();
    pairs.join(", ")
}

/// `lag=0`, and `kept: /usr/bin/x, process 8587`: a value of several words is no name's.
fn pair((key, value): &(String, String)) -> String {
    let mark = if value.contains(' ') { ": " } else { "=" };
    format!("{key}{mark}{value}")
}
