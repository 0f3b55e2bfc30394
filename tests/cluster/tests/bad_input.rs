//! Wrong files, wrong keys, noise: one clear message each, that says what, where and what to do; and nothing that runs is
//! lost by it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use koi_cluster_tests::{Cluster, Service, free_ports};

/// How often koid says again what goes on and on.
const SAID_AGAIN: Duration = Duration::from_secs(60);

fn builder() -> koi_cluster_tests::Builder {
    Cluster::builder().nodes(3).service("10-vip", Service::recorded())
}

/// How often something may have been said `since` then, if `once` is right for a test that takes no time.
fn at_most(once: usize, since: Instant) -> usize {
    let again = since.elapsed().as_secs() / SAID_AGAIN.as_secs();
    once * (1 + usize::try_from(again).expect("tests end"))
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_at_the_start() {
    let cluster = Cluster::builder().nodes(1).build();
    let node = &cluster.nodes()[0];
    let good = node.settings.borrow().clone();
    let with = |key: &str, value: &str| {
        let mut settings = good.clone();
        settings.set(key, value);
        settings.to_toml()
    };
    let at = node.config.to_string_lossy().into_owned();
    let short_key = cluster.folder().join("short");
    fs::write(&short_key, "abc").unwrap();
    fs::set_permissions(&short_key, fs::Permissions::from_mode(0o600)).unwrap();
    let open_key = cluster.folder().join("open");
    fs::write(&open_key, "00".repeat(32)).unwrap();
    fs::set_permissions(&open_key, fs::Permissions::from_mode(0o644)).unwrap();
    let cases: [(String, &[&str]); 13] = [
        (with("node.prot", "42012"), &["koi.toml:", "node.prot", "did you mean node.port"]),
        (with("timing.leader_leese", "\"1s\""), &["koi.toml:", "did you mean timing.leader_lease"]),
        (with("noed.name", "\"a\""), &["unknown section", "did you mean [node]"]),
        (with("timing.master_lease", "\"3100ms\""), &["timing.master_lease", "leader_lease", "3300ms"]),
        (with("cluster.password", "\"x\""), &["cluster.key_file and cluster.password are both set"]),
        (with("cluster.key_file", "\"/nowhere/key\""), &["/nowhere/key", "koi keygen"]),
        (with("cluster.key_file", &format!("{short_key:?}")), &["64 hexadecimal digits", "koi keygen"]),
        (with("cluster.key_file", &format!("{open_key:?}")), &["0644", "chmod 0600"]),
        (with("cluster.electors", "[\"x\", \"y\", \"z\"]"), &["cluster.electors", "a"]),
        (with("cluster.transport", "[\"node-b\"]"), &["node-b", "no IP address"]),
        (with("node.port", "70000"), &["node.port", "65535"]),
        (with("node.bind", "\"192.0.2.77\""), &["192.0.2.77", "node.bind"]),
        ("[node\nname = \"a\"\n".to_owned(), &["koi.toml:1"]),
    ];
    for (text, words) in &cases {
        node.write_config_text(text);
        let ran = node.run_to_end();
        ran.refuses(1, words);
        assert!(ran.err.lines().count() <= 8, "one clear message, no flood:\n{}", ran.err);
    }
    // Not text at all; a folder; nothing there.
    fs::write(&node.config, [0xff, 0xfe, 0, 1, 2, 0x80]).unwrap();
    node.run_to_end().refuses(1, &[&at]);
    fs::remove_file(&node.config).unwrap();
    node.run_to_end().refuses(1, &[&at]);
    fs::create_dir(&node.config).unwrap();
    node.run_to_end().refuses(1, &[&at]);
    fs::remove_dir(&node.config).unwrap();
    node.write_config();
    node.start();
}

#[test]
fn a_port_in_use_is_named_with_the_key_to_change() {
    let cluster = Cluster::builder().nodes(1).build();
    let node = &cluster.nodes()[0];
    let port = node.port.to_string();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, node.port)).unwrap();
    node.run_to_end().refuses(1, &[&port, "in use", "node.port"]);
    drop(held);
    let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, node.port)).unwrap();
    node.run_to_end().refuses(1, &[&port, "in use", "node.port"]);
    drop(held);
    node.start();
}

