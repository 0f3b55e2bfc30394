//! Services that fail, wait, come and go.

use koi_cluster_tests::{Cluster, Service};
use koi_proto::api::{NodeStatus, ServiceStatus};

fn builder() -> koi_cluster_tests::Builder {
    Cluster::builder().nodes(3).set("services.auto_recover_time", "\"1s\"")
}

fn service(cluster: &Cluster, node: &str, name: &str) -> Option<ServiceStatus> {
    cluster.status_of(node)?.services?.into_iter().find(|s| s.name == name)
}

fn is(cluster: &Cluster, node: &str, state: &str) -> bool {
    cluster.status_of(node).is_some_and(|n| n.state == state)
}

#[test]
fn a_failed_service_gives_the_mastership_away_and_recovers_by_itself() {
    let cluster =
        builder().service("10-vip", Service::recorded()).service("20-db", Service::recorded()).start();
    let first = cluster.wait_healthy();
    let before = cluster.hooks().count();
    cluster.node(&first).set_status("20-db", 7, "the table is gone");
    let second = cluster.wait_other_master(&first);
    let since = cluster.hooks().since(before);
    let failed = since.began(&first, "db:failed").expect("failed has run");
    let stopped = since.began(&first, "db:stop").expect("stop has run");
    assert!(failed < stopped, "`failed` looks at the wreck before `stop` clears it away:\n{since}");
    let taken_down = since.ended(&first, "vip:stop").or_else(|| since.ended(&first, "vip:demote"));
    assert!(taken_down.is_some() && taken_down < since.began(&second, "vip:promote"), "{since}");
    cluster.hooks().assert_one_promoted();

    cluster.wait_for("the failure is kept", |c| {
        let kept = c.node(&second).failures().map(|f| f.failures).unwrap_or_default();
        kept.iter().any(|f| {
            let of = (f.node.as_str(), f.service.as_str(), f.hook.as_str());
            of == (first.as_str(), "db", "status") && f.message.contains("the table is gone")
        })
    });

    cluster.node(&first).set_status("20-db", 0, "");
    cluster.wait_for("it has recovered", |c| is(c, &first, "Standby"));
    assert_eq!(cluster.wait_healthy(), second, "who comes back displaces nobody");
    cluster.hooks().assert_only(&second);
}

#[test]
fn priorities_order_every_step_up_and_down() {
    // Long enough for a mistake to show.
    let slow = || {
        ["start", "stop", "promote", "demote"]
            .into_iter()
            .fold(Service::recorded(), |service, hook| service.hook(hook, "sleep 0.1"))
    };
    // A promote that ends only when another one has begun, however slow the machine is.
    let meets = |other: &str| {
        let met = format!(
            "touch promoting\nn=0\nuntil [ -e ../{other}/promoting ]; do\n    sleep 0.1\n    n=$((n+1))\n    \
             [ $n -lt 250 ] || exit 1\ndone"
        );
        slow().hook("promote", &met)
    };
    let cluster = builder()
        // The same number: side by side. No number: waits for nobody.
        .service("20-db", meets("20-web"))
        .service("20-web", meets("20-db"))
        .service("10-net", meets("free"))
        .service("free", slow().hook("promote", "touch promoting\nsleep 0.1"))
        .service("90-mail", slow())
        .start();
    let first = cluster.wait_healthy();
    let next = cluster.others(&first).next().unwrap().name.clone();
    cluster.any().order(&["promote", &next]).exits(0);
    cluster.wait_master(&next);
    cluster.any().order(&["stop", &first]).exits(0);
    cluster.wait_for("it is stopped", |c| c.hooks().ended(&first, "net:stop").is_some());
    cluster.wait_for("free is stopped", |c| c.hooks().ended(&first, "free:stop").is_some());

    let hooks = cluster.hooks();
    let follows = |later: &str, earlier: &str, hook: &str| {
        let began = hooks.began(&first, &format!("{later}:{hook}"));
        let ended = hooks.ended(&first, &format!("{earlier}:{hook}"));
        assert!(ended.is_some() && ended < began, "{later} does not {hook} after {earlier}:\n{hooks}");
    };
    for hook in ["start", "promote"] {
        for (later, earlier) in [("db", "net"), ("web", "net"), ("mail", "db"), ("mail", "web")] {
            follows(later, earlier, hook);
        }
    }
    for hook in ["demote", "stop"] {
        for (later, earlier) in [("net", "db"), ("net", "web"), ("db", "mail"), ("web", "mail")] {
            follows(later, earlier, hook);
        }
    }
    let began = |name: &str| hooks.began(&first, &format!("{name}:promote"));
    let ended = |name: &str| hooks.ended(&first, &format!("{name}:promote"));
    assert!(
        began("db") < ended("web") && began("web") < ended("db"),
        "the same number: side by side:\n{hooks}"
    );
    assert!(began("free") < ended("net"), "no number: waits for nobody:\n{hooks}");
    hooks.assert_only(&next);
}

