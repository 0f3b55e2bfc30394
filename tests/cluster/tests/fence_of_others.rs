//! The fence of others (R12): by an agent of Debian's that only keeps a note, and by commands.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koi_cluster_tests::{Builder, Cluster, Service, skip};

const AGENT: &str = "/usr/sbin/fence_dummy";
const NODES: [&str; 3] = ["a", "b", "c"];

/// Three nodes with a service that cannot be stopped where a file says so.
fn builder() -> Builder {
    let service = Service::recorded().hook("stop", "[ ! -f stuck ]");
    Cluster::builder().nodes(3).service("10-vip", service).set("services.auto_recover", "0")
}

/// The master's service can neither be demoted nor stopped. Its name.
fn unclean(cluster: &Cluster) -> String {
    let (_, master) = cluster.part_leader_and_master();
    let node = cluster.node(&master);
    fs::write(node.services.join("10-vip/stuck"), "").expect("a file can be written");
    node.set_status("10-vip", 1, "the address does not answer");
    master
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// A command that does as it is told while `works` is there, and complains otherwise.
fn command(folder: &Path) -> PathBuf {
    let path = folder.join("fence");
    let folder = folder.display();
    let script = format!(
        "#!/bin/sh\n[ -f {folder}/works ] || {{ echo 'the power strip does not answer' >&2; exit 1; }}\necho \"$1 $2\" >> \
         {folder}/said\n[ \"$1\" = off ] || exit 2\n"
    );
    fs::write(&path, script).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn with_command(folder: &Path) -> Builder {
    let command = format!("[{}]", quoted(&command(folder)));
    let builder = builder().set("fence.command", &command).set("fence.timeout", "\"30s\"");
    NODES.iter().fold(builder, |builder, name| builder.set(&format!("fence.nodes.{name}.plug"), "1"))
}

#[test]
fn an_agent_resolves_an_unclean_node_without_an_operator() {
    if !Path::new(AGENT).exists() {
        return skip("tests with fence_dummy: it is missing: apt-get install fence-agents");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut builder = builder().set("fence.agent", "\"fence_dummy\"");
    for name in NODES {
        let file = folder.path().join(name);
        fs::write(&file, "on").expect("it is written");
        builder = builder
            .set(&format!("fence.nodes.{name}.type"), "\"file\"")
            .set(&format!("fence.nodes.{name}.status_file"), &quoted(&file));
    }
    let cluster = builder.start();
    cluster.any().order(&["check"]).exits(0);
    let master = unclean(&cluster);
    cluster.wait_other_master(&master);
    assert_eq!(fs::read_to_string(folder.path().join(&master)).unwrap_or_default().trim(), "off");
    let leader = cluster.wait_some("somebody leads", Cluster::leader);
    cluster.wait_log(&leader, &["the fence has turned", &master]);
}

#[test]
fn a_fence_that_fails_is_said_and_promotes_nobody_until_it_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = with_command(folder.path()).start();
    let master = unclean(&cluster);
    cluster.wait_shown(cluster.any(), &["status"], 3, &["the fence of", "the power strip does not answer"]);
    let promoted = |e: &&koi_cluster_tests::Entry| e.hook == "promote" && e.node != master;
    let before = cluster.hooks().0.iter().filter(promoted).count();
    cluster.wait_for("it is tried again", |c| {
        let leader = c.leader().unwrap_or_default();
        let tries = |log: String| log.matches("has failed").count();
        c.nodes().iter().find(|n| n.name == leader).is_some_and(|n| tries(n.log()) > 2)
    });
    assert_eq!(cluster.hooks().0.iter().filter(promoted).count(), before, "nobody is promoted for that");
    fs::write(folder.path().join("works"), "").expect("it is written");
    cluster.wait_other_master(&master);
    let said = fs::read_to_string(folder.path().join("said")).expect("the command was run");
    assert_eq!(said, format!("off {master}\nstatus {master}\n"));
}

#[test]
fn an_operator_fences_what_is_silent_and_nothing_that_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("works"), "").expect("it is written");
    let cluster = with_command(folder.path()).start();
    let (leader, master) = cluster.part_leader_and_master();
    cluster.wait_well();
    cluster.any().order(&["fence", &master]).refuses(5, &[&master, "is heard"]);
    assert!(!folder.path().join("said").exists(), "the command was not run");
    let standby =
        cluster.nodes().iter().find(|n| n.name != leader && n.name != master).expect("there are three");
    standby.kill();
    cluster.wait_for("it would be done", |c| {
        let ran = c.node(&leader).koi(&["fence", &standby.name, "--dry-run"]);
        ran.code == 0 && ran.out.contains("turns")
    });
    assert!(!folder.path().join("said").exists(), "the command was not run");
    cluster.node(&leader).order(&["fence", &standby.name]).exits(0);
    cluster.wait_log(&leader, &["the fence has turned", &standby.name]);
}

/// The file is refused, and what runs stays as it was.
#[test]
fn an_agent_that_is_not_there_is_named_with_its_line_and_changes_nothing() {
    let cluster = builder().start();
    let master = cluster.wait_healthy();
    let node = cluster.node(&master);
    node.set("fence.agent", "\"fence_nosuch\"");
    node.set("fence.nodes.b.ip", "\"192.0.2.1\"");
    node.write_config();
    let words = ["koi.toml:", "no program /usr/sbin/fence_nosuch", "apt install fence-agents"];
    node.order(&["reconfigure"]).refuses(1, &words);
    let before = cluster.hooks().count();
    cluster.assert_undisturbed(&master, before);
}
