//! Services that are put into the folder one step after the other while the daemons run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_proto::api::ServiceState;

fn cluster() -> Cluster {
    let builder = Cluster::builder().nodes(3).set("services.auto_recover_time", "\"1s\"");
    builder.service("10-vip", Service::recorded()).start()
}

/// The state of a service on a node.
fn state(cluster: &Cluster, node: &str, service: &str) -> Option<ServiceState> {
    let services = cluster.status_of(node)?.services?;
    services.into_iter().find(|s| s.name == service).map(|s| s.state)
}

/// A script that writes its name into the file `ran` beside it.
fn script(folder: &Path, hook: &str, mode: u32) {
    let path = folder.join(hook);
    fs::write(&path, "#!/bin/sh\necho $KOI_EVENT >> ran\n").expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode can be set");
}

fn ran(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("ran")).unwrap_or_default();
    text.lines().filter(|hook| *hook != "status").map(str::to_owned).collect()
}

fn new_service(node: &Node) -> std::path::PathBuf {
    let folder = node.services.join("20-web");
    fs::create_dir(&folder).expect("a folder can be made");
    folder
}

#[test]
fn scripts_that_come_after_their_folder_are_run() {
    let cluster = cluster();
    let master = cluster.wait_healthy();
    let (node, before) = (cluster.node(&master), cluster.hooks().count());
    let folder = new_service(node);
    cluster.wait_for("the empty folder is a service", |c| {
        state(c, &master, "web").is_some_and(|s| s == "Promoted")
    });
    for hook in ["demote", "promote", "start", "status", "stop"] {
        script(&folder, hook, 0o755);
    }
    cluster.wait_for("both hooks have run", |_| ran(&folder) == ["start", "promote"]);
    cluster.wait_healthy();
    cluster.assert_undisturbed(&master, before);
    assert_eq!(ran(&folder), ["start", "promote"], "once each");
}

#[test]
fn a_folder_that_is_still_written_to_is_left_alone() {
    let cluster = cluster();
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    let folder = new_service(node);
    script(&folder, "start", 0o755);
    cluster.wait_log(&master, &["web is new"]);
    for n in 0..30 {
        fs::write(folder.join("data"), "x".repeat(n)).expect("a file can be written");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(ran(&folder), Vec::<String>::new());
    }
    cluster.wait_for("it is started", |_| ran(&folder) == ["start"]);

    // Whoever says that it is there as a whole does not wait.
    let other = node.services.join("30-mail");
    fs::create_dir(&other).expect("a folder can be made");
    script(&other, "start", 0o755);
    node.order(&["reconfigure"]).exits(0);
    cluster.wait_for("it is started", |_| ran(&other) == ["start"]);
}

#[test]
fn a_script_that_is_not_executable_yet_costs_the_master_nothing() {
    for hook in ["start", "status", "promote"] {
        let cluster = cluster();
        let master = cluster.wait_healthy();
        let (node, before) = (cluster.node(&master), cluster.hooks().count());
        let folder = new_service(node);
        script(&folder, hook, 0o644);
        let words = ["a new service cannot run here", "not executable", "chmod +x"];
        cluster.wait_log(&master, &words);
        cluster.wait_shown(cluster.any(), &["status"], 3, &["a new service cannot run here"]);
        cluster
            .wait_for("it has failed by itself", |c| state(c, &master, "web").is_some_and(|s| s == "Failed"));
        script(&folder, hook, 0o755);
        cluster.wait_for("it runs", |c| state(c, &master, "web").is_some_and(|s| s == "Promoted"));
        assert_eq!(cluster.wait_healthy(), master);
        cluster.assert_undisturbed(&master, before);
    }
}

#[test]
fn a_handler_that_nobody_knows_costs_no_master_on_any_node() {
    let cluster = cluster();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let service = Service::empty().file("service.toml", "handler = \"postgresql\"\n", 0o644);
    // As a tool does it that deploys to all.
    cluster.nodes().iter().for_each(|node| node.add("20-web", &service));
    for node in cluster.nodes() {
        cluster.wait_log(&node.name, &["postgresql"]);
    }
    cluster.wait_for("the standbys are no candidates", |c| {
        c.others(&master).all(|n| c.status_of(&n.name).is_some_and(|seen| seen.state == "Failed"))
    });
    let still = cluster.any().status().expect("it answers").cluster.master;
    assert_eq!(still.as_ref(), Some(&master));
    cluster.nodes().iter().for_each(|node| node.remove("20-web"));
    assert_eq!(cluster.wait_healthy(), master);
    cluster.assert_undisturbed(&master, before);
}

#[test]
fn a_folder_that_goes_again_while_its_service_starts_costs_the_master_nothing() {
    let cluster = cluster();
    let master = cluster.wait_healthy();
    let (node, before) = (cluster.node(&master), cluster.hooks().count());
    let folder = new_service(node);
    fs::write(folder.join("start"), "#!/bin/sh\ntouch \"$KOI_SERVICE_HOME/../../started\"\nexec sleep 600\n")
        .expect("a script can be written");
    fs::set_permissions(folder.join("start"), fs::Permissions::from_mode(0o755))
        .expect("its mode can be set");
    cluster.wait_for("it starts", |_| node.folder.join("started").exists());
    fs::remove_dir_all(&folder).expect("it can be removed");
    cluster.wait_for("it is forgotten", |c| {
        state(c, &master, "vip").is_some() && state(c, &master, "web").is_none()
    });
    assert_eq!(cluster.wait_healthy(), master);
    cluster.assert_undisturbed(&master, before);
}
