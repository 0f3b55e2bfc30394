//! What operators say, and that it lasts.

use std::fs;

use koi_cluster_tests::{Cluster, Service};
use koi_proto::api::Status;

fn three() -> Cluster {
    Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded())
        .set("services.auto_recover", "0")
        .start()
}

fn all_are(status: &Status, state: &str) -> bool {
    status.nodes.len() == 3 && status.nodes.iter().all(|n| n.state == state)
}

#[test]
fn promote_is_heard_wherever_it_is_said() {
    let cluster = three();
    let mut master = cluster.wait_healthy();
    for asked in cluster.nodes() {
        let next = cluster.others(&master).map(|n| n.name.clone()).max().unwrap();
        let epoch = cluster.wait_well().cluster.epoch;
        let rehearsed = asked.order(&["promote", &next, "--dry-run"]);
        assert!(rehearsed.exits(0).contains("demotes"), "{}", rehearsed.out);
        assert_eq!(cluster.wait_well().cluster.epoch, epoch, "a dry run does nothing");

        asked.order(&["promote", &next]).exits(0);
        cluster.wait_master(&next);
        let reached = |s: &Status| s.cluster.master.as_ref() == Some(&next) && s.cluster.target.is_none();
        let status = cluster.wait_status("the wish is fulfilled", reached);
        assert!(status.cluster.epoch > epoch, "{:?}", status.cluster);
        master = next;
    }
    // By its UUID as well; and being master already is no reason to do anything.
    let status = cluster.wait_well();
    let before = cluster.hooks().count();
    let id = &status.nodes.iter().find(|n| n.name == master).unwrap().id;
    cluster.any().order(&["promote", id]).exits(0);
    assert_eq!(cluster.wait_well().cluster.epoch, status.cluster.epoch);
    cluster.assert_undisturbed(&master, before);
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_node_that_has_failed_is_not_promoted_until_it_is_recovered() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let broken = cluster.others(&master).next().unwrap();
    broken.set_status("10-vip", 1, "disk on fire");
    cluster.wait_for("it has failed, and is taken down", |c| {
        let node = c.status_of(&broken.name).filter(|n| n.state == "Failed");
        node.and_then(|n| n.services).is_some_and(|all| all.iter().all(|s| s.state == "Failed"))
    });
    let before = cluster.hooks().count();
    for asked in cluster.nodes() {
        asked.order(&["promote", &broken.name]).refuses(1, &["has failed", "disk on fire", "koi recover"]);
    }
    // Nobody was demoted in vain.
    cluster.assert_undisturbed(&master, before);
    cluster.wait_shown(cluster.any(), &["failures"], 0, &["disk on fire"]);

    broken.set_status("10-vip", 0, "");
    cluster.any().order(&["recover", &broken.name]).exits(0);
    cluster.wait_healthy();
    cluster.any().order(&["promote", &broken.name]).exits(0);
    cluster.wait_master(&broken.name);
    cluster.hooks().assert_only(&broken.name);
}

#[test]
fn demote_leaves_no_master_until_elect_and_through_a_change_of_leader() {
    let cluster = three();
    let master = cluster.wait_healthy();
    cluster.any().order(&["demote"]).exits(0);
    let demoted = |s: &Status| s.cluster.master.is_none() && s.cluster.manual && all_are(s, "Standby");
    let status = cluster.wait_status("nothing is promoted", demoted);
    let hooks = cluster.hooks();
    assert!(
        hooks.assert_one_promoted().is_empty() && hooks.ended(&master, "vip:demote").is_some(),
        "{hooks}"
    );
    cluster.wait_shown(cluster.any(), &["status"], 3, &[]);
    let before = cluster.hooks().count();

    let leader = status.cluster.leader.unwrap();
    cluster.node(&leader).stop();
    cluster.wait_other_leader(&leader);
    cluster.node(&leader).start();
    cluster.wait_status("all are there, and nothing is promoted", demoted);
    let since = cluster.hooks().since(before);
    assert!(since.0.iter().all(|e| e.hook != "promote"), "{since}");

    cluster.any().order(&["elect"]).exits(0);
    let status = cluster.wait_well();
    assert!(!status.cluster.manual);
    cluster.hooks().assert_only(&status.cluster.master.unwrap());
}

