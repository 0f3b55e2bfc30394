//! What people and programs on the same machine or network can do that have no business here: nothing that anybody notices.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_testkit::wait_for;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

/// More than koid serves at once, of anything.
const CROWD: usize = 200;

fn one() -> Cluster {
    Cluster::builder().nodes(1).set("cluster.electors", "1").service("10-vip", Service::recorded()).build()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

/// The longest line of a node's log, in bytes.
fn longest_line(node: &Node) -> usize {
    node.log().lines().map(str::len).max().unwrap_or(0)
}

#[test]
fn a_crowd_at_every_door_keeps_nobody_out_who_has_a_key() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let leader = cluster.leader().unwrap();
    let crowd: Vec<TcpStream> = (0..CROWD)
        .map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.node(&leader).port)).unwrap())
        .collect();
    let mut followers = Vec::new();
    for node in cluster.nodes() {
        for _ in 0..CROWD {
            let mut follower = UnixStream::connect(&node.socket).unwrap();
            // It may be told at once that there are too many.
            let _ = follower.write_all(b"GET /v1/events HTTP/1.1\r\nhost: k\r\n\r\n");
            followers.push(follower);
        }
    }
    let next = cluster.others(&master).next().unwrap();
    // Over every node, and so from one to the other: well before any of the crowd's time is over.
    for asked in cluster.nodes() {
        asked.koi(&["-t", "4s", "status"]).exits(0);
    }
    next.koi(&["-t", "4s", "promote", &next.name]).exits(0);
    cluster.wait_master(&next.name);
    drop((crowd, followers));
}

#[test]
fn a_command_that_ended_without_an_answer_is_not_carried_out_later() {
    let cluster =
        Cluster::builder().nodes(1).set("cluster.electors", "1").set("node.runner", "false").start();
    let node = cluster.any();
    node.halt();
    // They lie in the socket of a daemon that stands still, and their givers are told that there is no answer.
    for _ in 0..8 {
        let ran = node.koi(&["-t", "100ms", "reconfigure"]);
        ran.refuses(4, &["no answer", "not begun any more"]);
    }
    node.signal(Signal::SIGCONT);
    // Whoever comes later is served later.
    node.koi(&["reconfigure"]).exits(0);
    let done = || node.log().lines().filter(|line| line.contains("is in force")).count();
    // The log has a thread of its own: it may come after the answer.
    wait_for("the log tells of the command", || done() > 0);
    assert_eq!(done(), 1, "some came out of the blue:\n{}", node.last_lines(20));
}

#[test]
fn a_state_folder_or_a_key_that_others_may_change_is_refused_with_the_command_that_mends_it() {
    let cluster = one();
    let node = &cluster.nodes()[0];
    fs::create_dir_all(node.state_dir.join("plugins")).unwrap();
    for (path, good) in [(node.state_dir.clone(), 0o700), (node.state_dir.join("plugins"), 0o700)] {
        mode(&path, 0o777);
        let mend = format!("chmod go-w {}", path.display());
        node.run_to_end().refuses(1, &["state folder", &mend]);
        let checked = node.koi(&["check"]);
        assert!(checked.exits(1).contains(&mend), "{}", checked.out);
        mode(&path, good);
    }
    let fifo = node.state_dir.join("state");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    node.run_to_end().refuses(1, &[&fifo.to_string_lossy(), "FIFO"]);
    fs::remove_file(&fifo).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(&node.state_dir, Some(12_345), None).unwrap();
        node.run_to_end().refuses(1, &["belongs to user 12345", "chown 0"]);
        chown(&node.state_dir, Some(0), None).unwrap();
    }
    node.start();
}

#[test]
fn what_is_no_file_is_named_and_never_waited_for() {
    let cluster = one();
    let node = &cluster.nodes()[0];
    let fifo = cluster.folder().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let at = fifo.to_string_lossy();
    let good = node.settings.borrow().clone();
    for (key, value) in
        [("cluster.key_file", format!("{fifo:?}")), ("cluster.accept_key_files", format!("[{fifo:?}]"))]
    {
        node.set(key, &value);
        node.run_to_end().refuses(1, &[&at, "FIFO"]);
        node.settings.replace(good.clone());
    }
    node.write_config();
    fs::rename(&node.config, cluster.folder().join("aside")).unwrap();
    fs::rename(&fifo, &node.config).unwrap();
    node.run_to_end().refuses(1, &["koi.toml", "FIFO"]);
    for args in [&["status"][..], &["config", "show"], &["check"]] {
        let ran = node.koi(args);
        ran.exits(1);
        assert!(format!("{}{}", ran.out, ran.err).contains("FIFO"), "{ran:?}");
    }
    fs::remove_file(&node.config).unwrap();
    node.write_config();
    node.start();
}

#[test]
fn scripts_and_plugins_that_others_may_change_are_told_of_until_they_are_mended() {
    let cluster = Cluster::builder()
        .nodes(3)
        .set("timing.status_interval", "\"200ms\"")
        .service("10-vip", Service::recorded())
        .start();
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    let script = node.services.join("10-vip/start");
    mode(&script, 0o777);
    let word = format!("{}: {} may be changed by others", node.name, script.display());
    let warned =
        |c: &Cluster| c.status().is_some_and(|s| s.cluster.warnings.iter().any(|w| w.contains(&word)));
    cluster.wait_for("every status says so", &warned);
    // It is looked at again and again.
    let other = node.services.join("10-vip/stop");
    mode(&other, 0o777);
    cluster.wait_log(&node.name, &["10-vip/stop may be changed by others"]);
    mode(&other, 0o755);
    let checked = node.koi(&["check"]);
    assert!(checked.exits(0).contains("warning: ") && checked.out.contains("chmod go-w"), "{}", checked.out);
    let said = node.log().lines().filter(|line| line.contains("10-vip/start may be changed")).count();
    assert_eq!(said, 1, "{}", node.last_lines(20));
    mode(&script, 0o755);
    cluster.wait_for("it is mended", |c| !warned(c));
}

