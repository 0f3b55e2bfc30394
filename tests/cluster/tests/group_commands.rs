//! What operators say of one group, and what they see of several.

use koi_cluster_tests::{Cluster, Node, Service};
use koi_proto::api::{GroupStatus, Status};
use serde_json::Value;

fn two_groups() -> Cluster {
    let service = Service::recorded;
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-db", service())
        .service_of("web", "20-www", service())
        .start();
    cluster.wait_status("both groups have a master", |status| {
        status.cluster.healthy && status.groups.len() == 2 && status.groups.iter().all(|g| g.master.is_some())
    });
    cluster
}

fn web(status: &Status) -> &GroupStatus {
    status.groups.iter().find(|group| group.name.as_str() == "web").expect("there is the group web")
}

fn is_master_of_web(status: &Status, node: &str) -> bool {
    let group = web(status);
    group.master.as_deref() == Some(node) && group.target.is_none() && status.cluster.healthy
}

fn json(node: &Node, args: &[&str]) -> Value {
    let ran = node.order(&[&["-o", "json"], args].concat());
    serde_json::from_str(&ran.out).expect("it is JSON")
}

#[test]
fn a_command_is_for_the_group_that_it_names() {
    let cluster = two_groups();
    let main = cluster.wait_well().cluster.master.expect("main has a master");
    let old = web(&cluster.wait_well()).master.clone().expect("web has a master");
    for asked in cluster.nodes() {
        let status = cluster.wait_well();
        let now = web(&status).master.clone().expect("web has a master");
        let next = cluster.others(&now).next().expect("there are three").name.clone();
        asked.order(&["promote", &next, "--group", "web"]).exits(0);
        cluster.wait_status("web has moved", |status| is_master_of_web(status, &next));
    }
    asked_and_waited(&cluster, &old);

    let asked = cluster.any();
    assert!(asked.order(&["demote", "--group", "web"]).exits(0).contains("group web"));
    let status = cluster.wait_status("web is in manual mode", |s| web(s).manual && web(s).master.is_none());
    assert_eq!((status.cluster.master.as_deref(), status.cluster.manual), (Some(main.as_str()), false));
    cluster.wait_shown(asked, &["status"], 3, &["NO MASTER — web: manual mode", "koi elect --group web"]);
    asked.order(&["elect", "--group", "web"]).exits(0);
    asked.order(&["wait", "--for", "master", "--group", "web"]).exits(0);

    asked.order(&["stop", &main, "--group", "web"]).exits(0);
    let is_stopped = |s: &Status| {
        let node = s.nodes.iter().find(|node| node.name == main);
        let of = node.and_then(|node| node.groups.iter().find(|of| of.name.as_str() == "web"));
        of.is_some_and(|of| of.stopped && of.state == "Stopped")
    };
    let status = cluster.wait_status("web is stopped there", is_stopped);
    assert_eq!(status.cluster.master.as_ref(), Some(&main), "main stays");
    asked.order(&["start", &main, "--group", "web"]).exits(0);
    asked.order(&["recover", &main, "--group", "web"]).exits(0);
    cluster.wait_well();
    assert_eq!(cluster.wait_well().cluster.master, Some(main));
}

/// `koi promote --wait` measures the group that it names.
fn asked_and_waited(cluster: &Cluster, node: &str) {
    let ran = cluster.any().order(&["promote", node, "--group", "web", "--wait"]);
    assert!(ran.exits(0).starts_with(&format!("{node} is master of web (epoch ")), "{}", ran.out);
    cluster.wait_status("web is back", |status| is_master_of_web(status, node));
}

#[test]
fn what_names_no_group_or_one_that_is_not_there_changes_nothing() {
    let cluster = two_groups();
    let status = cluster.wait_well();
    let main = status.cluster.master.clone().expect("main has a master");
    let other = cluster.others(&main).next().expect("there are three").name.clone();
    let before = cluster.hooks().count();
    for asked in cluster.nodes() {
        for command in [
            &["promote", &other][..],
            &["promote", &other, "--dry-run"],
            &["promote", &other, "--wait"],
            &["demote"],
            &["elect"],
            &["stop", &other],
            &["start", &other],
            &["recover", &other],
            &["drill", "switch-over", "--yes"],
        ] {
            let words = ["several groups", "main, web", "--group web"];
            asked.order(command).refuses(1, &words);
            let unknown = [command, &["--group", "nosuch"]].concat();
            if command[0] != "recover" {
                asked.order(&unknown).refuses(1, &["no group nosuch", "main, web"]);
            }
        }
        asked.order(&["recover", &other, "--group", "nosuch"]).refuses(1, &["nosuch"]);
        asked
            .order(&["events", "--no-follow", "--group", "nosuch"])
            .refuses(1, &["no group nosuch", "main, web"]);
        asked.order(&["failures", "--group", "nosuch"]).refuses(1, &["no group nosuch", "main, web"]);
        asked.order(&["demote", "--group", "no/such"]).refuses(2, &["not a name of a group"]);
    }
    let after = cluster.wait_well();
    let masters = |status: &Status| -> Vec<(Option<String>, u64, bool)> {
        status.groups.iter().map(|group| (group.master.clone(), group.epoch, group.manual)).collect()
    };
    assert_eq!(masters(&after), masters(&status));
    cluster.assert_undisturbed(&main, before);
}

#[test]
fn programs_read_each_group_and_which_one_an_event_is_about() {
    let cluster = two_groups();
    let node = cluster.any();
    let status = json(node, &["status"]);
    let groups = status["groups"].as_array().expect("there are groups");
    let names: Vec<&str> = groups.iter().filter_map(|group| group["name"].as_str()).collect();
    assert_eq!(names, ["main", "web"]);
    for key in ["master", "target", "epoch", "manual", "waiting"] {
        assert!(groups.iter().all(|group| group.get(key).is_some()), "{key}: {groups:?}");
    }
    assert_eq!(status["cluster"]["master"], groups[0]["master"]);
    assert_eq!(status["cluster"]["epoch"], groups[0]["epoch"]);
    assert_ne!(groups[0]["epoch"], groups[1]["epoch"]);
    let services = status["nodes"][0]["services"].as_array().expect("it tells of its services");
    let of: Vec<_> =
        services.iter().filter_map(|s| Some((s["name"].as_str()?, s["group"].as_str()?))).collect();
    assert_eq!(of, [("db", "main"), ("www", "web")]);

    let www = groups[1]["master"].as_str().expect("web has a master").to_owned();
    let told = |group: &[&str]| -> Vec<Value> {
        let args = [&["-o", "json", "events", "--no-follow"], group].concat();
        let lines = cluster.node(&www).order(&args).exits(0).to_owned();
        lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    };
    let of_web = told(&["--group", "web"]);
    assert!(of_web.iter().all(|event| event["group"] == "web") && !of_web.is_empty(), "{of_web:?}");
    assert!(of_web.iter().any(|event| event["kind"] == "lease-gained"), "{of_web:?}");
    assert!(told(&[]).iter().any(|event| event["group"] == "main"));
    assert!(cluster.node(&www).order(&["events", "--no-follow"]).exits(0).contains(" web: "));
}

#[test]
fn a_drill_of_one_group_leaves_the_other_alone() {
    let cluster = two_groups();
    let status = cluster.wait_well();
    let before = status.cluster.epoch;
    let old = web(&status).master.clone();
    cluster.any().order(&["-t", "60s", "drill", "switch-over", "--yes", "--group", "web"]).exits(0);
    let status = cluster.wait_well();
    assert_eq!((web(&status).master.clone(), status.cluster.epoch), (old, before));
}