#[test]
fn a_node_that_was_stopped_by_hand_stays_so_until_it_is_started() {
    let cluster = three();
    let first = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let asked = cluster.others(&first).next().unwrap();
    asked.order(&["stop", &first]).exits(0);
    let second = cluster.wait_other_master(&first);
    cluster.wait_for("it is stopped", |c| {
        c.hooks().since(before).ended(&first, "vip:stop").is_some()
            && c.status_of(&first).is_some_and(|n| n.state == "Stopped" && n.stopped)
    });
    let since = cluster.hooks().since(before);
    assert_eq!(since.of(&first), ["vip:demote", "vip:stop"]);
    asked.order(&["promote", &first]).refuses(1, &["stopped", "koi start"]);

    // A restart changes nothing of that.
    cluster.node(&first).stop();
    cluster.node(&first).start();
    cluster.wait_for("it is back", |c| {
        c.status_of(&first).is_some_and(|n| n.state == "Stopped" && n.stopped && n.seen_ms < 1000)
    });
    asked.order(&["start", &first]).exits(0);
    cluster.wait_for("it runs", |c| c.status_of(&first).is_some_and(|n| n.state == "Standby"));
    assert_eq!(cluster.wait_healthy(), second, "who comes back displaces nobody");
    assert_eq!(cluster.hooks().since(before).of(&first), ["vip:demote", "vip:stop", "vip:start"]);
    cluster.hooks().assert_only(&second);
}

#[test]
fn maintenance_lasts_through_changes_of_leader_and_restarts() {
    let cluster = three();
    let (leader, master) = cluster.part_leader_and_master();
    cluster.any().order(&["maintenance", "on"]).exits(0);
    let known = |s: &Status| s.nodes.len() == 3 && s.nodes.iter().all(|n| n.maintenance);
    cluster.wait_status("every node knows", known);
    let before = cluster.hooks().count();
    cluster.nodes().iter().for_each(|n| n.set_status("10-vip", 1, "somebody works on it"));

    cluster.node(&leader).stop();
    let moved = |s: &Status| s.cluster.leader.as_ref() != Some(&leader);
    let status = cluster.wait_status("another leader", moved);
    assert!(status.cluster.maintenance, "{:?}", status.cluster);
    cluster.node(&leader).start();
    // An upgrade in maintenance: every daemon once, the services go on.
    for node in cluster.nodes() {
        node.stop();
        node.start();
        let status = cluster.wait_status("it is back", |s| {
            let back = s.nodes.iter().all(|n| n.state != "Disconnected");
            known(s) && s.cluster.electors_seen == 3 && back
        });
        assert!(status.cluster.maintenance, "{:?}", status.cluster);
    }
    assert_eq!(cluster.hooks().count(), before, "no hook ran:\n{}", cluster.hooks().since(before));

    cluster.nodes().iter().for_each(|n| n.set_status("10-vip", 0, ""));
    cluster.any().order(&["maintenance", "off"]).exits(0);
    assert_eq!(cluster.wait_healthy(), master);
    let since = cluster.hooks().since(before);
    assert!(since.of(&master).iter().all(|h| h != "vip:demote" && h != "vip:stop"), "{since}");
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_new_configuration_is_taken_and_a_bad_one_is_not() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    node.set("node.log_level", "\"debug\"");
    let asked = cluster.node(&master);
    let done = asked.order(&["reconfigure", &node.name]);
    assert!(done.exits(0).contains("in force"), "{}", done.out);
    cluster.wait_log(&node.name, &[" debug "]);

    // What needs a restart is named.
    let good = node.settings.borrow().clone();
    node.set("node.port", &koi_cluster_tests::free_ports(1)[0].to_string());
    let partly = node.order(&["reconfigure"]);
    assert!(partly.exits(0).contains("node.port"), "{}", partly.out);

    node.settings.replace(good);
    node.set("timing.hartbeat", "\"100ms\"");
    let words = ["timing.hartbeat", "timing.heartbeat", "old configuration"];
    asked.order(&["reconfigure", &node.name]).refuses(1, &words);
    node.signal(nix::sys::signal::Signal::SIGHUP);
    cluster.wait_log(&node.name, &["error", "timing.hartbeat", "timing.heartbeat"]);
    assert_eq!(cluster.wait_healthy(), master, "the old configuration goes on");

    node.settings.borrow_mut().remove("timing.hartbeat");
    node.write_config();
    node.signal(nix::sys::signal::Signal::SIGUSR1);
    let taken = |c: &Cluster| c.node(&node.name).log().matches("is in force").count() >= 3;
    cluster.wait_for("the mended file is taken", taken);
    assert_eq!(cluster.wait_healthy(), master);
}

