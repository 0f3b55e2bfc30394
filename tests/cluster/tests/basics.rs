//! Three nodes come up from nothing, and everything that shows them works.

use koi_cluster_tests::{Cluster, Service};
use serde_json::Value;

fn three() -> Cluster {
    Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start()
}

#[test]
fn from_nothing_to_a_leader_and_one_master() {
    let cluster = three();
    let status = cluster.wait_well();
    let master = status.cluster.master.unwrap();
    assert_eq!((status.cluster.quorum, status.cluster.electors, status.cluster.electors_seen), (2, 3, 3));
    assert!(status.cluster.warnings.is_empty(), "{:?}", status.cluster.warnings);
    let hooks = cluster.hooks();
    hooks.assert_only(&master);
    for node in cluster.nodes() {
        let expected: &[&str] =
            if node.name == master { &["vip:start", "vip:promote"] } else { &["vip:start"] };
        assert_eq!(hooks.of(&node.name), expected, "{}", node.name);
        cluster.wait_for("every node says the same", |_| {
            node.status().is_ok_and(|s| s.cluster.master.as_ref() == Some(&master))
        });
    }
    let promoted = hooks.0.iter().find(|e| e.hook == "promote").unwrap();
    assert!(promoted.promoted && promoted.epoch == status.cluster.epoch, "{promoted:?}");
}

/// A key of the JSON and whether a value is as it should be there.
type Field = (&'static str, fn(&Value) -> bool);

fn text_or_null(v: &Value) -> bool {
    v.is_string() || v.is_null()
}

const CLUSTER: [Field; 12] = [
    ("id", Value::is_u64),
    ("leader", Value::is_string),
    ("master", Value::is_string),
    ("target", text_or_null),
    ("epoch", Value::is_u64),
    ("term", Value::is_u64),
    ("quorum", Value::is_u64),
    ("electors_seen", Value::is_u64),
    ("manual", Value::is_boolean),
    ("maintenance", Value::is_boolean),
    ("healthy", Value::is_boolean),
    ("warnings", Value::is_array),
];
const NODE: [Field; 11] = [
    ("name", Value::is_string),
    ("id", Value::is_string),
    ("address", Value::is_string),
    ("state", Value::is_string),
    ("elector", Value::is_boolean),
    ("runner", Value::is_boolean),
    ("leader", Value::is_boolean),
    ("seen_ms", Value::is_u64),
    ("last_failure", Value::is_null),
    ("version", Value::is_string),
    ("services", Value::is_array),
];
const SERVICE: [Field; 7] = [
    ("name", Value::is_string),
    ("priority", Value::is_u64),
    ("handler", Value::is_string),
    ("state", Value::is_string),
    ("hook", text_or_null),
    ("failed", Value::is_boolean),
    ("message", text_or_null),
];

fn assert_fields(value: &Value, fields: &[Field]) {
    for (key, fits) in fields {
        let found = value.get(key).unwrap_or_else(|| panic!("{key} is missing in {value:#}"));
        assert!(fits(found), "{key} is {found}, which it must not be");
    }
}

#[test]
fn the_status_as_json_is_as_the_interface_says() {
    let cluster = three();
    let master = cluster.wait_healthy();
    for node in cluster.nodes() {
        let status = cluster.wait_some("a status to which every node has answered", |_| {
            let shown = node.koi(&["-o", "json", "status"]);
            let status: Value = serde_json::from_str(&shown.out).ok().filter(|_| shown.code == 0)?;
            let answered = status["nodes"].as_array()?.iter().all(|n| n["services"].is_array());
            answered.then_some(status)
        });
        assert_fields(&status["cluster"], &CLUSTER);
        let nodes = status["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        for shown in nodes {
            assert_fields(shown, &NODE);
            let name = shown["name"].as_str().unwrap();
            assert_eq!(shown["address"], format!("127.0.0.1:{}", cluster.node(name).port));
            assert_eq!(shown["state"], if name == master { "Master" } else { "Standby" });
            assert_eq!(shown["leader"], shown["name"] == status["cluster"]["leader"]);
            let services = shown["services"].as_array().unwrap();
            assert_eq!(services.len(), 1);
            assert_fields(&services[0], &SERVICE);
            assert_eq!((&services[0]["name"], &services[0]["priority"]), (&"vip".into(), &10.into()));
            assert_eq!(services[0]["state"], if name == master { "Promoted" } else { "Started" });
        }
    }
}

#[test]
fn whatever_shows_something_shows_it() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let node = cluster.any();
    let status = cluster.wait_shown(node, &["status"], 0, &["a", "b", "c"]).out;
    assert!(status.lines().next().unwrap().contains("well"), "the verdict comes first:\n{status}");
    let commands: [(&[&str], &str); 8] = [
        (&["status", &master], "vip"),
        (&["tree"], "vip"),
        (&["local"], &node.name),
        (&["failures"], ""),
        (&["events", "--no-follow"], "leads in term"),
        (&["wait", "--for", "leader"], ""),
        (&["wait", "--for", "master"], &master),
        (&["wait", "--for", "healthy"], ""),
    ];
    for (args, word) in commands {
        let table = cluster.wait_shown(node, args, 0, &[word]);
        assert!(!table.out.contains('\x1b'), "no colours into a pipe: {args:?}");
        let json = cluster.wait_shown(node, &[&["-o", "json"], args].concat(), 0, &[]);
        for document in serde_json::Deserializer::from_str(&json.out).into_iter::<Value>() {
            document.unwrap_or_else(|e| panic!("{args:?}: {e}:\n{}", json.out));
        }
    }
    node.koi(&["check"]).exits(0);
    node.koi(&["config", "show"]).exits(0);
}

