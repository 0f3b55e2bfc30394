//! What `koi -o json` says of a cluster in which much is as it should not be: every key is what it was, and says the same.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use koi_cluster_tests::{Cluster, Node, Service, native};
use koi_compat_tests::{as_recorded, differences};
use koi_proto::api::NodeStatus;
use koi_testkit::met_within;
use serde_json::{Map, Value};

/// How often a cluster is begun anew until it is `a` that leads. It nearly always is, having the greatest priority.
const TRIES: usize = 10;

/// How long a node may take to say what it said. Everything has come to rest by then.
const SOON: Duration = Duration::from_secs(20);

/// Numbers, and texts, that are others each time; some of them are `null` where there is nothing to say, and that is compared.
const OTHERS_EACH_TIME: [&str; 19] = [
    "address",
    "ago_ms",
    "at_ms",
    "epoch",
    "hash",
    "id",
    "lease_ms",
    "leader_address",
    "number",
    "path",
    "port",
    "record",
    "remaining_ms",
    "seen_ms",
    "size_bytes",
    "started_at",
    "term",
    "uptime_ms",
    "version",
];

/// `a` leads, and has the mastership after `b`: who does is a matter of chance, and the texts name them.
fn three(plugin: &[u8]) -> Cluster {
    let with_plugin =
        Service::empty().bytes("db.so", plugin, 0o755).file("service.toml", "handler = \"./db.so\"\n", 0o644);
    for _ in 0..TRIES {
        let cluster = Cluster::builder()
            .nodes(3)
            .service("10-disk", Service::recorded())
            .service("20-web", Service::recorded())
            .service("30-db", with_plugin.clone())
            .service("mail", Service::recorded())
            .set("services.auto_recover", "0")
            .set("timing.failure_promotion_timeout", "\"1s\"")
            .set_on(0, "node.priority", "20")
            .set_on(1, "node.priority", "10")
            .start();
        cluster.wait_healthy();
        if cluster.leader().as_deref() == Some("a") {
            for master in ["b", "a"] {
                cluster.any().order(&["promote", master]).exits(0);
                cluster.wait_master(master);
                cluster.wait_healthy();
            }
            return cluster;
        }
    }
    panic!("node a does not lead, whatever its priority");
}

/// `koi ARGS` on a node, without what is different each time.
fn asked(cluster: &Cluster, node: &Node, args: &[&str]) -> Value {
    let ran = node.koi(&[&["-o", "json"], args].concat());
    let mut text = ran.out.replace(&cluster.folder().display().to_string(), "‹folder›");
    for node in cluster.nodes() {
        text = text.replace(&format!("127.0.0.1:{}", node.port), "‹address›");
    }
    let mut answer = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    settle(&mut answer);
    answer
}

