//! FIFOs, sockets and devices in the place of a service's files: they are named, and nobody waits for them.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use koi_cluster_tests::{Cluster, Service};
use nix::sys::stat::Mode;

/// What may lie in the place of a file, and what koid calls it.
const ODD: [(&str, &str); 3] = [("fifo", "a FIFO"), ("socket", "a socket"), ("device", "a device")];

fn put(path: &Path, kind: &str) {
    match kind {
        "fifo" => nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("a FIFO can be made"),
        "socket" => drop(UnixListener::bind(path).expect("a socket can be made")),
        _ => std::os::unix::fs::symlink("/dev/zero", path).expect("a link can be made"),
    }
}

#[test]
fn what_is_no_file_in_a_new_service_is_named_and_holds_nothing_up() {
    for (kind, words) in ODD {
        let cluster = Cluster::builder().nodes(1).service("10-vip", Service::recorded()).start();
        cluster.wait_healthy();
        let (node, before) = (cluster.any(), cluster.hooks().count());
        let files = ["service.toml", "start", "handler.wasm"];
        for (n, file) in files.into_iter().enumerate() {
            let folder = node.services.join(format!("2{n}-odd{n}"));
            fs::create_dir(&folder).expect("a folder can be made");
            put(&folder.join(file), kind);
        }
        put(&node.services.join("30-odd"), kind);
        cluster.wait_log("a", &["30-odd", words, "ignored"]);
        // It looks again, and the services that are well go on.
        node.order(&["reconfigure"]);
        for (n, file) in files.into_iter().enumerate() {
            cluster.wait_shown(node, &["local"], 0, &[&format!("odd{n}"), "Master"]);
            let check = node.koid().arg("--check").output().expect("koid can be run");
            let report = String::from_utf8_lossy(&check.stdout);
            let names = |line: &str| line.contains(&format!("odd{n}/{file}")) && line.contains(words);
            assert!(report.lines().any(names), "{file} as {kind}:\n{report}");
        }
        let moved = cluster.hooks().since(before).of("a");
        assert!(moved.iter().all(|hook| !hook.starts_with("vip:")), "{moved:?}");
    }
}

#[test]
fn what_is_no_file_in_a_service_that_runs_changes_nothing() {
    let cluster = Cluster::builder().nodes(1).service("10-vip", Service::recorded()).start();
    cluster.wait_healthy();
    let (node, before) = (cluster.any(), cluster.hooks().count());
    let manifest = node.services.join("10-vip/service.toml");
    put(&manifest, "fifo");
    cluster.wait_log("a", &["vip", "goes on as it was", "a FIFO"]);
    fs::remove_file(&manifest).expect("it is there");
    cluster.assert_undisturbed("a", before);
    // Whatever it is, it is there.
    put(&node.services.join("10-vip/disabled"), "fifo");
    cluster.wait_for("it is disabled", |c| c.status_of("a").is_some_and(|n| n.state == "Failed"));
}
