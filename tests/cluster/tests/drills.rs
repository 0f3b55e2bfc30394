//! `koi drill`: what it does, what it refuses, and that the role is where it was in the end.

use std::fs;
use std::path::PathBuf;

use koi_cluster_tests::{Begun, Builder, Cluster, Service};
use koi_proto::api::{Event, EventLevel, Status};
use koi_testkit::Terminal;
use nix::sys::signal::Signal;
use serde_json::Value;

fn builder(vip: Service) -> Builder {
    Cluster::builder().nodes(3).service("10-vip", vip).set("services.auto_recover", "0")
}

fn three() -> Cluster {
    builder(Service::recorded()).start()
}

/// Three whose daemons know that they are started again.
fn three_restarted() -> Cluster {
    let named = |_| ["env", "KOI_RESTARTED_BY=this test"].map(str::to_owned).to_vec();
    builder(Service::recorded()).within(named).start()
}

/// What a node has written down of drills.
fn drills(cluster: &Cluster, node: &str) -> Vec<Event> {
    let ran = cluster.node(node).koi(&["-o", "json", "events", "--no-follow"]);
    let events = ran.exits(0).lines().map(|line| serde_json::from_str::<Event>(line).expect("an event"));
    events.filter(|event| event.kind == "drill").collect()
}

/// The phases of a drill, each of them measured.
fn phases(said: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(said).expect("JSON");
    let phases = said["phases"].as_array().expect("phases").iter();
    let name = |phase: &Value| {
        assert!(phase["took_ms"].is_u64(), "not measured: {said}");
        phase["phase"].as_str().expect("a name").to_owned()
    };
    phases.map(name).collect()
}

/// Starts daemons again that have ended, as systemd would, until `koi` has ended.
fn revive_until_end(cluster: &Cluster, mut koi: Begun) -> koi_cluster_tests::Ran {
    cluster.wait_for("the drill is over", |cluster| {
        cluster.nodes().iter().filter(|node| !node.is_running()).for_each(|node| node.start());
        !koi.is_running()
    });
    koi.end()
}

#[test]
fn a_switch_over_goes_to_another_node_and_back() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let (asked, to) = (&cluster.nodes()[0], cluster.others(&master).last().expect("there are three"));
    let said = asked.koi(&["drill", "switch-over", "--to", &to.name, "--yes"]);
    let said = said.exits(0);
    for words in [
        format!("{master} demotes"),
        format!("{} promotes its services", to.name),
        "(demote_grace)".into(),
        format!("{master} is master again"),
    ] {
        assert!(said.contains(&words), "{words:?} in {said}");
    }
    assert_eq!(cluster.wait_healthy(), master);
    let since = cluster.hooks().since(before);
    assert_eq!(since.of(&master), ["vip:demote", "vip:promote"]);
    assert_eq!(since.of(&to.name), ["vip:promote", "vip:demote"]);
    cluster.hooks().assert_only(&master);

    let written = drills(&cluster, &asked.name);
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(
        written[0].message.starts_with(&format!("drill switch-over of {master} begins: ")),
        "{written:?}"
    );
    let over = format!("drill switch-over of {master} is over, no bound was exceeded: ");
    assert!(
        written[1].message.starts_with(&over) && written[1].message.contains("(demote_grace 2.0s)"),
        "{written:?}"
    );

    let said = asked.koi(&["-o", "json", "drill", "switch-over", "--yes"]);
    assert_eq!(phases(said.exits(0)), ["detection", "demotion", "grant", "promotion", "takeover"]);
}

#[test]
fn a_service_fails_by_one_status_and_its_node_is_recovered() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let said = cluster.any().koi(&["-o", "json", "drill", "service-failure", "--service", "vip", "--yes"]);
    assert_eq!(phases(said.exits(0)), ["detection", "demotion", "grant", "promotion", "takeover"]);
    assert_eq!(cluster.wait_healthy(), master);
    assert_eq!(
        cluster.hooks().since(before).of(&master),
        ["vip:failed", "vip:stop", "vip:start", "vip:promote"]
    );
    let failures = cluster.any().koi(&["failures"]);
    assert!(failures.exits(0).contains("a drill"), "{}", failures.out);
    cluster.hooks().assert_only(&master);
}

