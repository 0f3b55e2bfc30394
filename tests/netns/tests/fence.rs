//! The fence of others (R12), by a command that takes a node off the network.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use koi_netns::World;

/// `off NODE` takes the node's port on the bridge down, and `status NODE` looks whether it is.
const FENCE: &str = "#!/bin/sh
bridge=$(cat \"$(dirname \"$0\")/bridge\") || exit 1
case $2 in a) port=node0 ;; b) port=node1 ;; c) port=node2 ;; *) exit 1 ;; esac
case $1 in
    off) ip -n \"$bridge\" link set \"$port\" down ;;
    status) ip -n \"$bridge\" -o link show \"$port\" | grep -q 'state DOWN' && exit 2; exit 0 ;;
    *) exit 1 ;;
esac
";

fn program(path: &Path, text: &str) {
    fs::write(path, text).expect("it is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn an_unclean_node_is_taken_off_the_network_and_another_one_is_promoted_without_an_operator() {
    let folder = tempfile::tempdir().expect("a folder");
    let fence = folder.path().join("fence");
    program(&fence, FENCE);
    let mut builder = World::builder(3)
        .set("fence.command", &format!("[{:?}]", fence.display().to_string()))
        .set("fence.timeout", "\"30s\"");
    for name in ["a", "b", "c"] {
        builder = builder.set(&format!("fence.nodes.{name}.port"), "1");
    }
    let Some(world) = builder.start() else { return };
    fs::write(folder.path().join("bridge"), world.bridge()).expect("it is written");
    world.settle();
    let (_, master) = world.part();
    // What is isolated counts as down by the word of whoever has written the command.
    world.allow_two();
    let service = world.cluster.node(&master).services.join("10-address");
    ["demote", "stop"].iter().for_each(|hook| program(&service.join(hook), "#!/bin/sh\nexit 1\n"));
    world.tell_service(&master, "status-code", "1 broken\n");
    world.wait_some("another node has the address", |world| {
        world.holders().into_iter().any(|holder| holder != master).then_some(())
    });
    let status =
        world.cluster.others(&master).find_map(|node| node.status().ok()).expect("the others answer");
    assert_ne!(status.cluster.master.as_deref(), Some(master.as_str()));
    world.wait_some("the fenced node is not heard", |world| {
        let others = world.cluster.others(&master).find_map(|node| node.status().ok())?;
        let fenced = others.nodes.iter().find(|n| n.name == master)?;
        (fenced.state == "Disconnected").then_some(())
    });
}