#[test]
fn the_log_has_no_escapes_no_long_lines_and_no_news_twice() {
    let cluster = Cluster::builder()
        .nodes(1)
        .set("cluster.electors", "1")
        .set("timing.status_interval", "\"50ms\"")
        .service("10-vip", Service::recorded())
        .build();
    let node = &cluster.nodes()[0];
    let service = node.services.join("20-talk");
    fs::create_dir(&service).unwrap();
    for (hook, text) in [
        (
            "start",
            "#!/bin/sh\nprintf '\\033]0;pwn\\007\\033[2Jhello\\n'; head -c 60000 /dev/zero | tr '\\0' x\n",
        ),
        ("status", "#!/bin/sh\necho all is well here\necho $$ > count.new; mv count.new count\n"),
        ("promote", "#!/bin/sh\n"),
        ("demote", "#!/bin/sh\n"),
    ] {
        fs::write(service.join(hook), text.replace("count", &service.join("count").to_string_lossy()))
            .unwrap();
        mode(&service.join(hook), 0o755);
    }
    node.start();
    cluster.wait_healthy();
    let asks = format!("\x1b[31mfake {}", "y".repeat(50_000));
    let ran = node.koi(&["promote", &asks]);
    assert!(!ran.err.contains('\x1b') && ran.err.len() < 10_000, "{}", ran.err.len());
    cluster.wait_log(&node.name, &["fake"]);
    // Status has run a good many times.
    let mut runs = std::collections::BTreeSet::new();
    cluster.wait_for("status runs", |_| {
        runs.insert(fs::read_to_string(service.join("count")).unwrap_or_default());
        runs.len() > 8
    });
    assert!(
        !node.log().contains('\x1b') && node.log().contains("\\u{1b}[2Jhello"),
        "{}",
        node.last_lines(40)
    );
    assert!(longest_line(node) < 8000, "{}", longest_line(node));
    let said = node.log().lines().filter(|line| line.contains("all is well here")).count();
    assert_eq!(said, 1, "{}", node.last_lines(20));
}

#[test]
fn however_many_strangers_send_noise_the_log_stays_short() {
    let cluster = one();
    let node = &cluster.nodes()[0];
    node.start();
    let before = node.log().lines().count();
    // Every address of this network is this machine's.
    for n in 0..250u8 {
        let Ok(stranger) = UdpSocket::bind((Ipv4Addr::new(127, 9, 9, n), 0)) else { continue };
        for noise in
            [&b"hello"[..], b"koi\x01\0\0\0\x0d12345678xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
        {
            for _ in 0..20 {
                let _ = stranger.send_to(noise, (Ipv4Addr::LOCALHOST, node.port));
            }
        }
    }
    let dropped = || node.local().map_or(0, |local| local.dropped.values().sum::<u64>());
    cluster.wait_for("most of it has come", |_| dropped() > 2000);
    let said = node.log().lines().count() - before;
    assert!(said < 40, "{said} lines for {} datagrams:\n{}", dropped(), node.last_lines(40));
}

#[test]
fn half_a_request_is_not_waited_for_for_ever() {
    let cluster = one();
    let node = &cluster.nodes()[0];
    node.start();
    let mut silent = UnixStream::connect(&node.socket).unwrap();
    silent.write_all(b"POST /v1/dem").unwrap();
    // Half a request is waited for, but not for long: koid closes it by itself.
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    assert!(silent.read(&mut [0; 64]).is_ok(), "it is told, or closed");
}

#[test]
fn who_cannot_speak_to_the_cluster_is_told_of_in_every_status() {
    let cluster = Cluster::builder().nodes(3).service("10-vip", Service::recorded()).start();
    let master = cluster.wait_healthy();
    let lost = cluster.others(&master).next().unwrap();
    let here = cluster.others(&master).find(|n| n.name != lost.name).unwrap();
    let right = lost.settings.borrow().clone();

    // The key of another cluster.
    let key = cluster.folder().join("another.key");
    cluster.koi(&["keygen", &key.to_string_lossy()]).exits(0);
    lost.stop();
    lost.settings.borrow_mut().set_text("cluster.key_file", key.display());
    lost.write_config();
    lost.start();
    cluster.wait_shown(here, &["status"], 3, &["uses another key", "cluster's key file"]);
    let status =
        cluster.wait_status("it is not called healthy", |status| !status.cluster.warnings.is_empty());
    assert!(!status.cluster.healthy);
    lost.stop();

    // The id of another cluster: that may be right.
    *lost.settings.borrow_mut() = right.clone();
    lost.set("cluster.id", "77");
    lost.start();
    cluster.wait_shown(here, &["status"], 3, &["belongs to another cluster", "cluster.id"]);
    lost.stop();

    *lost.settings.borrow_mut() = right;
    lost.write_config();
    lost.start();
    cluster.wait_healthy();
    let again = cluster.wait_shown(here, &["status"], 0, &["all is well"]);
    assert!(!again.out.contains("another key"), "{}", again.out);
}