#[test]
fn what_a_service_is_allowed_happens_in_its_drill_too() {
    let policy = "[policy]\nstatus_failures = 2\nstatus_retry = \"100ms\"\nrestarts = 1\n";
    let cluster = builder(Service::recorded().file("service.toml", policy, 0o644)).start();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let said = cluster.any().koi(&["drill", "service-failure", "--yes"]);
    let words = ["the next 2 statuses of vip", "restarted in place, by its [policy]", "(restart_timeout)"];
    assert!(words.iter().all(|word| said.exits(0).contains(word)), "{}", said.out);
    cluster.wait_master(&master);
    let since = cluster.hooks().since(before);
    assert_eq!(since.of(&master), ["vip:failed", "vip:stop", "vip:start", "vip:promote"]);
    cluster.others(&master).for_each(|node| assert!(since.of(&node.name).is_empty(), "{since}"));
}

#[test]
fn a_crash_is_followed_from_the_master_itself_and_from_elsewhere() {
    let cluster = three_restarted();
    let master = cluster.wait_healthy();
    for asked in [cluster.node(&master), cluster.others(&master).next().expect("there are three")] {
        let pid = cluster.node(&master).pid();
        let said =
            revive_until_end(&cluster, asked.begin_koi(&["-o", "json", "drill", "daemon-crash", "--yes"]));
        assert_eq!(phases(said.exits(0)), ["detection", "demotion-and-grant", "promotion", "takeover"]);
        assert_ne!(cluster.node(&master).pid(), pid, "it was killed");
        assert_eq!(cluster.wait_healthy(), master);
        let last = drills(&cluster, &asked.name).pop().expect("it was written down");
        assert!(last.message.starts_with(&format!("drill daemon-crash of {master} is over")), "{last:?}");
    }
    cluster.hooks().assert_only(&master);
}

#[test]
fn a_bound_that_is_exceeded_is_said_and_the_exit_code_says_so_too() {
    let slow = Service::recorded().hook("demote", "sleep 1");
    let cluster = builder(slow).set("timing.demote_grace", "\"300ms\"").start();
    let master = cluster.wait_healthy();
    let said = cluster.any().koi(&["drill", "switch-over", "--yes"]);
    assert!(said.exits(1).contains("EXCEEDED"), "{}", said.out);
    cluster.wait_master(&master);
    let last = drills(&cluster, &cluster.any().name).pop().expect("it was written down");
    assert!(last.level == EventLevel::Warning && last.message.contains("a bound was exceeded"), "{last:?}");
}

#[test]
fn nothing_is_begun_unless_all_is_well_and_somebody_has_agreed() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let refused = |code, args: &[&str], words: &[&str]| {
        cluster.any().koi(&[&["drill"], args].concat()).refuses(code, words);
    };
    for kind in ["switch-over", "service-failure"] {
        let shown = cluster.any().koi(&["drill", kind, "--dry-run"]);
        assert!(shown.exits(0).contains("  1. "), "{}", shown.out);
        refused(2, &[kind], &["nobody is there to be asked", "--yes"]);
    }
    refused(1, &["switch-over", "--to", &master, "--yes"], &["is master already"]);
    refused(1, &["switch-over", "--to", "x", "--yes"], &["no node x is known"]);
    refused(1, &["service-failure", "--service", "x", "--yes"], &["has no service x"]);
    refused(1, &["daemon-crash", "--yes"], &["nothing is known that would start koid", "KOI_RESTARTED_BY"]);
    let api = cluster.node(&master).post("/v1/drill", &serde_json::json!({ "action": "crash" }));
    assert!(api.expect_err("the daemon itself refuses").to_string().contains("nothing is known"));

    cluster.any().order(&["maintenance", "on"]).exits(0);
    cluster.wait_status("maintenance", |s| s.cluster.maintenance);
    refused(1, &["switch-over", "--yes"], &["maintenance mode", "koi maintenance off"]);
    let api = serde_json::json!({ "action": "fail-status", "service": "vip" });
    let api = cluster.node(&master).post("/v1/drill", &api);
    assert!(api.expect_err("the daemon itself refuses").to_string().contains("maintenance mode"));
    cluster.any().order(&["maintenance", "off"]).exits(0);
    cluster.wait_healthy();

    let gone = cluster.others(&master).last().expect("there are three");
    gone.kill();
    cluster.wait_status("it is missing", |s| {
        s.nodes.iter().any(|n| n.name == gone.name && n.state == "Disconnected")
    });
    refused(1, &["switch-over", "--yes"], &[&format!("{} is missing", gone.name), "start koid there"]);
    gone.start();
    cluster.wait_healthy();
    cluster.assert_undisturbed(&master, before);
    assert!(drills(&cluster, &master).is_empty(), "nothing was begun");

    cluster.any().order(&["demote"]).exits(0);
    cluster.wait_status("manual mode", |s| s.cluster.manual && s.cluster.master.is_none());
    refused(1, &["switch-over", "--yes"], &["manual mode", "koi elect"]);
}