#[test]
fn confirm_down_is_refused_for_the_living_and_spares_the_wait_for_the_dead() {
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded())
        // Longer than the test has patience.
        .set("timing.demote_grace", "\"10m\"")
        .start();
    let (leader, master) = cluster.part_leader_and_master();
    let before = cluster.hooks().count();
    for name in ["a", "b", "c"] {
        cluster.any().order(&["confirm-down", name]).refuses(5, &[name, "alive", "koi stop"]);
    }
    cluster.assert_undisturbed(&master, before);

    cluster.node(&master).kill();
    // The leader takes it only when it has noticed the silence itself.
    cluster
        .wait_for("the operator is believed", |c| c.node(&leader).koi(&["confirm-down", &master]).code == 0);
    cluster.wait_other_master(&master);
}

#[test]
fn another_machine_is_asked_over_the_sealed_stream() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let here = cluster.any();
    for node in cluster.nodes() {
        let port = node.port.to_string();
        cluster.wait_shown(here, &["-H", "127.0.0.1", "-p", &port, "status"], 0, &[]);
        let local = here.koi(&["-H", &format!("127.0.0.1:{port}"), "-o", "json", "local"]);
        let local: serde_json::Value = serde_json::from_str(local.exits(0)).unwrap();
        assert_eq!(local["node"]["name"], node.name.as_str());
    }
    let next = cluster.others(&master).next().unwrap();
    let far = cluster.others(&next.name).next().unwrap();
    here.order(&["-H", "127.0.0.1", "-p", &far.port.to_string(), "promote", &next.name]).exits(0);
    cluster.wait_master(&next.name);

    // Somebody with another key, and somebody of another cluster.
    let port = here.port.to_string();
    let key = cluster.folder().join("other.key");
    cluster.koi(&["keygen", &key.to_string_lossy()]).exits(0);
    let stranger = cluster.folder().join("stranger.toml");
    let mut settings = here.settings.borrow().clone();
    settings.set_text("cluster.key_file", key.display());
    fs::write(&stranger, settings.to_toml()).unwrap();
    let stranger = stranger.to_string_lossy();
    cluster
        .koi(&["-f", &stranger, "-H", "127.0.0.1", "-p", &port, "status"])
        .refuses(1, &["cluster.key_file", "127.0.0.1"]);
    here.koi(&["-H", "127.0.0.1", "-p", &port, "--id", "7", "status"]).refuses(1, &["cluster.id"]);
    cluster.wait_log(&here.name, &["127.0.0.1", "key"]);
    // Nobody listens.
    let nobody = koi_cluster_tests::free_ports(1)[0].to_string();
    here.koi(&["-H", "127.0.0.1", "-p", &nobody, "status"]).refuses(4, &["does koid run there"]);
}
