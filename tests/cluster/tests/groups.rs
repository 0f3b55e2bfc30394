//! Several groups: sets of services that are promoted together, each with a master of its own (R14).

use std::fs;

use koi_cluster_tests::{Builder, Cluster, Service};
use nix::sys::signal::{Signal, kill};

fn builder() -> Builder {
    let service = Service::recorded;
    Cluster::builder().nodes(3).service("10-db", service()).service_of("web", "20-www", service())
}

/// The node that is promoted in this group, once there is one.
fn master_of(cluster: &Cluster, group: &str) -> String {
    cluster.wait_some(&format!("a master of {group}"), |c| match &c.hooks().assert_promoted_in(group)[..] {
        [master] => Some(master.clone()),
        _ => None,
    })
}

/// Waits until another node than `old` is promoted in this group.
fn other_master_of(cluster: &Cluster, group: &str, old: &str) -> String {
    cluster.wait_some(&format!("another master of {group} than {old}"), |c| {
        c.hooks().assert_promoted_in(group).into_iter().find(|master| master != old)
    })
}

#[test]
fn each_group_has_a_master_and_fails_over_by_itself() {
    let cluster = builder().start();
    let (db, www) = (master_of(&cluster, "main"), master_of(&cluster, "web"));
    let before = cluster.hooks().count();
    // The service of one group fails.
    let path = cluster.node(&www).group_folder("web").join("20-www/status-code");
    fs::write(path, "1 gone\n").expect("a file can be written");
    let next = other_master_of(&cluster, "web", &www);
    let since = cluster.hooks().since(before);
    assert!(since.ended(&www, "www:demote") < since.began(&next, "www:promote"), "{since}");
    assert!(since.0.iter().all(|entry| entry.service != "db"), "the other group goes on:\n{since}");
    assert_eq!(master_of(&cluster, "main"), db);
}

#[test]
fn whoever_dies_gives_up_every_group_and_comes_back_to_none() {
    // Longer than the test has patience: only the guardian's words help.
    let cluster = builder().set("timing.master_lease", "\"5m\"").set("timing.demote_grace", "\"5m\"").start();
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let (db, www) = (master_of(&cluster, "main"), master_of(&cluster, "web"));
        let before = cluster.hooks().count();
        cluster.node(&www).signal(signal);
        cluster.node(&www).wait_end();
        let next = other_master_of(&cluster, "web", &www);
        let since = cluster.hooks().since(before);
        assert!(since.ended(&www, "www:demote") < since.began(&next, "www:promote"), "{since}");
        if db == www {
            other_master_of(&cluster, "main", &db);
        }
        cluster.node(&www).start();
        cluster.wait_well();
    }
}

#[test]
fn a_group_that_is_configured_no_more_is_taken_down_and_its_service_may_move() {
    let cluster = builder().start();
    let www = master_of(&cluster, "web");
    let db = master_of(&cluster, "main");
    for node in cluster.nodes() {
        node.settings.borrow_mut().remove("groups.web.folder");
        node.write_config();
        node.koi(&["reconfigure"]).exits(0);
    }
    cluster.wait_for("the group is down", |c| {
        c.hooks().assert_promoted_in("web").is_empty() && c.hooks().ended(&www, "www:stop").is_some()
    });
    assert_eq!(master_of(&cluster, "main"), db, "main goes on");
    // The same service in the services folder.
    for node in cluster.nodes() {
        std::fs::rename(node.group_folder("web").join("20-www"), node.services.join("20-www"))
            .expect("a service can be moved");
        node.koi(&["reconfigure"]).exits(0);
    }
    let promoted = |c: &Cluster| {
        c.hooks().0.iter().any(|e| e.service == "www" && e.group == "main" && e.hook == "promote")
    };
    cluster.wait_for("it is promoted with main", promoted);
    cluster.wait_well();
}

/// Whose koid and guardian both died has left its service promoted, and what takes it down is noted. The note stays while nobody can look.
#[test]
fn a_folder_that_is_away_when_koid_starts_takes_no_note_of_what_was_left_promoted() {
    let cluster = builder().start();
    cluster.wait_healthy();
    let master = master_of(&cluster, "web");
    let node = cluster.node(&master);
    let notes = || fs::read_to_string(node.state_dir.join("plugins/pins.json")).unwrap_or_default();
    cluster.wait_for("what takes the service down is noted", |_| notes().contains("\"www\""));
    let guardian = node.guardian().expect("koid has a guardian");
    kill(guardian, Signal::SIGKILL).expect("the guardian runs");
    node.kill();

    let (folder, aside) = (node.group_folder("web"), node.folder.join("aside"));
    fs::rename(&folder, &aside).expect("a folder can be moved");
    node.start();
    cluster.wait_log(&master, &["of the group web isn't there; create it"]);
    assert!(notes().contains("\"www\""), "{}", notes());

    fs::rename(&aside, &folder).expect("a folder can be moved");
    node.order(&["reconfigure"]).exits(0);
    cluster.wait_for("the service is known again", |c| {
        c.status_of(&master).and_then(|node| node.services).into_iter().flatten().any(|s| s.name == "www")
    });
    assert!(notes().contains("\"www\""), "{}", notes());
}
