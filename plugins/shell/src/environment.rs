//! The environment of a script.

use std::ffi::OsString;

use koi_plugin_api::{Circumstances, Context, DownReason, Hook, Peer, Role, ScriptAccess};
use serde::Serialize;

/// Bytes of one value. The kernel refuses to run a script with a string of 128 KiB or more.
const VALUE_BYTES: usize = 4096;

/// Everything that a script finds in its environment. Of the daemon's own only what every program needs is handed on;
/// secrets that it was started with stay with it.
pub(crate) fn variables(hook: Hook, context: &Context) -> Vec<(OsString, OsString)> {
    let mut all = koi_child::environment();
    let (master_name, master_addr) = context.master.clone().unwrap_or_default();
    let mut add = |name: &str, value: &str| all.push((name.into(), clean(value).into()));
    add("KOI_SERVICE", &context.service);
    add("KOI_EVENT", hook.as_str());
    add("KOI_NODE", &context.node);
    add("KOI_NODE_ID", &context.node_id);
    add("KOI_CLUSTER", &context.cluster);
    add("KOI_STATE", &context.node_state);
    add("KOI_IS_PROMOTED", if context.role == Role::Promoted { "1" } else { "0" });
    add("KOI_EPOCH", &context.epoch.to_string());
    add("KOI_MASTER_NAME", &master_name);
    add("KOI_MASTER_ADDR", &master_addr);
    let Circumstances { reason, promoted_epoch, previous, group, peers, left: _ } = &context.circumstances;
    let (previous_name, previous_epoch) = previous.clone().unwrap_or_default();
    add("KOI_GROUP", group.as_deref().unwrap_or("main"));
    add("KOI_REASON", reason.map(DownReason::as_str).unwrap_or_default());
    add("KOI_DEADLINE_MS", &context.time_left().as_millis().to_string());
    add("KOI_PROMOTED_EPOCH", &promoted_epoch.to_string());
    add("KOI_PREVIOUS_MASTER", &previous_name);
    add("KOI_PREVIOUS_EPOCH", &previous_epoch.to_string());
    // Not clean()ed: it would be no JSON any more when it is cut. Names are short, and there are few nodes.
    all.push(("KOI_PEERS".into(), peers.as_deref().map(json_of).unwrap_or_default().into()));
    let mut add = |name: &str, value: &str| all.push((name.into(), clean(value).into()));
    if let (Hook::Failed, Some(cause)) = (hook, &context.cause) {
        add("KOI_FAILED_EVENT", cause.hook.as_str());
        add("KOI_FAILED_MESSAGE", &cause.message);
    }
    for (key, value) in &context.config {
        add(&config_name(key), value);
    }
    if let Some(ScriptAccess { token, .. }) = &context.access {
        add("KOI_TOKEN", token.reveal());
    }
    // A path is handed on to the byte: not clean()ed, it need not be UTF-8.
    all.push(("KOI_SERVICE_HOME".into(), context.home.clone().into_os_string()));
    if let Some(ScriptAccess { socket, .. }) = &context.access {
        all.push(("KOI_SOCKET".into(), socket.clone().into_os_string()));
    }
    all
}

/// As the API has nodes, by name.
fn json_of(peers: &[Peer]) -> String {
    let mut peers: Vec<&Peer> = peers.iter().collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    let row = |peer: &&Peer| {
        let Peer { name, state, promotable, score, address } = (*peer).clone();
        PeerRow { name, state: state.as_str(), promotable, score, address }
    };
    // Texts and numbers: there is nothing in it that JSON does not have.
    serde_json::to_string(&peers.iter().map(row).collect::<Vec<_>>()).unwrap_or_default()
}

#[derive(Serialize)]
struct PeerRow {
    name: String,
    state: &'static str,
    promotable: bool,
    score: Option<i64>,
    address: Option<String>,
}

/// `[config]` of `service.toml`: `virtual-ip` becomes `KOI_CONFIG_VIRTUAL_IP`.
fn config_name(key: &str) -> String {
    let word = key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("KOI_CONFIG_{}", word.collect::<String>())
}

/// A value that the kernel takes: without NUL, which would end it, and of bounded length.
fn clean(value: &str) -> String {
    let end = value.floor_char_boundary(VALUE_BYTES);
    value[..end].replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use koi_plugin_api::{CallToken, Failure, PeerState};

    use super::*;

    #[test]
    fn a_key_of_the_configuration_becomes_a_name_that_a_shell_can_read() {
        assert_eq!(config_name("virtual-ip.v6"), "KOI_CONFIG_VIRTUAL_IP_V6");
    }

    /// What a script of this hook finds that begins with `KOI_`.
    fn names(hook: Hook) -> BTreeSet<String> {
        let socket = "/run/koi/koid.sock".into();
        names_with(hook, Some(ScriptAccess { socket, token: CallToken::new("secret".into()) }))
    }

    fn names_with(hook: Hook, access: Option<ScriptAccess>) -> BTreeSet<String> {
        let failed = Failure { hook: Hook::Start, message: "broken".into(), timed_out: false };
        let context = Context {
            service: "web".into(),
            node: "a".into(),
            node_id: String::new(),
            cluster: "13".into(),
            call_id: 1,
            attempt: 1,
            role: Role::Promoted,
            node_state: "Master".into(),
            epoch: 7,
            master: None,
            timeout: Duration::from_secs(1),
            home: "/srv/web".into(),
            workdir: "/srv/web".into(),
            config: vec![("name".into(), "x".into())],
            cause: Some(failed),
            circumstances: Circumstances::default(),
            access,
        };
        let names = variables(hook, &context).into_iter().map(|(name, _)| name.into_string().unwrap());
        names.filter(|name| name.starts_with("KOI_")).collect()
    }

    #[test]
    fn the_documentation_has_every_variable_and_no_other() {
        let page = include_str!("../../../docs/handlers.md");
        let (_, table) = page.split_once("| variable | what it says |").expect("the table of variables");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with("| `KOI_"));
        let documented: BTreeSet<String> =
            rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
        let all: BTreeSet<String> = Hook::ALL.into_iter().flat_map(names).collect();
        assert_eq!(documented, all);
        assert!(!names(Hook::Start).contains("KOI_FAILED_EVENT"), "nothing has failed");
    }

    #[test]
    fn where_nobody_can_be_asked_there_is_no_token_and_no_socket() {
        let (all, without) = (names(Hook::Demote), names_with(Hook::Demote, None));
        let missing: Vec<&String> = all.difference(&without).collect();
        assert_eq!(missing, ["KOI_SOCKET", "KOI_TOKEN"]);
    }

    #[test]
    fn the_other_nodes_are_json_by_name() {
        let peer = |name: &str| Peer {
            name: name.to_owned(),
            state: PeerState::Standby,
            promotable: true,
            score: None,
            address: Some("10.0.0.3".to_owned()),
        };
        let odd = Peer { score: Some(i64::MIN), address: None, promotable: false, ..peer("a\"\n") };
        assert_eq!(
            json_of(&[peer("c"), odd]),
            r#"[{"name":"a\"\n","state":"Standby","promotable":false,"score":-9223372036854775808,"address":null},"#.to_owned()
                + r#"{"name":"c","state":"Standby","promotable":true,"score":null,"address":"10.0.0.3"}]"#
        );
        assert_eq!(json_of(&[]), "[]");
    }

    #[test]
    fn a_value_is_bounded_and_free_of_nul() {
        assert_eq!(clean("a\0b"), "a\u{fffd}b");
        assert_eq!(clean(&"ö".repeat(5000)).len(), VALUE_BYTES);
    }
}