fn settle(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(settle),
        Value::Object(all) => all.iter_mut().for_each(|(key, value)| settle_key(key, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn settle_key(key: &str, value: &mut Value) {
    let varies = OTHERS_EACH_TIME.contains(&key);
    match value {
        // Whether a node was ever demoted depends on who was master first.
        Value::Number(_) | Value::Null if key == "slowest_demote_ms" => *value = "‹number or nothing›".into(),
        Value::Number(_) if varies => *value = "‹number›".into(),
        Value::String(_) if varies => *value = "‹text›".into(),
        Value::String(api) if key == "api" && api == env!("CARGO_PKG_VERSION") => {
            *value = "‹koi's version›".into()
        }
        Value::Array(warnings) if key == "warnings" => warnings.iter_mut().for_each(sort_list),
        _ => settle(value),
    }
}

/// Nodes stand in a warning in the order of their ids, which are drawn by chance.
fn sort_list(warning: &mut Value) {
    let Some((about, list)) = warning.as_str().and_then(|text| text.split_once(": ")) else { return };
    let mut list: Vec<&str> = list.split(", ").collect();
    list.sort_unstable();
    *warning = format!("{about}: {}", list.join(", ")).into();
}

/// Waits until a node says what was recorded: a status hook may run just then, or the leader may not have heard all yet.
fn says_what_it_said(cluster: &Cluster, name: &str, node: &str, args: &[&str]) {
    let node = cluster.node(node);
    let mut wrong = Vec::new();
    let same = met_within(SOON, || {
        let now = asked(cluster, node, args);
        wrong = differences(&as_recorded("api.json", name, &now), &now);
        wrong.is_empty()
    });
    assert!(same, "koi {args:?} on {}:\n{}", node.name, wrong.join("\n"));
}

/// Waits until nothing is under way on any node, and this one is as it is meant to be.
fn rests(cluster: &Cluster, what: &str, name: &str, is: impl Fn(&NodeStatus) -> bool) {
    let quiet = |n: &NodeStatus| n.services.as_ref().is_some_and(|all| all.iter().all(|s| s.hook.is_none()));
    cluster
        .wait_status(what, |s| s.nodes.iter().all(quiet) && s.nodes.iter().any(|n| n.name == name && is(n)));
}

fn every_service_is(node: &NodeStatus, state: &str) -> bool {
    node.services.as_ref().is_some_and(|all| all.iter().all(|s| s.state == state))
}

/// The kinds of events that a node has kept, each with its keys and their types.
fn events(node: &Node) -> Value {
    let ran = node.koi(&["-o", "json", "events", "--no-follow"]);
    let mut kinds = BTreeMap::new();
    for line in ran.exits(0).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = event["kind"].as_str().unwrap().to_owned();
        let keys: Map<String, Value> = event
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), of_type(value).into()))
            .collect();
        kinds.insert(kind, Value::Object(keys));
    }
    kinds.into_iter().collect::<Map<_, _>>().into()
}

fn of_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn what_programs_read_is_what_it_was() {
    let Some(plugin) = native::compile(&[("NAME", "\"db\""), ("WORD", "\"in step\"")]) else { return };
    let cluster = three(&plugin);
    rests(&cluster, "all is well", "a", |n| n.state == "Master");
    says_what_it_said(&cluster, "status-well", "a", &["status"]);
    says_what_it_said(&cluster, "local-master", "a", &["local"]);
    says_what_it_said(&cluster, "plugins-list", "a", &["plugins", "list"]);
    says_what_it_said(&cluster, "plugins-inspect", "a", &["plugins", "inspect", "db"]);
    says_what_it_said(&cluster, "electors-list", "a", &["electors", "list"]);

    cluster.node("b").set_status("20-web", 1, "the page is white");
    rests(&cluster, "b has failed", "b", |n| n.state == "Failed" && every_service_is(n, "Failed"));
    cluster.any().order(&["stop", "c"]).exits(0);
    rests(&cluster, "c is stopped", "c", |n| n.stopped && every_service_is(n, "Stopped"));
    says_what_it_said(&cluster, "status-trouble", "a", &["status"]);
    says_what_it_said(&cluster, "status-of-the-failed", "a", &["status", "b"]);
    says_what_it_said(&cluster, "local-failed", "b", &["local"]);
    says_what_it_said(&cluster, "local-stopped", "c", &["local"]);
    says_what_it_said(&cluster, "failures", "a", &["failures"]);
    says_what_it_said(&cluster, "promote-refused", "a", &["promote", "b"]);
    says_what_it_said(&cluster, "no-such-node", "a", &["promote", "nobody"]);

    cluster.any().order(&["maintenance", "on"]).exits(0);
    rests(&cluster, "maintenance is on everywhere", "c", |n| n.maintenance);
    says_what_it_said(&cluster, "status-maintenance", "a", &["status"]);
    says_what_it_said(&cluster, "local-maintenance", "a", &["local"]);

    let now = events(cluster.node("b"));
    let wrong = differences(&as_recorded("api.json", "events", &now), &now);
    assert!(wrong.is_empty(), "events:\n{}", wrong.join("\n"));
}
