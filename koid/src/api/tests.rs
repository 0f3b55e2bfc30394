//! Two nodes in one process, without services, asked over their sockets.

use std::path::Path;
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::io::Boot;
use koi_plugin_api::{AttributesError, CallAttributes, CallToken};
use koi_proto::api::{
    Done, Drill, DrillAction, ErrorCode, Event, EventLevel, Failures, GroupAttributes, Local, Maintenance,
    OnNode, Plugin, PluginDetail, Promote, Reconfigure, Status,
};
use koi_proto::client::{Client, ClientError, Endpoint, Lines, Method, TOKEN, read};
use serde_json::json;

use super::*;
use crate::attributes::board::board;
use crate::attributes::call::AttributesOfCall;
use crate::attributes::live_calls::CallScope;
use crate::cluster::event_loop::{self, LoopParts};
use crate::cluster::sockets;
use crate::config::current::ActiveConfig;
use crate::os::sys;
use crate::storage::store::Store;

/// A node, and the way to ask it.
pub(super) struct Node {
    id: NodeId,
    pub(super) shared: SharedConfig,
    pub(super) local: Client,
    pub(super) sealed: Client,
    /// Reloads that were asked for.
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
    /// The hook calls that run.
    live_calls: LiveCalls,
    attributes: AttributesStore,
    _orders: mpsc::UnboundedReceiver<crate::hooks::executor::HookCommand>,
}

async fn start(folder: &Path, name: &str, bound: sockets::Bound, transport: &str) -> Node {
    std::fs::create_dir_all(folder.join("services")).unwrap();
    let text = format!(
        "[node]\nname = \"{name}\"\nbind = \"127.0.0.1\"\nport = {}\nstate_dir = \"state-{name}\"\nsocket = \"{name}.sock\"\n\
         [cluster]\nelectors = 2\ntransport = [{transport}]\npassword = \"a long one\"\n[services]\nfolder = \"services\"\n[plugins]\ndirs = [\"plugins\"]\n",
        bound.port
    );
    let config = koi_config::parse_toml(&text, &folder.join("koi.toml")).unwrap().config;
    let current = ActiveConfig::new(config).unwrap();
    let config = &current.config;
    let (store, opened) = Store::open(&config.node.state_dir).unwrap();
    let socket = LocalListener::open(&config.node.socket).unwrap();
    let (id, session) = (opened.id, opened.session);
    let (orders, _orders) = mpsc::unbounded_channel();
    let hub = EventHub::new();
    let (writer, board) = board();
    let (cluster, _) = event_loop::start(LoopParts {
        guardian: crate::guardian_client::client::Guardian::absent(),
        settings: current.settings.clone(),
        boot: Boot { id, session, durable: None, damaged: false, now: sys::now() },
        sockets: bound.udp,
        wire: current.wire(),
        disk: store,
        fence: koi_config::Fence::None,
        hub: hub.clone(),
        newest_epoch: koi_plugin_api::NewestEpoch::default(),
        board: writer,
        orders,
        fences: mpsc::unbounded_channel().0,
    })
    .unwrap();
    let timeout = Duration::from_secs(15);
    let local = Client::new(Endpoint::Socket(config.node.socket.clone()), timeout);
    let sealed = Client::new(
        Endpoint::Sealed {
            host: format!("127.0.0.1:{}", bound.port),
            cluster_id: config.cluster.id,
            keyring: current.keyring.clone(),
        },
        timeout,
    );
    let (plugins, details) =
        (Plugins::new(config, std::path::Path::new("/nowhere/koi.toml")), Details::default());
    plugins.load(config).await;
    let shared = SharedConfig::new(current);
    let (reload, reloads) = mpsc::channel(1);
    let live_calls = LiveCalls::new("/nowhere/koid.sock".into());
    let attributes = AttributesStore { me: id, cluster: cluster.clone(), board, shared: shared.clone() };
    let of_node = attributes.clone();
    let api = Api {
        me: id,
        live_calls: live_calls.clone(),
        attributes,
        cluster,
        hub,
        shared: shared.clone(),
        reload,
        plugins,
        scan_trigger: ScanTrigger::new().0,
        details,
        processes: Processes::new().0,
        statistics: Statistics::default(),
        findings: ScanResults::default(),
        drilled: DrilledStatuses::default(),
        file: "/nowhere/koi.toml".into(),
        port: bound.port,
        started_at: 0,
    };
    tokio::spawn(serve_local(api.clone(), socket));
    tokio::spawn(serve_sealed(api, bound.tcp));
    Node { id, shared, local, sealed, reloads, live_calls, attributes: of_node, _orders }
}

