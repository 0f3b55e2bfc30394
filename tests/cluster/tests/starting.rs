//! What is not there yet when koid starts, and what goes while it runs.

use std::fs;
use std::process::Command;

use koi_cluster_tests::{Cluster, Node, Service, is_root, skip};
use nix::sys::signal::Signal;

const ADDRESS: &str = "10.77.0.1";

/// One node in a network of its own that has no address but the loopback's; none: that is not allowed here.
fn lonely() -> Option<Cluster> {
    let tried = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).status();
    if !is_root() || !tried.is_ok_and(|status| status.success()) {
        skip(
            "a network namespace cannot be made (root and `ip` are needed): a missing address was not tried",
        );
        return None;
    }
    let ready = "ip link set lo up; exec \"$@\"";
    let within = |_| ["unshare", "--net", "sh", "-c", ready, "sh"].map(str::to_owned).to_vec();
    let builder = Cluster::builder().nodes(1).service("10-vip", Service::recorded()).within(within);
    Some(builder.set("node.bind", &format!("\"{ADDRESS}\"")).set("cluster.transport", "[]").build())
}

/// Gives a node's network its address.
fn add_address(node: &Node) {
    let pid = node.pid().expect("it runs").to_string();
    let add = ["-n", "ip", "address", "add", &format!("{ADDRESS}/32"), "dev", "lo"];
    let status = Command::new("nsenter").args(["-t", &pid]).args(add).status().expect("nsenter can be run");
    assert!(status.success());
}

#[test]
fn an_address_that_is_not_there_yet_is_waited_for() {
    let Some(cluster) = lonely() else { return };
    let node = cluster.node("a");
    node.spawn();
    cluster.wait_log("a", &["not started yet", ADDRESS, "node.bind"]);
    // Whoever does not want to wait is heard.
    node.signal(Signal::SIGTERM);
    assert!(node.wait_end().success(), "{}", node.log());

    node.spawn();
    cluster.wait_for("it waits again", |_| node.log().matches("not started yet").count() == 2);
    add_address(node);
    cluster.wait_healthy();
}

#[test]
fn an_address_that_never_comes_ends_the_start_with_its_name() {
    let Some(cluster) = lonely() else { return };
    cluster.node("a").run_to_end().refuses(1, &["not started", ADDRESS, "node.bind"]);
}

#[test]
fn the_apis_socket_is_put_back_when_it_or_its_folder_was_removed() {
    let cluster = Cluster::builder().nodes(1).service("10-vip", Service::recorded()).build();
    let node = cluster.node("a");
    let run = node.folder.join("run");
    let socket = run.join("sock");
    node.set("node.socket", &format!("{:?}", socket.display().to_string()));
    node.spawn();
    let answers = || node.koi(&["status"]).code == 0;
    cluster.wait_for("it is well", |_| answers());
    for (what, remove) in [("the socket", false), ("its folder", true)] {
        let removed = if remove { fs::remove_dir_all(&run) } else { fs::remove_file(&socket) };
        removed.expect("it is there");
        cluster.wait_for(&format!("{what} is there again"), |_| answers());
    }
    node.stop();
    assert!(!socket.exists(), "it goes with its daemon");
}
