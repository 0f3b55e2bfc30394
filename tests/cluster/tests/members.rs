//! Electors that come, go, are replaced and are copied: the recipes of docs/operations.md with real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use koi_cluster_tests::{Cluster, Service};

/// As many nodes, of which the first three found the cluster and are started.
fn three_of(nodes: usize) -> Cluster {
    let cluster = Cluster::builder()
        .nodes(nodes)
        .service("10-vip", Service::recorded())
        .set("cluster.electors", "3")
        .build();
    ["a", "b", "c"].iter().for_each(|name| cluster.node(name).start());
    cluster.wait_healthy();
    cluster
}

/// Says it until it is done: a newcomer must be heard and have the record first.
fn change(cluster: &Cluster, args: &[&str], then: &[&str]) {
    cluster.wait_for(&format!("koi {}", args.join(" ")), |c| c.any().koi(args).code == 0);
    cluster.wait_for(&format!("the electors are {then:?}"), |c| c.any().electors("member") == then);
}

#[test]
fn three_electors_become_five_and_three_again_under_one_master() {
    let cluster = three_of(5);
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    for name in ["d", "e"] {
        cluster.node(name).start();
    }
    cluster.wait_for("both are there, and do not vote", |c| c.any().electors("outside") == ["d", "e"]);
    change(&cluster, &["electors", "add", "d"], &["a", "b", "c", "d"]);
    change(&cluster, &["electors", "add", "e"], &["a", "b", "c", "d", "e"]);
    let warns = "the cluster has 5 electors (";
    let status = cluster
        .wait_status("the files are named", |s| s.cluster.warnings.iter().any(|w| w.starts_with(warns)));
    assert_eq!((status.cluster.electors, status.cluster.quorum), (5, 3));
    for node in cluster.nodes() {
        node.set("cluster.electors", "5");
        node.write_config();
        node.order(&["reconfigure"]).exits(0);
    }
    assert_eq!(cluster.wait_healthy(), master, "configurations and record agree");

    change(&cluster, &["electors", "remove", "e"], &["a", "b", "c", "d"]);
    change(&cluster, &["electors", "remove", "d"], &["a", "b", "c"]);
    for name in ["d", "e"].into_iter().filter(|name| *name != master) {
        cluster.node(name).stop();
    }
    for node in cluster.nodes().iter().filter(|node| node.is_running()) {
        node.set("cluster.electors", "3");
        node.order(&["reconfigure"]).exits(0);
    }
    let kept = cluster.node("a");
    cluster.wait_shown(kept, &["wait", "--for", "healthy"], 0, &[]);
    assert_eq!(cluster.master(), Some(master.clone()), "who was removed and has left is not missing");
    cluster.node(&master).koi(&["electors", "remove", "d"]).refuses(1, &["no elector is called d"]);
    cluster.hooks().assert_only(&master);
    assert!(cluster.hooks().count() >= before);
}

#[test]
fn a_machine_that_is_lost_is_replaced_under_its_name() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let lost = cluster.others(&master).next().unwrap();
    let name = lost.name.clone();
    lost.stop();
    lost.lose_state();
    lost.start();
    let keeper = cluster.node(&master);
    cluster.wait_for("the new machine is told of", |_| keeper.electors("outside") == [name.clone()]);
    assert!(!keeper.status().unwrap().cluster.healthy, "an elector is missing");
    cluster.wait_for("it takes the other's place", |_| {
        keeper.koi(&["electors", "replace", &name, &name]).code == 0
    });
    assert_eq!(cluster.wait_healthy(), master);
    cluster.hooks().assert_only(&master);
}

#[test]
fn an_elector_whose_state_is_damaged_is_healed_without_a_word() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let hurt = cluster.others(&master).next().unwrap();
    let id = hurt.local().unwrap().node.id;
    hurt.stop();
    fs::write(Path::new(&hurt.state_dir).join("state"), "koistate, once").unwrap();
    hurt.start();
    assert_eq!(cluster.wait_healthy(), master);
    assert_eq!(hurt.local().unwrap().node.id, id, "it is the same elector");
}

#[test]
fn a_copy_of_a_node_is_mute_until_it_has_an_identity_of_its_own() {
    let cluster = three_of(4);
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let (original, copy) = (cluster.node(&master), cluster.node("d"));
    copy.copy_state_of(original);
    copy.spawn();
    cluster.wait_log("d", &["takes part in nothing"]);
    cluster.wait_status("every status warns", |s| {
        s.cluster.warnings.iter().any(|w| w.contains("two machines have the id"))
    });
    copy.koi(&["reset-identity"]).refuses(1, &["koid runs here", "stop koid first"]);
    copy.stop();
    copy.koi(&["reset-identity"]).exits(0);
    copy.start();
    cluster.wait_for("it is a node of its own", |c| c.any().electors("outside") == ["d"]);
    cluster.assert_undisturbed(&master, before);
}

