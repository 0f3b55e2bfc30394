//! `koi promote NODE --wait`: how a promotion ends, and what is said of it.

use std::fs;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_proto::api::Status;

/// Two that run services and one that votes: whoever fails to take over gives it back. A node with the file `broken` cannot promote.
fn two_and_a_voter() -> Cluster {
    Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded().hook("promote", "[ ! -e broken ] || { echo no way; exit 1; }"))
        .set("services.auto_recover", "0")
        .set_on(2, "node.runner", "false")
        .start()
}

fn standby<'c>(cluster: &'c Cluster, master: &str) -> &'c Node {
    cluster.node(if master == "a" { "b" } else { "a" })
}

fn wants(target: &str) -> impl Fn(&Status) -> bool {
    move |status| status.cluster.target.as_deref() == Some(target)
}

/// A node that is not ready to be promoted, and goes on running.
fn not_ready<'c>(cluster: &'c Cluster, master: &str) -> &'c Node {
    let node = standby(cluster, master);
    node.set_status("10-vip", 93, "still syncing");
    cluster
        .wait_status("it is not ready", |s| s.nodes.iter().any(|n| n.name == node.name && n.state == "Live"));
    node
}

#[test]
fn it_returns_when_all_is_promoted_and_says_what_took_how_long() {
    let cluster = two_and_a_voter();
    let mut master = cluster.wait_healthy();
    // Whoever is asked: the master, the next one, the voter.
    for asked in cluster.nodes() {
        let next = standby(&cluster, &master);
        let said = asked.order(&["promote", &next.name, "--wait"]);
        let (head, times) = said.exits(0).split_once('\n').expect("two lines");
        assert!(head.starts_with(&format!("{} is master (epoch ", next.name)), "{head}");
        assert!(head.ends_with(&format!("), in place of {master}")), "{head}");
        let steps: Vec<&str> = times.trim().split(", ").collect();
        let begins = [
            format!("{master} demoted after "),
            "granted after ".into(),
            format!("{} promoted after ", next.name),
        ];
        assert!(
            steps.len() == 3 && steps.iter().zip(&begins).all(|(step, begin)| step.starts_with(begin)),
            "{times}"
        );
        let ended = |what: &str| cluster.hooks().ended(&next.name, what).is_some();
        assert!(ended("vip:promote"), "its hook has ended:\n{}", cluster.hooks());
        master = cluster.wait_healthy();
        assert_eq!(master, next.name);
    }
    let again = cluster.any().order(&["promote", &master, "--wait"]);
    assert!(again.exits(0).contains("already"), "{}", again.out);
    let next = standby(&cluster, &master);
    let said = next.order(&["-o", "json", "promote", &next.name, "--wait"]);
    let said: serde_json::Value = serde_json::from_str(said.exits(0)).expect("JSON");
    let ms = |key: &str| said[key].as_u64().unwrap_or_else(|| panic!("{key} was measured: {said}"));
    assert!(ms("demoted_ms") <= ms("promoted_ms") + ms("within_ms"), "{said}");
    assert!(ms("granted_ms") <= ms("promoted_ms"), "{said}");
    cluster.hooks().assert_only(&next.name);
}

#[test]
fn a_promotion_that_fails_and_is_given_back_says_so() {
    let cluster = two_and_a_voter();
    let master = cluster.wait_healthy();
    let next = standby(&cluster, &master);
    fs::write(next.services.join("10-vip/broken"), "").expect("a file can be written");
    let failed = format!("{} has failed in promote of vip: ", next.name);
    let back = format!("; {master} is master again (epoch ");
    cluster
        .any()
        .order(&["promote", &next.name, "--wait"])
        .refuses(1, &[&failed, "no way", &back, "koi recover"]);
    cluster.wait_master(&master);
    cluster.hooks().assert_only(&master);
}

#[test]
fn when_the_time_is_over_it_says_what_is_waited_for() {
    let cluster = two_and_a_voter();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let next = not_ready(&cluster, &master);
    let words = [&format!("{} is not promoted after 1.0s: ", next.name), "still syncing", "-t waits longer"];
    cluster.node("c").koi(&["promote", &next.name, "--wait", "-t", "1s"]).refuses(3, &words);
    cluster.assert_undisturbed(&master, before);
}

#[test]
fn a_promotion_that_is_taken_back_says_by_what() {
    let cluster = two_and_a_voter();
    let master = cluster.wait_healthy();
    let next = not_ready(&cluster, &master);
    let waiting = cluster.any().begin_koi(&["promote", &next.name, "--wait"]);
    cluster.wait_status("it is wanted", wants(&next.name));
    cluster.any().order(&["elect"]).exits(0);
    let words = [
        &format!("the promotion of {} was withdrawn", next.name),
        "masters are chosen again",
        &format!("{master} is master"),
    ];
    waiting.end().refuses(1, &words.map(|word| word as &str));

    // It fails before its turn comes.
    let waiting = cluster.any().begin_koi(&["promote", &next.name, "--wait"]);
    cluster.wait_status("it is wanted", wants(&next.name));
    next.set_status("10-vip", 1, "disk on fire");
    waiting.end().refuses(1, &[&format!("the promotion of {} was withdrawn", next.name), "disk on fire"]);
    cluster.wait_master(&master);
}

#[test]
fn a_change_of_leader_is_waited_through() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start();
    let (leader, master) = cluster.part_leader_and_master();
    let next = cluster.others(&master).find(|node| node.name != leader).expect("there are three");
    next.set_status("10-vip", 93, "still syncing");
    cluster
        .wait_status("it is not ready", |s| s.nodes.iter().any(|n| n.name == next.name && n.state == "Live"));
    let waiting = cluster.node(&master).begin_koi(&["promote", &next.name, "--wait"]);
    cluster.wait_status("it is wanted", wants(&next.name));
    cluster.node(&leader).kill();
    cluster.wait_other_leader(&leader);
    next.set_status("10-vip", 0, "");
    let ran = waiting.end();
    assert!(ran.exits(0).starts_with(&format!("{} is master (epoch ", next.name)), "{}", ran.out);
    cluster.wait_master(&next.name);
    cluster.hooks().assert_only(&next.name);
}