/// The leader and the other one, as soon as there is a leader.
pub(super) async fn pair(folder: &Path) -> (Node, Node) {
    let loopback = [std::net::Ipv4Addr::LOCALHOST.into()];
    let bound = [0, 1].map(|_| sockets::bind(&loopback, 0, 0, false).unwrap());
    let transport = bound.each_ref().map(|b| format!("\"127.0.0.1:{}\"", b.port)).join(", ");
    let [first, second] = bound;
    let a = start(folder, "a", first, &transport).await;
    let b = start(folder, "b", second, &transport).await;
    loop {
        let status: Status = a.local.get("/v1/status").await.unwrap();
        match status.cluster.leader.as_deref() {
            Some("a") => return (a, b),
            Some(_) => return (b, a),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

pub(super) fn code(error: ClientError) -> (u16, ErrorCode) {
    match error {
        ClientError::Refused { status, error } => (status, error.code),
        other => panic!("the daemon should have answered: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_lead_passes_on_what_only_the_leader_can_do() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    let leader_name = leader.shared.get().config.node.name.clone();

    // The same answer from either, on the socket and sealed.
    for client in [&leader.local, &leader.sealed, &other.local, &other.sealed] {
        let status: Status = client.get("/v1/status").await.unwrap();
        assert_eq!(status.cluster.seen_by, leader_name);
        assert_eq!(status.nodes.len(), 2);
        assert!(status.nodes.iter().all(|n| n.services.is_some() && n.address.is_some()), "{status:#?}");
        client.get::<Failures>("/v1/failures").await.unwrap();
    }

    let done: Done = other.local.post("/v1/maintenance", &Maintenance { on: true }).await.unwrap();
    assert!(!done.message.is_empty());
    let status: Status = leader.local.get("/v1/status").await.unwrap();
    assert!(status.cluster.maintenance);

    // "Here" is the node that was asked first, whoever carries it out.
    other.local.post::<_, Done>("/v1/maintenance", &Maintenance { on: false }).await.unwrap();
    other.local.post::<_, Done>("/v1/stop", &OnNode::default()).await.unwrap();
    let status: Status = leader.local.get("/v1/status").await.unwrap();
    let stopped: Vec<_> = status.nodes.iter().filter(|n| n.stopped).map(|n| n.id.clone()).collect();
    assert_eq!(stopped, [other.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_one_node_reaches_it_over_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, mut other) = pair(folder.path()).await;
    let name = other.shared.get().config.node.name.clone();
    let local: Local = leader.local.get(&format!("/v1/local?node={name}")).await.unwrap();
    assert_eq!(local.node.id, other.id.to_string());

    let node = Reconfigure { node: Some(other.id.to_string()), wait_ms: Some(7) };
    let asked = tokio::spawn(async move { leader.local.post::<_, Done>("/v1/reconfigure", &node).await });
    let ReloadRequest { reply, wait, .. } = other.reloads.recv().await.unwrap();
    assert_eq!(wait, Duration::from_millis(7), "as was asked");
    let wrong = koi_config::parse_toml("[node]\nnme = \"a\"\n", Path::new("/koi.toml")).unwrap_err();
    reply.send(Err(ReloadError::Wrong(wrong))).unwrap();
    let error = asked.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("koi.toml:2"), "{error}");
    assert_eq!(code(error), (409, ErrorCode::Refused));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_are_told_by_name_and_by_path_here_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("plugins/broken one.so");
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    std::fs::write(&broken, "no library").unwrap();
    let (leader, other) = pair(folder.path()).await;
    let name = other.shared.get().config.node.name.clone();
    for (client, node) in [(&leader.local, format!("?node={name}")), (&other.sealed, String::new())] {
        let all: Vec<Plugin> = client.get(&format!("/v1/plugins{node}")).await.unwrap();
        let all: Vec<_> = all.iter().map(|p| (p.name.as_str(), p.kind.as_str(), p.state.as_str())).collect();
        assert_eq!(all, [("shell", "builtin", "ready"), ("broken one", "native", "error")]);
        let shell: PluginDetail = client.get(&format!("/v1/plugins/shell{node}")).await.unwrap();
        assert_eq!(
            (shell.plugin.hooks.len(), shell.plugin.path, shell.plugin.on_disk.as_str()),
            (6, None, "")
        );
        let path = broken.display().to_string().replace('/', "%2F").replace(' ', "%20");
        for encoded in ["broken%20one", path.as_str()] {
            let detail: PluginDetail = client.get(&format!("/v1/plugins/{encoded}{node}")).await.unwrap();
            let error = detail.plugin.error.unwrap();
            assert!(error.contains("broken one.so") && detail.plugin.on_disk == "same", "{error}");
        }
        let unknown = client.get::<PluginDetail>(&format!("/v1/plugins/nobody{node}")).await.unwrap_err();
        assert!(unknown.to_string().contains(&format!("{name} has no plugin called nobody")), "{unknown}");
        assert_eq!(code(unknown).0, 404);
    }
    let nowhere = leader.local.get::<Vec<Plugin>>("/v1/plugins?node=nobody").await.unwrap_err();
    assert_eq!(code(nowhere).0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_refused_with_their_code() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    for client in [&leader.local, &other.sealed] {
        let unknown = Promote { node: "nobody".into(), ..Promote::default() };
        let refused = [
            (client.post::<_, Done>("/v1/promote", &unknown).await, (404, "not-found")),
            (client.post::<_, Done>("/v1/promote", &json!({})).await, (400, "bad-request")),
            (client.post::<_, Done>("/v1/promote", &json!({"node": 7})).await, (400, "bad-request")),
            (client.post::<_, Done>("/v1/confirm-down", &json!({})).await, (400, "bad-request")),
            (client.post::<_, Done>("/v1/recover", &json!({"node": "nobody"})).await, (404, "not-found")),
            (client.post::<_, Done>("/v1/nothing", &json!({})).await, (404, "not-found")),
            (
                client.post::<_, Done>("/v1/stop", &json!({"node": "x".repeat(70_000)})).await,
                (400, "bad-request"),
            ),
        ];
        for (answer, (status, word)) in refused {
            assert_eq!(code(answer.unwrap_err()), (status, word.into()));
        }
        assert_eq!(code(client.get::<Status>("/v2/status").await.unwrap_err()).0, 404);
        assert_eq!(code(client.get::<Status>("/v1/events?since=x").await.unwrap_err()).0, 400);
    }
}

/// What is answered to a hook's call with this token.
async fn in_call(
    client: &Client,
    method: Method,
    path: &str,
    body: &str,
    token: &CallToken,
) -> Result<GroupAttributes, ClientError> {
    let body = bytes::Bytes::copy_from_slice(body.as_bytes());
    let (status, answer) = client.raw(method, path, body, &[(TOKEN, token.reveal())]).await?;
    read(status, &answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_one_group_here_until_its_call_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    let group: GroupName = "web".parse().unwrap();
    let scope =
        CallScope { service: "db".into(), hook: "promote", run: 1, group, epoch: koi_core::types::Epoch(5) };
    let call = leader.live_calls.begin(scope).unwrap();
    let token = call.access().token;
    let get = |client, path| in_call(client, Method::GET, path, "", &token);
    assert_eq!(get(&leader.local, "/v1/attributes").await.unwrap().group.as_str(), "web");
    let write = r#"{"key": "k", "value": "hidden"}"#;
    let refused = [
        (get(&leader.local, "/v1/attributes?group=main").await, "opens nothing of main"),
        (get(&leader.sealed, "/v1/attributes").await, "on its own node alone"),
        (get(&other.local, "/v1/attributes").await, "of no hook call that runs"),
        (
            in_call(&leader.local, Method::POST, "/v1/attributes", write, &token).await,
            "not master of web under that epoch",
        ),
        (
            in_call(&leader.local, Method::POST, "/v1/groups/main/attributes", write, &token).await,
            "opens nothing of main",
        ),
    ];
    for (answer, why) in refused {
        let error = answer.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains(token.reveal()) && !error.to_string().contains("hidden"));
        assert_eq!(code(error), (409, ErrorCode::Refused));
    }
    let garbled = br#"{"key": "k", "value": 'hidden'}"#;
    let garbled =
        in_call(&leader.local, Method::POST, "/v1/attributes", std::str::from_utf8(garbled).unwrap(), &token);
    let error = garbled.await.unwrap_err();
    assert!(!error.to_string().contains("hidden") && error.to_string().contains("column"), "{error}");
    drop(call);
    let error = get(&leader.local, "/v1/attributes").await.unwrap_err();
    assert!(error.to_string().contains("a token ends with its call"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_inside_koid_uses_attributes_until_it_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (_leader, other) = pair(folder.path()).await;
    let write = json!({ "key": "k", "value": "v", "force": true });
    other.local.post::<_, Done>("/v1/attributes", &write).await.unwrap();
    let (service, epoch) = ("db".to_owned(), koi_core::types::Epoch(5));
    let scope = CallScope { service, hook: "status", run: 1, group: GroupName::MAIN, epoch };
    let call = other.live_calls.begin(scope).unwrap();
    let of_call = AttributesOfCall { call: call.number(), store: other.attributes.clone() };
    let fresh = of_call.read(true).await.unwrap();
    assert_eq!(fresh.values, [("k".to_owned(), "v".to_owned())]);
    other.attributes.board.clone().other_than(&GroupName::MAIN, "").await;
    assert_eq!(of_call.read(false).await.unwrap(), fresh);
    let wrong = of_call.write("a b".into(), Some("v".into())).await;
    assert!(matches!(wrong, Err(AttributesError::Invalid(_))), "{wrong:?}");
    let refused = of_call.write("k".into(), None).await;
    assert!(matches!(refused, Err(AttributesError::NotMaster(_))), "{refused:?}");
    drop(call);
    let over = AttributesError::Unavailable("the call is over: attributes end with it".into());
    assert_eq!(of_call.read(false).await, Err(over.clone()));
    assert_eq!(of_call.write("k".into(), None).await, Err(over));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_change_of_attributes_is_answered_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    let force = async |value: &str| {
        let write = json!({ "key": "k", "value": value, "force": true });
        other.local.post::<_, Done>("/v1/attributes", &write).await.unwrap()
    };
    let poll = |version: &str, ms: u32| {
        let path = format!("/v1/attributes?after={version}&wait_ms={ms}");
        let client = other.local.clone();
        tokio::spawn(async move { client.get::<GroupAttributes>(&path).await.unwrap() })
    };
    let first = poll("", 14_000);
    force("one").await;
    let first = first.await.unwrap();
    assert_eq!(first.state.values["k"], "one");
    let still = poll(&first.state.version, 1).await.unwrap();
    assert_eq!(still, first, "nothing has changed");
    let second = poll(&first.state.version, 14_000);
    force("two").await;
    assert_eq!(second.await.unwrap().state.values["k"], "two");
    let fresh: GroupAttributes = other.local.get("/v1/attributes?fresh=true").await.unwrap();
    assert_eq!(
        (&fresh.state.values["k"], fresh.seen_by),
        (&"two".to_owned(), leader.shared.get().config.node.name.clone())
    );
    for wrong in
        ["?fresh=perhaps", "?after=1.1", "?wait_ms=x&after=", "?group=a%20b", "?fresh=true&after=&wait_ms=1"]
    {
        let error = other.local.get::<GroupAttributes>(&format!("/v1/attributes{wrong}")).await.unwrap_err();
        assert_eq!(code(error), (400, ErrorCode::BadRequest), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_as_lines_those_kept_first_and_then_as_they_happen() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, _other) = pair(folder.path()).await;
    let mut lines = leader.sealed.lines("/v1/events?since=1").await.unwrap();
    assert_eq!(next(&mut lines).await.unwrap().number, 1);
    leader.local.post::<_, Done>("/v1/maintenance", &Maintenance { on: true }).await.unwrap();
    let followed = async { while next(&mut lines).await.unwrap().kind != "maintenance" {} };
    tokio::time::timeout(Duration::from_secs(10), followed).await.expect("the event comes");

    let mut kept = leader.local.lines("/v1/events?follow=false").await.unwrap();
    let mut last = 0;
    while let Some(event) = next(&mut kept).await {
        last = event.number;
    }
    assert!(last > 1, "and then the stream ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_has_kept_is_told_too_and_what_a_drill_says_there() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    let name = other.shared.get().config.node.name.clone();
    let drill = Drill {
        node: Some(name.clone()),
        action: DrillAction::End,
        message: "a drill\nis over".into(),
        amiss: true,
        ..Drill::default()
    };
    leader.local.post::<_, Done>("/v1/drill", &drill).await.unwrap();
    let mut lines = leader.local.lines(&format!("/v1/events?node={name}&follow=false")).await.unwrap();
    let mut last = Event::default();
    while let Some(event) = next(&mut lines).await {
        assert_eq!(event.node, name);
        last = event;
    }
    let said = (last.kind.as_str(), last.message.as_str(), last.level);
    assert_eq!(said, ("drill", "a drill is over", EventLevel::Warning));
    let followed = leader.local.lines(&format!("/v1/events?node={name}")).await.unwrap_err();
    assert_eq!(code(followed), (400, ErrorCode::BadRequest));

    let unknown = leader.local.post::<_, Done>("/v1/drill", &json!({ "action": "flood" })).await.unwrap_err();
    assert!(unknown.to_string().contains("flood"), "{unknown}");
    if crate::os::restarts::restarted_by().is_none() {
        let crash = Drill { action: DrillAction::Crash, ..Drill::default() };
        assert_eq!(code(leader.local.post::<_, Done>("/v1/drill", &crash).await.unwrap_err()).0, 409);
    }
}

async fn next(lines: &mut Lines) -> Option<Event> {
    lines.next().await.unwrap().map(|line| serde_json::from_str(&line).unwrap())
}