#[test]
fn two_daemons_never_share_a_state_folder_or_a_socket() {
    let cluster = builder().start();
    let master = cluster.wait_healthy();
    let first = cluster.node(&master);
    let pid = first.pid().unwrap().to_string();
    let state = first.state_dir.to_string_lossy().into_owned();
    let other_port = free_ports(1)[0].to_string();
    let good = first.settings.borrow().clone();

    // The same configuration by mistake: a second start.
    first.run_to_end().refuses(1, &[&state, &pid]);
    first.set("node.port", &other_port);
    first.set("node.socket", &format!("{:?}", first.folder.join("other-sock")));
    first.run_to_end().refuses(1, &[&state, &pid, "node.state_dir"]);
    first.settings.replace(good);
    first.set("node.port", &other_port);
    first.set("node.state_dir", &format!("{:?}", first.folder.join("other-state")));
    first.run_to_end().refuses(1, &[&first.socket.to_string_lossy(), "node.socket"]);
    assert_eq!(cluster.wait_healthy(), master, "the first one goes on");
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_services_folder_that_is_not_there_is_waited_for() {
    let cluster = builder().build();
    let node = cluster.node("c");
    let aside = node.folder.join("aside");
    fs::rename(&node.services, &aside).unwrap();
    cluster.nodes().iter().for_each(|n| n.start());
    let folder = node.services.to_string_lossy();
    cluster.wait_log("c", &["error", &folder, "services.folder"]);
    let master = cluster.wait_some("a master", Cluster::master);
    cluster.wait_for("it counts as failed", |c| {
        c.status_of("c").is_some_and(|n| n.state == "Failed" && n.message.contains("services folder"))
    });
    assert_ne!(master, "c", "the others go on");

    fs::rename(&aside, &node.services).unwrap();
    assert_eq!(cluster.wait_healthy(), master);
}

#[test]
fn a_services_folder_that_vanishes_is_not_an_empty_one() {
    let cluster = builder().start();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let node = cluster.node(&master);
    let aside = node.folder.join("aside");
    fs::rename(&node.services, &aside).unwrap();
    cluster.wait_log(&master, &["error", "services.folder"]);
    // Some status intervals.
    cluster.wait_lived(&master, Duration::from_secs(2));
    fs::rename(&aside, &node.services).unwrap();
    assert_eq!(cluster.wait_healthy(), master);
    let since = cluster.hooks().since(before);
    assert!(since.0.is_empty(), "what runs goes on:\n{since}");
}

#[test]
fn a_node_with_another_key_is_told_on_both_sides() {
    let cluster = builder().start();
    let first = cluster.wait_healthy();
    if first == "c" {
        cluster.any().order(&["promote", "a"]).exits(0);
        cluster.wait_master("a");
    }
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let stranger = cluster.node("c");
    stranger.stop();
    let other = cluster.folder().join("other.key");
    cluster.koi(&["keygen", &other.to_string_lossy()]).exits(0);
    stranger.set("cluster.key_file", &format!("{other:?}"));
    let begun = Instant::now();
    stranger.start();
    cluster.wait_log("a", &["127.0.0.1", "another key", "cluster.key_file"]);
    cluster.wait_log("c", &["127.0.0.1", "another key", "cluster.key_file"]);
    // The others go on; if the stranger was their leader, with another one.
    cluster.assert_undisturbed(&master, before);
    let said = cluster.node("a").log().matches("uses another key").count();
    assert!(said <= at_most(2, begun), "said at a limited rate, not {said} times");
    cluster.wait_for("it is counted", |c| {
        let local = c.node("a").local();
        local.is_ok_and(|l| l.dropped.get("unknown-key").is_some_and(|n| *n > 0))
    });

    stranger.settings.borrow_mut().set_text("cluster.key_file", cluster.folder().join("key").display());
    stranger.write_config();
    stranger.order(&["reconfigure"]).exits(0);
    assert_eq!(cluster.wait_healthy(), master, "with the right key it joins");
    cluster.assert_undisturbed(&master, before);
}

/// Datagrams of noise to every node: from pure chance to as much of koi's own beginning as a curious stranger might keep.
fn make_noise(cluster: &Cluster, sender: &UdpSocket, random: &mut fs::File) {
    let mut bytes = [0; 1400];
    for n in 0..300 {
        random.read_exact(&mut bytes).expect("chance never ends");
        if n % 3 == 0 {
            bytes[..4].copy_from_slice(b"koi\x01");
        }
        for node in cluster.nodes() {
            let length = n * 7 % bytes.len();
            let sent = sender.send_to(&bytes[..length], (Ipv4Addr::LOCALHOST, node.port));
            sent.expect("a datagram can be sent");
        }
    }
}

#[test]
fn noise_is_dropped_and_counted() {
    let cluster = builder().start();
    let well = cluster.wait_well().cluster;
    let master = well.master.unwrap();
    let begun = Instant::now();
    let mut random = fs::File::open("/dev/urandom").unwrap();
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    cluster.wait_for("the noise is counted everywhere", |c| {
        // A kernel whose buffers are full drops some before koid can.
        make_noise(c, &sender, &mut random);
        let counted = |local: koi_proto::api::Local| local.dropped.values().sum::<u64>() > 1000;
        c.nodes().iter().all(|node| node.local().is_ok_and(counted))
    });
    for node in cluster.nodes() {
        for length in [0, 1, 100, 1400] {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).unwrap();
            // It may be closed in our face.
            let _ = stream.write_all(&[b'k'; 1400][..length]);
        }
        cluster.wait_log(&node.name, &[" was dropped: "]);
        let said = node.log().matches(" was dropped: ").count();
        assert!(said <= at_most(10, begun), "said at a limited rate, not {said} times");
    }
    let after = cluster.wait_well().cluster;
    assert_eq!(after.master, Some(master));
    assert_eq!((after.term, after.epoch), (well.term, well.epoch), "{}", cluster.report());
}

#[test]
fn a_damaged_state_is_set_aside_and_the_node_joins_again() {
    let cluster = builder().start();
    let (_, master) = cluster.part_leader_and_master();
    let node = cluster.others(&master).next().unwrap();
    node.stop();
    let state = node.state_dir.join("state");
    let mut bytes = fs::read(&state).unwrap();
    *bytes.last_mut().unwrap() ^= 0x40;
    fs::write(&state, &bytes).unwrap();

    let check = node.koid().arg("--check").output().unwrap();
    assert!(check.status.success(), "looking changes nothing: {check:?}");
    node.start();
    let aside = node.state_dir.join("state.damaged-1");
    cluster.wait_log(&node.name, &["error", "damaged", "checksum", &aside.to_string_lossy()]);
    assert_eq!(fs::read(&aside).unwrap(), bytes, "it is kept for people to look at");
    assert_eq!(cluster.wait_healthy(), master, "it joins again, and moves nobody");
    cluster.hooks().assert_only(&master);
}