#[test]
fn exit_codes_mean_what_the_interface_says() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    cluster.wait_shown(node, &["status"], 0, &[]);
    node.order(&["promote", "nobody"]).refuses(1, &["nobody", "koi status"]);
    node.koi(&["promoet", "a"]).refuses(2, &["promote"]);
    node.order(&["confirm-down", &master]).refuses(5, &[&master, "alive"]);

    let lost = cluster.others(&master).next().unwrap();
    lost.kill();
    cluster
        .wait_for("the loss is seen", |c| c.status_of(&lost.name).is_some_and(|n| n.state == "Disconnected"));
    cluster.wait_shown(node, &["status"], 3, &[]);
    node.koi(&["wait", "--for", "healthy", "--timeout", "3s"]).refuses(3, &["koi status"]);
    lost.koi(&["status"]).refuses(4, &["koid", "start"]);
    for rest in cluster.nodes().iter().filter(|n| n.name != master && n.is_running()) {
        rest.kill();
    }
    // As long as the leader has not noticed it, the command waits for a quorum in vain.
    cluster.wait_shown(node, &["elect"], 4, &["no node leads", "quorum"]);
    cluster.wait_shown(node, &["status"], 3, &[]);
}

#[test]
fn a_new_cluster_waits_for_all_its_electors_or_for_a_word() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).build();
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    a.start();
    b.start();
    cluster.wait_for("they see each other", |c| {
        c.node("a").status().is_ok_and(|s| s.cluster.electors_seen == 2)
    });
    cluster.wait_shown(a, &["status"], 3, &["R10", "koi bootstrap"]);
    cluster.wait_shown(a, &["elect"], 4, &["1 missing", "koi bootstrap"]);
    a.koi(&["bootstrap"]).refuses(2, &["nobody is there to be asked", "koi bootstrap --yes"]);
    let plan = a.koi(&["bootstrap", "--dry-run"]);
    assert!(plan.exits(0).contains("the cluster begins with these electors: a, b"), "{plan:?}");
    a.koi(&["bootstrap", "--yes"]).exits(0);
    b.koi(&["bootstrap", "--yes"]).exits(0);
    let master = cluster.wait_some("a master", Cluster::master);

    let c = cluster.node("c");
    c.start();
    cluster.wait_log("c", &["taken the cluster's record"]);
    cluster.wait_shown(a, &["status"], 3, &["is no elector of this cluster", "koi electors add c"]);
    cluster.wait_for("c becomes an elector", |c| c.node("a").koi(&["electors", "add", "c"]).code == 0);
    assert_eq!(cluster.wait_healthy(), master);
    c.koi(&["bootstrap", "--yes"]).refuses(1, &["has a record already"]);
    cluster.hooks().assert_only(&master);
}
