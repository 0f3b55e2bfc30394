//! What handlers cost: the numbers that koi shows are those of what has happened, version by version.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use koi_cluster_tests::{Cluster, Node, Service, native};
use koi_plugin_tests::guests::Guest;
use koi_plugin_tests::plugins::{Folder, inspected, listed};
use koi_proto::api::{HandlerStatistics, Hook, HookStatistics};

/// Bytes of a page of a guest's memory, and pages that each test guest has to begin with.
const PAGE: u64 = 65_536;
const FIRST_PAGES: u64 = 2;

const WELL: &str = "(call $status (i32.const 0) %{} (i32.const 0) (i32.const 0))";

/// A component that wants 100 pages more in `promote`, whose `failed` traps, and whose very first `status` says that it has failed.
fn whimsical() -> Guest {
    let first_time =
        "(call $set %{told} %{yes} (i32.const 2048)) (call $error (i32.const 0) %{not this time})";
    let status = format!(
        "(call $get %{{told}} (i32.const 2048))
         (if (result i32) (i32.load8_u (i32.const 2052)) (then {WELL}) (else {first_time}))"
    );
    steady()
        .hook("promote", "(drop (memory.grow (i32.const 100))) (call $done)")
        .hook("failed", "unreachable")
        .hook("status", &status)
}

fn steady() -> Guest {
    ["start", "stop", "demote"]
        .into_iter()
        .fold(Guest::new("db"), |guest, hook| guest.hook(hook, "(call $done)"))
}

fn shown(cluster: &Cluster, service: &str) -> Option<HandlerStatistics> {
    let services = cluster.status_of("a")?.services?;
    services.into_iter().find(|shown| shown.name == service)?.statistics
}

