//! Masters are where they are wanted (R15): preference, apart, together, and the way back.

use koi_cluster_tests::{Builder, Cluster, Service};

/// `main` and `web` on two runners, and a third node that votes.
fn builder() -> Builder {
    let service = Service::recorded;
    Cluster::builder().nodes(3).set_on(2, "node.runner", "false").service("10-db", service()).service_of(
        "web",
        "20-www",
        service(),
    )
}

/// Who is promoted in each group, `main` first; none: a group has nobody, or is on its way.
fn masters(cluster: &Cluster) -> Option<[String; 2]> {
    let hooks = cluster.hooks();
    let alone = |group: &str| match &hooks.assert_promoted_in(group)[..] {
        [one] => Some(one.clone()),
        _ => None,
    };
    Some([alone("main")?, alone("web")?])
}

#[track_caller]
fn wait_masters(cluster: &Cluster, what: &str, wanted: [&str; 2]) {
    cluster.wait_for(what, |c| masters(c).is_some_and(|now| now == wanted));
}

#[test]
fn groups_that_are_apart_share_a_node_while_the_other_is_away_and_the_preferred_one_goes_back() {
    let cluster = builder()
        .set("groups.main.apart_from", "[\"web\"]")
        .set("groups.web.apart_from", "[\"main\"]")
        .set("groups.main.failback", "\"2s\"")
        .set("groups.web.failback", "\"2s\"")
        .set_on(0, "groups.main.preference", "600")
        .set_on(1, "groups.web.preference", "600")
        .start();
    wait_masters(&cluster, "each group is on the node that is preferred", ["a", "b"]);
    cluster.wait_well();
    let before = cluster.hooks().count();
    cluster.node("b").kill();
    wait_masters(&cluster, "both groups are on the node that is left", ["a", "a"]);
    cluster.node("b").start();
    wait_masters(&cluster, "one of them goes back", ["a", "b"]);
    cluster.wait_well();
    let since = cluster.hooks().since(before);
    let moved = since.0.iter().any(|e| e.service == "db" && (e.hook == "promote" || e.hook == "demote"));
    assert!(!moved, "the other never moves:\n{since}");
    // An operator's word stands.
    cluster.any().order(&["promote", "a", "--group", "web"]).exits(0);
    wait_masters(&cluster, "web is where the operator wants it", ["a", "a"]);
    cluster.wait_well();
    let before = cluster.hooks().count();
    // Far longer than it takes to go back.
    let uptime = || cluster.node("a").local().map_or(0, |local| local.node.uptime_ms);
    let begun = uptime();
    cluster.wait_for("time passes", |_| uptime() >= begun + 8000);
    let moved = cluster.hooks().since(before);
    assert!(moved.0.iter().all(|e| e.hook != "promote"), "{moved}");
    assert_eq!(masters(&cluster).as_ref().map(|m| m.each_ref().map(String::as_str)), Some(["a", "a"]));
    cluster.any().order(&["elect", "--group", "web"]).exits(0);
    wait_masters(&cluster, "now it goes back", ["a", "b"]);
}

#[test]
fn a_group_that_goes_together_with_main_follows_it_and_comes_down_before_it() {
    let cluster = builder().set("groups.web.together_with", "\"main\"").start();
    cluster.wait_for("both are on one node", |c| masters(c).is_some_and(|[main, web]| main == web));
    cluster.wait_well();
    let [from, _] = masters(&cluster).expect("they are promoted");
    let to = if from == "a" { "b" } else { "a" };
    let before = cluster.hooks().count();
    cluster.any().order(&["promote", to, "--group", "main"]).exits(0);
    wait_masters(&cluster, "both have moved", [to, to]);
    let since = cluster.hooks().since(before);
    since.assert_order(&from, &["www:demote", "db:demote"]);
    since.assert_order(to, &["db:promote", "www:promote"]);
    cluster.wait_well();

    // What it goes together with fails: both come down there, and are promoted elsewhere.
    let before = cluster.hooks().count();
    cluster.node(to).set_status("10-db", 1, "gone");
    wait_masters(&cluster, "both are on the other node", [&from, &from]);
    let since = cluster.hooks().since(before);
    since.assert_order(&from, &["db:promote", "www:promote"]);
}

#[test]
fn a_node_that_is_never_to_be_master_of_a_group_is_not_and_status_says_so() {
    let cluster = builder().set_on(0, "groups.web.preference", "0").start();
    cluster.wait_for("web is on b", |c| masters(c).is_some_and(|[_, web]| web == "b"));
    cluster.wait_well();
    cluster.any().order(&["promote", "a", "--group", "web"]).refuses(1, &["preference"]);
    let before = cluster.hooks().count();
    cluster.node("b").kill();
    cluster.wait_for("main is on a", |c| c.hooks().assert_promoted_in("main") == ["a"]);
    cluster.wait_shown(cluster.node("a"), &["status"], 3, &["web", "preference"]);
    assert!(cluster.hooks().since(before).began("a", "www:promote").is_none(), "{}", cluster.hooks());
    cluster.node("b").start();
    cluster.wait_for("web is on b again", |c| c.hooks().assert_promoted_in("web") == ["b"]);
}

#[test]
fn nodes_that_say_different_things_of_a_group_are_named() {
    let cluster = builder().set_on(0, "groups.web.failback", "\"10m\"").start();
    cluster.wait_for("both groups have masters", |c| masters(c).is_some());
    cluster.wait_status("status says who differs", |status| {
        let mut warnings = status.cluster.warnings.iter();
        warnings
            .any(|warning| ["group web", "disagree on failback"].iter().all(|word| warning.contains(word)))
    });
}