#[test]
fn somebody_at_a_terminal_is_asked_and_may_say_no() {
    let cluster = three();
    let master = cluster.wait_healthy();
    let before = cluster.hooks().count();
    let node = cluster.any();
    for (answer, code) in [("n", 1), ("", 1), ("y", 0)] {
        let (terminal, shown) = (Terminal::open(), cluster.folder().join("shown"));
        terminal.record(fs::File::create(&shown).expect("a file can be made"));
        let mut koi = terminal.command(&koi_cluster_tests::programs().join("koi"));
        let mut koi =
            koi.arg("-f").arg(&node.config).args(["drill", "switch-over"]).spawn().expect("koi can be run");
        let shown = || fs::read_to_string(&shown).unwrap_or_default();
        let asks = || shown().contains("Go on? [y/N]");
        cluster.wait_for("it asks", |_| asks());
        assert!(shown().contains(&format!("{master}, the master, demotes its services")), "{}", shown());
        format!("{answer}\n").chars().for_each(|key| terminal.press(key));
        cluster.wait_for("it ends", |_| !matches!(koi.try_wait(), Ok(None)));
        assert_eq!(koi.wait().expect("it has ended").code(), Some(code), "{answer:?}: {}", shown());
        if code == 1 {
            cluster.wait_for("it says so", |_| shown().contains("nothing was begun"));
            cluster.assert_undisturbed(&master, before);
        }
    }
    cluster.hooks().assert_only(&master);
    assert!(cluster.hooks().count() > before, "and yes is yes");
}

#[test]
fn two_electors_have_none_to_spare_for_a_crash() {
    let named = |_| ["env", "KOI_RESTARTED_BY=this test"].map(str::to_owned).to_vec();
    let cluster = builder(Service::recorded()).nodes(2).within(named).start();
    cluster.wait_healthy();
    let words = ["no quorum of the electors would be left: 2 are there and 2 are needed", "third elector"];
    cluster.any().koi(&["drill", "daemon-crash", "--yes"]).refuses(1, &words);
    cluster.any().koi(&["drill", "switch-over", "--yes"]).exits(0);
}

#[test]
fn who_is_interrupted_brings_the_role_back() {
    let slow = Service::recorded().hook("promote", "while [ -e slow ]; do sleep 0.1; done");
    let cluster = builder(slow).start();
    let master = cluster.wait_healthy();
    let to = cluster.others(&master).next().expect("there are three");
    fs::write(to.services.join("10-vip/slow"), "").expect("a file can be written");
    let asked = cluster.node(&master);
    let drill = asked.begin_koi(&["drill", "switch-over", "--to", &to.name, "--yes"]);
    let promoting = |s: &Status| s.cluster.master.as_ref() == Some(&to.name);
    cluster.wait_status("it is being promoted", promoting);
    drill.signal(Signal::SIGINT);
    cluster.wait_status("the role goes back", |s| s.cluster.target.as_ref() == Some(&master));
    fs::remove_file(to.services.join("10-vip/slow")).expect("a file can be removed");
    drill.end().refuses(
        1,
        &["interrupted: the role goes back", &format!("was interrupted; {master} is master again")],
    );
    assert_eq!(cluster.wait_healthy(), master);
    cluster.hooks().assert_only(&master);
    let last = drills(&cluster, &master).pop().expect("it was written down");
    assert!(last.message.contains("was interrupted"), "{last:?}");
}

