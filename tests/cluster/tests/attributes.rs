//! Attributes of groups (R16): hooks write and read them with the token of their call.

use std::fs;
use std::path::PathBuf;

use koi_cluster_tests::{Builder, Cluster, Node, Service, programs};
use koi_proto::api::{ErrorCode, Event, GroupAttributes, WriteAttribute};
use nix::sys::signal::Signal;

fn koi_program() -> PathBuf {
    programs().join("koi")
}

/// Runs `koi attr` of a hook, and keeps what it said in the service's folder: HOOK.out.
fn attr(args: &str) -> String {
    format!(
        "{} attr {args} > \"$KOI_SERVICE_HOME/$KOI_EVENT.out\" 2>&1; echo \"exit $?\" >> \"$KOI_SERVICE_HOME/$KOI_EVENT.out\"",
        koi_program().display()
    )
}

/// What the service's last such hook said.
fn said(node: &Node, group: &str, service: &str, hook: &str) -> String {
    let file: PathBuf = node.group_folder(group).join(service).join(format!("{hook}.out"));
    fs::read_to_string(file).unwrap_or_default()
}

/// What an attribute of `main` says, as the node acts on it.
fn value(node: &Node, key: &str) -> Option<String> {
    let all = node.get::<GroupAttributes>("/v1/attributes").ok()?;
    all.state.values.get(key).cloned()
}

fn builder(service: Service) -> Builder {
    Cluster::builder().nodes(3).service("10-db", service)
}

#[test]
fn what_a_master_wrote_is_seen_by_the_promote_of_the_next_and_outlives_all_daemons() {
    let koi = koi_program();
    let promote = format!(
        "{koi} attr get master > \"$KOI_SERVICE_HOME/before.out\" 2>&1\n{koi} attr set master \"$KOI_NODE\" || exit 1",
        koi = koi.display()
    );
    let cluster = builder(Service::recorded().hook("promote", &promote)).start();
    let first = cluster.wait_healthy();
    for node in cluster.nodes() {
        node.koi(&["attr", "wait", "master", "--value", &first, "--timeout", "100s"]).exits(0);
    }
    cluster.node(&first).signal(Signal::SIGKILL);
    cluster.node(&first).wait_end();
    let second = cluster.wait_other_master(&first);
    let node = cluster.node(&second);
    cluster.wait_for("it has written", |_| value(node, "master").as_deref() == Some(&second));
    let before = fs::read_to_string(node.services.join("10-db/before.out")).expect("promote has read");
    assert_eq!(before.trim(), first, "every answered write is seen by a later promote");
    cluster.node(&first).start();
    cluster.wait_well();
    assert!(cluster.status().is_some_and(|s| s.groups[0].attributes.is_some()), "status has them");
    cluster.nodes().iter().for_each(Node::stop);
    cluster.nodes().iter().for_each(Node::start);
    for node in cluster.nodes() {
        cluster.wait_for("it is known again", |_| value(node, "master").is_some());
    }
}

#[test]
fn a_token_opens_its_own_group_for_its_own_call_and_no_standby_writes() {
    let leaks = "printf %s \"$KOI_TOKEN\" > \"$KOI_SERVICE_HOME/token\"\necho \"it is $KOI_TOKEN\"\n";
    let start = Service::recorded().hook("start", &format!("{leaks}{}", attr("set k by-a-standby")));
    let other = Service::recorded().hook("promote", &attr("set --group main k foreign"));
    let cluster = builder(start).service_of("web", "20-www", other).start();
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().expect("there are three");
    let refused = said(node, "main", "10-db", "start");
    assert!(refused.contains("not master of main") && refused.contains("exit 1"), "{refused}");
    let web = cluster
        .wait_some("the other group has a master", |c| c.hooks().assert_promoted_in("web").first().cloned());
    let refused = said(cluster.node(&web), "web", "20-www", "promote");
    assert!(refused.contains("opens nothing of main") && refused.contains("exit 1"), "{refused}");
    // The call is over.
    let token = fs::read_to_string(node.services.join("10-db/token")).expect("the hook has a token");
    assert_eq!(token.len(), 32, "128 bits");
    for args in [&["attr", "list"][..], &["attr", "set", "k", "late"]] {
        node.koi_in_hook(&token, args).refuses(1, &["of no hook call that runs", "unset KOI_TOKEN"]);
    }
    for node in cluster.nodes() {
        assert_eq!(value(node, "k"), None);
        assert!(!node.log().contains(&token), "a token is never logged");
        assert!(node.says(&["it is (KOI_TOKEN)"]), "not even where a script shows it");
    }
}

