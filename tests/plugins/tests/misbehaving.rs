//! Handlers that spin, hog, trap, chatter, crash and hang, in the very process that leads the cluster: its leases and heartbeats
//! go on undisturbed, and status says why the service fails.

use std::time::Duration;

use koi_cluster_tests::{Cluster, Service, native};
use koi_plugin_tests::guests::Guest;
use koi_plugin_tests::peace::Peace;

/// How often the culprit may misbehave before its neighbours are asked how they are.
const FAILURES: usize = 3;

/// The leader's lease of these clusters: whoever is not heard from for so long is taken for lost.
const LEASE: Duration = Duration::from_secs(3);

/// What `service.toml` of a culprit says: its hooks have little time.
const HURRIED: &str = "[timeouts]\nstart = \"1s\"\nstatus = \"1s\"\nstatus_interval = \"200ms\"\n";

/// Runs `bad` on the leader of a healthy cluster whose master is another node; `words` are why it fails.
fn misbehaves(bad: &Service, words: &[&str]) -> (Cluster, String) {
    let db = Service::recorded();
    let recovers =
        |builder: koi_cluster_tests::Builder| builder.set("services.auto_recover_time", "\"500ms\"");
    let cluster = recovers(Cluster::builder().nodes(3).service("10-db", db)).start();
    let (leader, master) = cluster.part_leader_and_master();
    let peace = Peace::of(&cluster);

    cluster.node(&leader).add("20-bad", bad);
    let mut most_silent = Duration::ZERO;
    cluster.wait_for("it has failed some times", |c| {
        let seen = c.status().unwrap_or_default();
        let silence = seen.nodes.iter().map(|node| Duration::from_millis(node.seen_ms)).max();
        most_silent = most_silent.max(silence.unwrap_or_default());
        let failed = |e: &koi_proto::api::Event| e.kind == "hook-ended" && e.level == "error";
        peace.since(c.node(&leader)).iter().filter(|event| failed(event)).count() >= FAILURES
    });
    peace.assert_kept(&cluster);
    assert!(most_silent < LEASE, "a node was not heard from for {most_silent:?}\n{}", cluster.report());
    cluster.wait_shown(cluster.node(&master), &["status"], 3, words);
    cluster.wait_shown(cluster.node(&master), &["failures"], 0, words);

    cluster.node(&leader).remove("20-bad");
    cluster.any().order(&["recover", &leader]).exits(0);
    cluster.wait_well();
    peace.assert_kept(&cluster);
    (cluster, leader)
}

fn guest(guest: Guest) -> Service {
    Service::empty().bytes("handler.wasm", &guest.build(), 0o644).file("service.toml", HURRIED, 0o644)
}

/// A native plugin whose `status` begins with these statements of C.
fn library(status: &str) -> Option<Service> {
    let library = native::compile(&[("NAME", "\"bad\""), ("STATUS", status)])?;
    let manifest = format!("handler = \"./bad.so\"\n{HURRIED}");
    Some(Service::empty().bytes("bad.so", &library, 0o755).file("service.toml", &manifest, 0o644))
}

#[test]
fn a_component_that_spins_is_ended() {
    let spins = Guest::new("spins").hook("status", "(loop $on (br $on)) unreachable");
    misbehaves(&guest(spins), &["bad", "status", "not done within 1s"]);
}

#[test]
fn a_component_that_eats_memory_gets_no_more() {
    let eats = "(loop $on (drop (memory.grow (i32.const 16))) (br $on)) unreachable";
    let eats = Guest::new("eats")
        .hook("start", eats)
        .hook("status", "(call $status (i32.const 0) %{} (i32.const 0) (i32.const 0))");
    misbehaves(
        &guest(eats),
        &["bad", "start", "wanted more than 64 MiB of memory", "[limits] of service.toml"],
    );
}

#[test]
fn a_component_that_traps_has_failed() {
    let traps = Guest::new("traps").hook("status", "unreachable");
    misbehaves(&guest(traps), &["bad", "status", "trapped", "unreachable"]);
}

/// It writes for ever; what is said of it is the time-out, and the log stays readable.
fn chatters(body: &str) {
    let body = format!("(loop $on {body} (br $on)) unreachable");
    let chatters = Guest::new("chatters").with_stdout().hook("status", &body);
    let (cluster, leader) = misbehaves(&guest(chatters), &["bad", "status", "not done within 1s"]);
    let log = cluster.node(&leader).log();
    let said = log.lines().filter(|line| line.contains("the very same again")).count();
    assert!(said > 0, "something of it is in the log\n{}", cluster.report());
    // It would be a million.
    assert!(said < 20_000 && log.len() < 10_000_000, "{said} lines of it, {} bytes in all", log.len());
}

#[test]
fn a_component_that_prints_for_ever_floods_nobody() {
    chatters("(call $print %{the very same again\n})");
}

#[test]
fn a_component_that_logs_for_ever_floods_nobody() {
    chatters("(call $log (i32.const 2) %{the very same again})");
}

#[test]
fn a_native_plugin_that_crashes_takes_only_its_own_process_along() {
    let Some(crashes) = library("raise(SIGSEGV)") else { return };
    misbehaves(&crashes, &["bad", "status", "SIGSEGV"]);
}

#[test]
fn a_native_plugin_that_hangs_and_ignores_every_signal_is_killed() {
    let hangs = "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); for (;;) pause()";
    let Some(hangs) = library(hangs) else { return };
    misbehaves(&hangs, &["bad", "status", "not done within 1s", "hung"]);
}

#[test]
fn more_of_them_than_there_are_cores_disturb_nobody() {
    let bodies = ["(loop $on (br $on))", "(loop $on (call $log (i32.const 2) %{on and on}) (br $on))"];
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-db", Service::recorded())
        .set("services.auto_recover", "0")
        .start();
    let (leader, master) = cluster.part_leader_and_master();
    let peace = Peace::of(&cluster);
    for (number, body) in bodies.iter().cycle().take(12).enumerate() {
        let bad = Guest::new("bad").hook("status", &format!("{body} unreachable")).build();
        let patient = "[timeouts]\nstatus = \"8s\"\n";
        let service =
            Service::empty().bytes("handler.wasm", &bad, 0o644).file("service.toml", patient, 0o644);
        cluster.node(&leader).add(&format!("bad-{number}"), &service);
    }
    cluster.wait_shown(cluster.node(&master), &["status"], 3, &["not done within 8s"]);
    peace.assert_heard(&cluster, LEASE);
    peace.assert_kept(&cluster);
}