#[test]
fn who_is_interrupted_twice_says_what_brings_the_role_back() {
    let slow = Service::recorded().hook("promote", "while [ -e slow ]; do sleep 0.1; done");
    let cluster = builder(slow).start();
    let master = cluster.wait_healthy();
    let to = cluster.others(&master).next().expect("there are three");
    fs::write(to.services.join("10-vip/slow"), "").expect("a file can be written");
    let drill = cluster.any().begin_koi(&["drill", "switch-over", "--to", &to.name, "--yes"]);
    cluster.wait_status("it is being promoted", |s| s.cluster.master.as_ref() == Some(&to.name));
    drill.signal(Signal::SIGINT);
    cluster.wait_status("the role goes back", |s| s.cluster.target.as_ref() == Some(&master));
    drill.signal(Signal::SIGINT);
    let back = format!("`koi promote {master}` brings the role back");
    drill.end().refuses(1, &["the drill was interrupted", &format!("{} is master", to.name), &back]);
    fs::remove_file(to.services.join("10-vip/slow")).expect("a file can be removed");
    cluster.wait_healthy();
}

/// `koi demo`, until it is dropped.
struct Demo {
    koi: std::process::Child,
    folder: PathBuf,
}

impl Demo {
    fn start(place: &std::path::Path) -> Demo {
        let said = place.join("said");
        let output = fs::File::create(&said).expect("a file can be made");
        let mut command = std::process::Command::new(koi_cluster_tests::programs().join("koi"));
        command.arg("demo").env("TMPDIR", place).stdin(std::process::Stdio::null());
        let koi = command.stdout(output).spawn().expect("koi can be run");
        let mut demo = Demo { koi, folder: PathBuf::new() };
        koi_testkit::wait_for("the demo says where it is", || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            let named = said.lines().find_map(|line| line.trim().strip_prefix("cd ")?.split(' ').next());
            demo.folder = named.map(PathBuf::from).unwrap_or_default();
            demo.folder.join("a.sock").exists()
        });
        demo
    }

    /// `koi ARGS` there, which ends well, or says that a busy machine was too slow; what it prints.
    fn koi(&self, args: &[&str]) -> String {
        let mut command = std::process::Command::new(koi_cluster_tests::programs().join("koi"));
        command.arg("--socket").arg(self.folder.join("a.sock")).args(args).env("COLUMNS", "100");
        let output = command.stdin(std::process::Stdio::null()).output().expect("koi can be run");
        let slow = args[0] == "drill" && output.status.code() == Some(1) && output.stderr.is_empty();
        assert!(output.status.success() || slow, "koi {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.koi.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, Signal::SIGTERM);
        let _ = self.koi.wait();
    }
}

/// What is printed, without what was measured: times in the first column, how they compare with their bounds, how far columns are apart.
fn without_figures(said: &str) -> String {
    let mut text = String::new();
    for line in said.lines() {
        let indent = line.len() - line.trim_start().len();
        let cells = line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let line =
            cells.enumerate().map(|(at, cell)| known(at, cell).to_owned()).collect::<Vec<_>>().join("  ");
        text.push_str(&format!("{}{line}\n", " ".repeat(indent)));
    }
    let words = text.split(' ').collect::<Vec<_>>();
    let hide = |(at, word): (usize, &&str)| match at.checked_sub(1).map(|before| words[before]) {
        Some("±") => "‹some›".to_owned(),
        Some("again,") => "‹time›".to_owned(),
        _ => (*word).to_owned(),
    };
    words.iter().enumerate().map(hide).collect::<Vec<_>>().join(" ")
}

fn known(at: usize, cell: &str) -> &str {
    let number = cell.trim_end_matches("ms").trim_end_matches('s');
    if at == 0 && number != cell && number.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return "‹time›";
    }
    match cell {
        "ok" | "over half" | "EXCEEDED" => "‹finding›",
        other => other,
    }
}

#[test]
fn what_drills_on_the_demo_print() {
    let place = tempfile::Builder::new().prefix("koi-").tempdir_in("/tmp").expect("a folder can be made");
    let demo = Demo::start(place.path());
    demo.koi(&["wait", "--for", "healthy"]);
    // Nobody but c can take over from b.
    demo.koi(&["promote", "b", "--wait"]);
    demo.koi(&["stop", "a"]);
    demo.koi(&["wait", "--for", "healthy"]);
    for kind in ["switch-over", "service-failure", "daemon-crash"] {
        let said = demo.koi(&["drill", kind, "--yes"]);
        insta::assert_snapshot!(kind, without_figures(&said));
    }
}