#[test]
fn live_is_running_and_not_promotable() {
    let cluster = builder().service("10-db", Service::recorded()).start();
    let first = cluster.wait_healthy();
    cluster.node(&first).set_status("10-db", 93, "still syncing");
    let second = cluster.wait_other_master(&first);
    cluster.wait_for("it is live", |c| is(c, &first, "Live"));
    cluster.wait_for("its service runs and is not promotable", |c| {
        service(c, &first, "db").is_some_and(|seen| {
            (seen.state.as_str(), seen.promotable, seen.failed) == ("Started", false, false)
                && seen.message.as_deref() == Some("still syncing")
        })
    });
    let hooks = cluster.hooks();
    assert!(hooks.began(&first, "db:stop").is_none(), "it runs on:\n{hooks}");

    cluster.node(&first).set_status("10-db", 91, "");
    cluster.wait_for("it is standby", |c| is(c, &first, "Standby"));
    assert_eq!(cluster.wait_healthy(), second);
    cluster.hooks().assert_only(&second);
}

#[test]
fn a_disabled_service_is_stopped_and_not_retried() {
    let cluster = builder().service("10-vip", Service::recorded()).start();
    let first = cluster.wait_healthy();
    let node = cluster.node(&first);
    let before = cluster.hooks().count();
    let file = node.services.join("10-vip/disabled");
    std::fs::write(&file, "").unwrap();
    let second = cluster.wait_other_master(&first);
    cluster.wait_for("it counts as failed", |c| is(c, &first, "Failed"));
    cluster.wait_for("it is stopped", |c| c.hooks().since(before).ended(&first, "vip:stop").is_some());
    cluster.wait_shown(node, &["status", &first], 3, &["disabled"]);
    cluster.wait_for("it is shown as disabled, and not retried", |c| {
        service(c, &first, "vip").is_some_and(|s| s.disabled)
            && c.status_of(&first).is_some_and(|n| n.recovers_in_ms.is_none())
    });
    // Longer than auto_recover_time.
    cluster.wait_lived(&first, std::time::Duration::from_secs(2));
    let since = cluster.hooks().since(before);
    assert!(since.began(&first, "vip:start").is_none(), "{since}");

    std::fs::remove_file(&file).unwrap();
    cluster.wait_for("it is back", |c| is(c, &first, "Standby"));
    assert_eq!(cluster.wait_healthy(), second);
    cluster.hooks().assert_only(&second);
}

#[test]
fn services_come_and_go_while_the_daemons_run() {
    let cluster = builder().service("10-vip", Service::recorded()).start();
    cluster.wait_healthy();
    cluster.nodes().iter().for_each(|n| n.add("20-web", &Service::recorded()));
    cluster.wait_for("it runs everywhere", |c| {
        let runs = |n: &NodeStatus| n.services.as_ref().is_some_and(|all| all.len() == 2);
        c.status().is_some_and(|s| s.nodes.iter().all(runs))
            && c.nodes().iter().all(|n| c.hooks().ended(&n.name, "web:start").is_some())
            && c.hooks().0.iter().any(|e| e.service == "web" && e.hook == "promote" && e.ended)
    });
    let master = cluster.wait_healthy();
    cluster.hooks().assert_only(&master);

    let standby = cluster.others(&master).next().unwrap();
    standby.remove("20-web");
    cluster.wait_for("it is gone", |c| {
        c.status_of(&standby.name).is_some_and(|n| n.services.is_some_and(|all| all.len() == 1))
    });
    cluster.wait_log(&standby.name, &["web", "gone from the folder"]);
    assert_eq!(cluster.wait_healthy(), master, "nodes need not have the same services");
    // Names that are no services are said once, not taken.
    standby.add("30-old~", &Service::recorded());
    cluster.wait_log(&standby.name, &["30-old~", "ignored"]);
    cluster.hooks().assert_only(&master);
}