/// What a collector of metrics reads through the node's socket.
fn scraped(node: &Node) -> String {
    let mut socket = UnixStream::connect(&node.socket).expect("koid listens");
    let asked = "GET /metrics HTTP/1.1\r\nHost: koi\r\nConnection: close\r\n\r\n";
    socket.write_all(asked.as_bytes()).expect("koid reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("koid answers with a text");
    answer
}

fn of(statistics: &HandlerStatistics, hook: Hook) -> HookStatistics {
    statistics.hooks.get(&hook).copied().unwrap_or_default()
}

/// Calls and failures may have become more since; nothing else of a handler that is not called any more may change.
fn has_grown(from: HookStatistics, to: HookStatistics) -> bool {
    from.calls <= to.calls && from.failures <= to.failures && from.time_total_us <= to.time_total_us
}

#[test]
fn a_component_that_fails_now_and_then_is_counted_and_its_next_version_begins_anew() {
    let plugins = Folder::default();
    plugins.put("db.wasm", &whimsical().release("1.0").build());
    let named = Service::empty().file("service.toml", "handler = \"db\"\n", 0o644);
    let cluster = Cluster::builder()
        .nodes(1)
        .service("10-db", named)
        .service("20-web", Service::recorded())
        .set("plugins.dirs", &plugins.setting())
        .set("services.auto_recover_time", "\"500ms\"")
        .start();
    let node = cluster.any();
    cluster.wait_for("it has failed once, and is promoted", |c| {
        shown(c, "db").is_some_and(|db| of(&db, Hook::Failed).calls > 0 && of(&db, Hook::Promote).calls > 0)
    });
    cluster.wait_healthy();

    let old = shown(&cluster, "db").expect("it has a handler");
    let failed = HookStatistics { failures: 1, crashed: 1, ..of(&old, Hook::Failed) };
    assert_eq!(of(&old, Hook::Failed), failed, "{old:?}");
    let status = of(&old, Hook::Status);
    assert!(
        status.failures == 1 && status.crashed == 0 && status.timed_out == 0 && status.calls > 1,
        "{old:?}"
    );
    assert_eq!(of(&old, Hook::Promote).failures, 0);
    assert!(status.time_longest_us <= status.time_total_us && status.time_last_us > 0, "{old:?}");
    assert_eq!(old.memory_peak_bytes, Some((FIRST_PAGES + 100) * PAGE));
    assert_eq!((old.memory_limit_bytes, old.version.as_str()), (Some(64 << 20), "1.0"));

    let web = shown(&cluster, "web").expect("it has scripts");
    assert_eq!((web.hash.as_deref(), web.memory_peak_bytes), (None, None), "of scripts nobody knows it");
    assert!(of(&web, Hook::Start).calls > 0 && of(&web, Hook::Promote).calls > 0, "{web:?}");

    let plugin = listed(node, "db").expect("it is listed");
    let all = plugin.statistics.expect("it was called");
    assert_eq!((all.failures, all.memory_peak_bytes), (2, old.memory_peak_bytes));
    assert_eq!(plugin.hash, old.hash);
    cluster.wait_shown(node, &["plugins", "list"], 0, &["CALLS", "FAILED", "6.3 MiB"]);
    cluster.wait_shown(
        node,
        &["plugins", "inspect", "db"],
        0,
        &["HOOK", "at most 6.3 MiB of memory, of 64 MiB"],
    );

    let metrics = scraped(node);
    assert!(
        metrics.starts_with("HTTP/1.1 200 ") && metrics.contains("text/plain; version=0.0.4"),
        "{metrics}"
    );
    for line in [
        r#"koi_hook_failures_total{service="db",version="1.0",hook="status"} 1"#,
        r#"koi_hook_crashed_total{service="db",version="1.0",hook="failed"} 1"#,
        r#"koi_handler_memory_limit_bytes{service="db",version="1.0"} 67108864"#,
    ] {
        assert!(metrics.lines().any(|said| said == line), "{line}\n{metrics}");
    }

    plugins.put(
        "db.wasm",
        &steady().release("2.0").hook("promote", "(call $done)").hook("status", WELL).build(),
    );
    node.order(&["reconfigure"]).exits(0);
    let new = cluster.wait_some("the new version was called", |c| {
        shown(c, "db").filter(|db| db.version == "2.0" && of(db, Hook::Status).calls > 0)
    });
    assert_ne!(new.hash, old.hash);
    assert_eq!(new.hooks.keys().collect::<Vec<_>>(), [&Hook::Status], "it goes on promoted");
    assert_eq!(of(&new, Hook::Status).failures, 0);
    assert_eq!(new.memory_peak_bytes, Some(FIRST_PAGES * PAGE));

    let used = inspected(node, "db").used_by.remove(0);
    let before = used.statistics_before.expect("it had another version before");
    assert_eq!((before.hash.as_ref(), before.since), (old.hash.as_ref(), old.since));
    assert!(has_grown(status, of(&before, Hook::Status)), "{before:?}");
    assert_eq!(of(&before, Hook::Failed), failed);
    assert!(has_grown(of(&new, Hook::Status), of(&used.statistics.expect("it is counted"), Hook::Status)));
    cluster.wait_shown(node, &["plugins", "inspect", "db"], 0, &["before: 1.0 (SHA-256 ", "2 failed"]);
}

#[test]
fn the_memory_of_a_native_library_is_that_of_its_process() {
    const TAKEN: u64 = 48 << 20;
    // A compiler leaves out what nobody keeps.
    let take = format!(
        "static void *volatile kept __attribute__((used)); kept = memset(malloc({TAKEN}), 1, {TAKEN})"
    );
    let Some(plugin) = native::compile(&[("NAME", "\"db\""), ("PROMOTE", &take)]) else { return };
    let service = Service::empty().bytes("db.so", &plugin, 0o755).file(
        "service.toml",
        "handler = \"./db.so\"\n",
        0o644,
    );
    let cluster = Cluster::builder().nodes(1).service("10-db", service).start();
    cluster.wait_healthy();
    let db =
        cluster.wait_some("it is promoted", |c| shown(c, "db").filter(|db| of(db, Hook::Promote).calls > 0));
    let peak = db.memory_peak_bytes.expect("its process is there");
    assert!((TAKEN..2 * TAKEN).contains(&peak), "{peak}");
    assert_eq!(db.memory_limit_bytes, None, "nothing limits it");
}