#[test]
fn an_operator_writes_by_force_and_is_told_of() {
    let cluster = builder(Service::recorded()).start();
    cluster.wait_healthy();
    let leader = cluster.leader().expect("a healthy cluster has a leader");
    let follower = cluster.others(&leader).next().expect("there are three");
    follower.koi(&["attr", "set", "k", "v"]).refuses(1, &["KOI_TOKEN", "--force"]);
    follower.koi(&["attr", "set", "k", "v", "--force"]).refuses(2, &["--force --yes"]);
    let secret = "nobody-but-readers";
    follower.order(&["attr", "set", "k", secret, "--force", "--yes"]).exits(0);
    assert_eq!(follower.koi(&["attr", "get", "k", "--fresh"]).exits(0).trim(), secret);
    for n in 1..8 {
        follower.order(&["attr", "set", &format!("k{n}"), "", "--force", "--yes"]).exits(0);
    }
    follower.order(&["attr", "set", "k8", "v", "--force", "--yes"]).refuses(1, &["8 attributes"]);
    let long = "x".repeat(257);
    follower.koi(&["attr", "set", "k", &long, "--force", "--yes"]).refuses(2, &["257 bytes", "256"]);
    follower.koi(&["attr", "set", "a b", "v", "--force", "--yes"]).refuses(2, &["a b", "64 letters"]);
    follower.order(&["attr", "unset", "k", "--force", "--yes"]).exits(0);
    follower.koi(&["attr", "get", "k", "--fresh"]).refuses(1, &["no attribute k"]);
    follower.koi(&["attr", "wait", "k", "--gone", "--timeout", "100s"]).exits(0);
    follower.koi(&["attr", "wait", "k", "--timeout", "1ms"]).refuses(3, &["no attribute k"]);
    let events = cluster.nodes().iter().map(|n| n.koi(&["-o", "json", "events", "--no-follow"]).out);
    let events: Vec<Event> = events
        .flat_map(|out| serde_json::Deserializer::from_str(&out).into_iter().flatten().collect::<Vec<_>>())
        .collect();
    let audited = events.iter().find(|e| e.kind == "attribute-forced").expect("it is told");
    assert!(audited.message.contains(&format!("on {}", follower.name)), "{}", audited.message);
    assert!(audited.message.contains("attribute k is written by force"), "{}", audited.message);
    for node in cluster.nodes() {
        assert!(!node.log().contains(secret), "what is written is not logged");
    }
    assert!(events.iter().all(|e| !e.message.contains(secret)));
}

#[test]
fn a_write_ends_with_the_lease_and_without_a_leader_nothing_is_fresh() {
    let demote = format!("{}\n", attr("-t 60s set k on-the-way-down"));
    let cluster =
        builder(Service::recorded().hook("demote", &demote)).set("timing.demote_grace", "\"60s\"").start();
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    cluster.others(&master).for_each(|other| other.signal(Signal::SIGSTOP));
    cluster.wait_for("the lease is lost, and it is demoted", |c| {
        c.hooks().ended(&master, "db:demote").is_some()
    });
    let said = said(node, "main", "10-db", "demote");
    assert!(said.contains("not master of main") && said.contains("exit 1"), "{said}");
    node.koi(&["attr", "list", "--fresh"]).refuses(4, &["no node leads"]);
    node.koi(&["attr", "list"]).exits(0);
}

#[test]
fn the_api_refuses_what_it_does_not_understand_without_repeating_it() {
    let cluster = Cluster::builder().nodes(1).service("10-db", Service::recorded()).start();
    cluster.wait_healthy();
    let node = cluster.any();
    let both = WriteAttribute { remove: true, value: Some("v".into()), ..WriteAttribute::default() };
    for body in [both, WriteAttribute::default()] {
        match node.post("/v1/attributes", &body) {
            Err(koi_proto::client::ClientError::Refused { status: 400, error }) => {
                assert_eq!(error.code, ErrorCode::BadRequest);
                assert!(error.message.contains("\"remove\": true"), "{error:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    node.koi(&["attr", "list", "--group", "nowhere"]).refuses(1, &["no group nowhere"]);
}

/// The other nodes, with their states, as the last status of a node's service was told.
fn peers(node: &Node) -> Option<Vec<(String, String)>> {
    let told = fs::read_to_string(node.services.join("10-db/peers.json")).ok()?;
    let told: Vec<serde_json::Value> = serde_json::from_str(&told).ok()?;
    let word = |peer: &serde_json::Value, key: &str| peer[key].as_str().map(str::to_owned);
    told.iter().map(|peer| Some((word(peer, "name")?, word(peer, "state")?))).collect()
}

#[test]
fn scripts_are_told_who_else_there_is_and_how() {
    let file = "$KOI_SERVICE_HOME/peers";
    let status = format!("printf %s \"$KOI_PEERS\" > \"{file}.new\" && mv \"{file}.new\" \"{file}.json\"");
    let cluster = builder(Service::recorded().hook("status", &status)).start();
    let master = cluster.wait_healthy();
    let mut others: Vec<String> = cluster.others(&master).map(|node| node.name.clone()).collect();
    // A new leader lists only whom it has heard: the first one does not lead.
    let leader = cluster.leader();
    others.sort_by_key(|name| leader.as_ref() == Some(name));
    let known = |node: &Node, peer: &str| {
        let all = peers(node).unwrap_or_default();
        all.into_iter().find(|(name, _)| name == peer).map(|(_, state)| state)
    };
    let [first, second] = &others[..] else { panic!("there are three") };
    for (told, peer, state) in
        [(&master, first, "Standby"), (first, &master, "Master"), (second, first, "Standby")]
    {
        cluster.wait_for(&format!("{told} is told of {peer}"), |c| {
            peers(c.node(told)).is_some_and(|all| all.len() == 2)
                && known(c.node(told), peer).as_deref() == Some(state)
        });
    }
    cluster.node(first).kill();
    cluster.wait_for("the master is told that one is gone", |c| {
        known(c.node(&master), first).as_deref() == Some("Disconnected")
    });
    cluster.node(first).start();
    cluster.wait_for("and that it is back", |c| known(c.node(&master), first).as_deref() == Some("Standby"));
}