/// A service that cannot run, and the words that say why.
fn cannot_run(name: &str, service: Service, words: &[&str]) {
    let cluster = builder().service("10-vip", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let node = cluster.others(&master).next().expect("there are three");
    node.add(name, &service);
    cluster.wait_for("the node counts as failed", |c| is(c, &node.name, "Failed"));
    cluster.wait_log(&node.name, words);
    cluster.wait_shown(cluster.node(&master), &["status", &node.name], 3, words);
    // The others go on.
    cluster.assert_undisturbed(&master, before);
    let check = node.koid().arg("--check").output().expect("koid can be run");
    let report = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(1), "{report}");
    assert!(words.iter().all(|word| report.contains(word)), "--check does not say {words:?}:\n{report}");

    node.remove(name);
    cluster.any().order(&["recover", &node.name]).exits(0);
    assert_eq!(cluster.wait_healthy(), master);
}

#[test]
fn a_script_without_its_execute_bit_is_told_with_the_remedy() {
    let service = Service::recorded().file("start", "#!/bin/sh\n", 0o644);
    cannot_run("20-web", service, &["20-web/start", "not executable", "chmod +x"]);
}

#[test]
fn a_script_whose_interpreter_is_missing_is_told_with_its_name() {
    let service = Service::recorded().script("start", "#!/usr/bin/pearl\n");
    cannot_run("20-web", service, &["20-web/start", "/usr/bin/pearl"]);
}

#[test]
fn a_handler_that_nobody_knows_is_told_with_those_that_are_known() {
    let service = Service::recorded().file("service.toml", "handler = \"postgresql\"\n", 0o644);
    cannot_run("20-web", service, &["postgresql", "`shell`", "service.toml"]);
}

#[test]
fn a_service_toml_with_a_mistake_is_told_with_its_line() {
    let service = Service::recorded().file("service.toml", "[timeouts]\nstrat = \"5s\"\n", 0o644);
    cannot_run("20-web", service, &["service.toml:2", "strat", "start"]);
}

/// A master whose service can neither be demoted nor stopped: nobody is promoted elsewhere (R7). Its name.
fn unclean(cluster: &Cluster) -> String {
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    std::fs::write(node.services.join("10-vip/stuck"), "").expect("a file can be written");
    node.set_status("10-vip", 1, "the address does not answer");
    cluster.wait_for("it is unclean", |c| c.status_of(&master).is_some_and(|n| n.unclean));
    cluster.wait_log(&master, &["vip", "could not be stopped", "koi recover", "koi confirm-down"]);
    cluster.wait_shown(cluster.any(), &["status"], 3, &["unclean", "confirm-down"]);
    let promoted = |e: &&koi_cluster_tests::Entry| e.hook == "promote" && e.node != master;
    assert_eq!(cluster.hooks().0.iter().filter(promoted).count(), 0, "nobody else was promoted");
    master
}

fn stuck() -> Cluster {
    let service = Service::recorded().hook("stop", "[ ! -f stuck ]");
    builder().service("10-vip", service).set("services.auto_recover", "0").start()
}

#[test]
fn a_stop_that_fails_blocks_until_it_is_mended() {
    let cluster = stuck();
    let master = unclean(&cluster);
    let node = cluster.node(&master);
    std::fs::remove_file(node.services.join("10-vip/stuck")).unwrap();
    node.set_status("10-vip", 0, "");
    let before = cluster.hooks().count();
    cluster.any().order(&["recover", &master]).exits(0);
    let next = cluster.wait_healthy();
    let since = cluster.hooks().since(before);
    let stopped = since.ended(&master, "vip:stop").expect("it is stopped at last");
    assert!(Some(stopped) < since.began(&next, "vip:promote"), "{since}");
    cluster.hooks().assert_only(&next);
}

#[test]
fn a_stop_that_fails_blocks_until_an_operator_attests() {
    let cluster = stuck();
    let master = unclean(&cluster);
    cluster.any().order(&["confirm-down", &master]).exits(0);
    cluster.wait_other_master(&master);
}

/// Recorded, with this `[policy]`.
fn with_policy(policy: &str) -> Service {
    Service::recorded().file("service.toml", &format!("[policy]\n{policy}\n"), 0o644)
}