#[test]
fn a_machine_that_is_renamed_is_the_same_elector() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    let id = node.local().unwrap().node.id;
    node.stop();
    node.settings.borrow_mut().set_text("node.name", "new-name");
    node.write_config();
    node.start();
    cluster.wait_for("it is shown under its new name", |c| {
        c.node(&master).electors("member").contains(&"new-name".to_owned())
    });
    assert_eq!(cluster.wait_healthy(), master, "nothing else has moved");
    assert_eq!(node.local().unwrap().node.id, id);
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_state_folder_that_is_restored_from_a_backup_joins_again() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let node = cluster.others(&master).next().unwrap();
    let backup = cluster.folder().join("backup");
    node.stop();
    copy_folder(&node.state_dir, &backup);
    // What it does from now on the backup does not know.
    for _ in 0..2 {
        node.start();
        cluster.wait_healthy();
        node.stop();
    }
    node.lose_state();
    copy_folder(&backup, &node.state_dir);
    node.start();
    cluster.wait_log(&node.name, &["restored"]);
    assert_eq!(cluster.wait_healthy(), master);
    assert_eq!(cluster.any().electors("member"), ["a", "b", "c"], "nobody had to be replaced");
    cluster.hooks().assert_only(&master);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be copied");
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("a folder can be copied");
    for entry in fs::read_dir(from)
        .expect("a folder can be read")
        .filter_map(Result::ok)
        .filter(|e| e.path().is_file())
    {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a folder can be copied");
    }
}

/// Two machines of three are gone for good.
#[test]
fn what_is_left_of_a_cluster_begins_another_on_an_operators_word() {
    let cluster = three_of(3);
    cluster.wait_healthy();
    for node in cluster.nodes() {
        node.stop();
    }
    let left = cluster.node("a");
    left.start();
    cluster.wait_shown(left, &["status"], 3, &["electors"]);
    left.stop();
    assert!(cluster.hooks().assert_one_promoted().is_empty(), "nothing is promoted anywhere");
    for file in ["state", "identity"] {
        fs::rename(left.state_dir.join(file), cluster.folder().join(file)).unwrap();
    }

    // With a new machine, and without having set `electors`: each is told to begin, and with whom it would is shown first.
    let new = cluster.node("b");
    new.lose_state();
    left.start();
    new.start();
    for node in [left, new] {
        cluster.wait_shown(node, &["bootstrap", "--dry-run"], 0, &["begins with these electors: a, b"]);
    }
    left.koi(&["bootstrap", "--yes"]).exits(0);
    new.koi(&["bootstrap", "--yes"]).exits(0);
    cluster.wait_for("a cluster of two has a master", |c| c.master().is_some());
    assert_eq!(left.electors("member"), ["a", "b"]);

    // Alone, with `electors` set to what is left.
    left.stop();
    new.stop();
    for file in ["state", "identity"] {
        fs::remove_file(left.state_dir.join(file)).unwrap();
    }
    left.set("cluster.electors", "1");
    left.start();
    cluster.wait_shown(left, &["status"], 0, &["all is well", "a is master"]);
}

#[test]
fn a_cluster_moves_to_other_addresses_one_machine_at_a_time() {
    let cluster = three_of(3);
    let master = cluster.wait_healthy();
    let address = |n: usize, new: bool| format!("127.0.0.{}", if new { 21 + n } else { 1 });
    let ports: Vec<u16> = cluster.nodes().iter().map(|node| node.port).collect();
    let transport = |which: &[bool]| {
        let all = which.iter().flat_map(|new| {
            let new = *new;
            ports.iter().enumerate().map(move |(n, port)| format!("{}:{port}", address(n, new)))
        });
        format!("{:?}", all.collect::<Vec<_>>())
    };
    let everywhere = |value: &str| {
        for node in cluster.nodes() {
            node.set("cluster.transport", value);
            node.order(&["reconfigure"]).exits(0);
        }
        cluster.wait_healthy();
    };
    everywhere(&transport(&[false, true]));
    for (n, node) in cluster.nodes().iter().enumerate() {
        node.stop();
        node.settings.borrow_mut().set_text("node.bind", address(n, true));
        node.write_config();
        node.start();
        cluster.wait_healthy();
    }
    everywhere(&transport(&[true]));
    let status = cluster.wait_well();
    for (n, node) in status.nodes.iter().enumerate() {
        assert_eq!(node.address.as_deref(), Some(&*format!("{}:{}", address(n, true), ports[n])), "{node:?}");
    }
    let promoted = cluster.hooks().assert_one_promoted();
    assert_eq!(promoted.len(), 1, "{promoted:?}; the first master was {master}");
}