fn message(cluster: &Cluster, node: &str, name: &str) -> String {
    service(cluster, node, name).and_then(|s| s.message).unwrap_or_default()
}

#[test]
fn a_service_is_borne_with_and_then_restarted_in_place_before_another_node_takes_over() {
    let policy = "status_failures = 3\nstatus_retry = \"300ms\"\nrestarts = 1\nrestart_window = \"1h\"\nrestart_timeout = \"20s\"";
    let cluster = builder()
        .service("10-vip", Service::recorded())
        .service("20-db", with_policy(policy))
        .service("30-web", Service::recorded())
        .start();
    let master = cluster.wait_healthy();
    let (node, before) = (cluster.node(&master), cluster.hooks().count());
    let epoch = cluster.status().map(|s| s.cluster.epoch);
    node.set_status("20-db", 7, "slow");
    cluster.wait_for("one bad status is no failure", |c| {
        message(c, &master, "db").contains("of 3 bad statuses")
    });
    node.set_status("20-db", 0, "");
    cluster.wait_for("it is well again", |c| message(c, &master, "db").is_empty());
    assert_eq!(cluster.hooks().since(before).0.len(), 0, "nothing has moved");

    node.set_status("20-db", 7, "gone");
    cluster.wait_for("it is restarted", |c| c.hooks().since(before).began(&master, "db:failed").is_some());
    node.set_status("20-db", 0, "");
    cluster
        .wait_for("the restart is told of", |c| message(c, &master, "db") == "restarted once in 60 minutes");
    cluster.wait_for("all is back", |c| c.hooks().since(before).ended(&master, "web:promote").is_some());
    let since = cluster.hooks().since(before);
    since.assert_order(&master, &["web:demote", "web:stop", "db:stop", "db:start", "web:start"]);
    since.assert_order(&master, &["db:promote", "web:promote"]);
    assert!(since.began(&master, "vip:demote").is_none(), "what is below it stays:\n{since}");
    assert_eq!(cluster.wait_healthy(), master);
    assert_eq!(cluster.status().map(|s| s.cluster.epoch), epoch, "nobody else was master meanwhile");
    let events = node.koi(&["events", "--no-follow"]);
    let events = events.exits(0);
    assert!(events.contains("it is restarted in place, restart 1 of 1"), "{events}");

    node.set_status("20-db", 7, "gone for good");
    assert_ne!(cluster.wait_other_master(&master), master);
    cluster.hooks().assert_one_promoted();
}

#[test]
fn nobody_fails_over_for_a_service_that_is_not_critical() {
    let cluster = builder()
        .service("10-db", Service::recorded())
        .service("stats", with_policy("critical = false"))
        .start();
    let master = cluster.wait_healthy();
    let (node, before) = (cluster.node(&master), cluster.hooks().count());
    node.set_status("stats", 7, "no disk");
    let words = ["a service that is not critical does not run", "exit code 7: no disk"];
    cluster.wait_shown(node, &["status"], 0, &words);
    cluster.wait_for("it has failed and is down", |c| {
        service(c, &master, "stats").is_some_and(|s| s.state == "Failed")
    });
    node.koi(&["wait", "--for", "master", "--timeout", "10s"]).exits(0);
    cluster.wait_master(&master);
    let since = cluster.hooks().since(before);
    assert!(since.0.iter().all(|entry| entry.service == "stats"), "{since}");

    node.set_status("stats", 0, "");
    node.order(&["recover", &master]).exits(0);
    assert_eq!(cluster.wait_healthy(), master);
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_single_file_has_its_policy_beside_it_and_a_mistake_in_it_is_found() {
    let cluster = builder().service("web", Service::single("[ ! -e ./broken ] || exit 1")).start();
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    let manifest = node.services.join("web.toml");
    std::fs::write(&manifest, "[policy]\nstatus_failures = 0\n").expect("a file can be written");
    let words = ["web.toml:2:", "`status_failures`"];
    let checked = node.koi(&["check"]);
    assert!(words.iter().all(|word| checked.exits(1).contains(word)), "{checked:?}");
    cluster.wait_shown(node, &["status"], 3, &words);
    cluster.wait_master(&master);
    std::fs::write(&manifest, "[policy]\nstatus_failures = 5\n").expect("a file can be written");
    node.order(&["reconfigure"]).exits(0);
    assert_eq!(cluster.wait_healthy(), master, "what runs is not touched");
}
