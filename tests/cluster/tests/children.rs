//! Processes that koid and its guardian start: what they find, and what becomes of them and of their output.

use std::fs;

use koi_cluster_tests::{Cluster, Node, Service, is_root, skip};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Writes what a hook finds into a file beside it, named after the hook. The two signals that the C library keeps for itself, 32 and 33, are
/// left out: its posix_spawn(3) makes every child ignore them.
const LOOK_AROUND: &str = r#"{
    grep -E '^Sig(Blk|Ign):' /proc/self/status | sed 's/180000000$/000000000/'
    cat /proc/self/limits /proc/self/oom_score_adj
    echo "umask $(umask), nice $(nice), open $(ls /proc/$$/fd | tr '\n' ' ')"
    grep -E '^(policy|prio) ' /proc/self/sched || :
} > "found.$KOI_EVENT.new"
env | sort > "env.$KOI_EVENT.new"
for f in found env; do mv "$f.$KOI_EVENT.new" "$f.$KOI_EVENT"; done
"#;

/// What koid is started with: secrets, what is meant for koid alone, and what children are to have.
const SURROUNDINGS: [&str; 12] = [
    "HOME=/srv/home",
    "LANG=C.UTF-8",
    "LC_TIME=de_DE.UTF-8",
    "NOTIFY_SOCKET=/nowhere",
    "WATCHDOG_USEC=86400000000",
    "LISTEN_FDS=1",
    "LISTEN_PID=1",
    "JOURNAL_STREAM=1:1",
    "INVOCATION_ID=1",
    "KOI_SECRET=hidden",
    "DATABASE_PASSWORD=hidden",
    "CREDENTIALS_DIRECTORY=/nowhere",
];

fn read(node: &Node, file: &str) -> Option<String> {
    fs::read_to_string(node.services.join("10-db").join(file)).ok()
}

#[test]
fn hooks_of_koid_and_of_its_guardian_find_the_same() {
    // As a careless parent starts a daemon: signals ignored and blocked, an open file, other limits.
    let ready = "trap '' HUP TERM CHLD; umask 027; ulimit -c 0; exec 9</dev/null; exec nice -n 2 \"$@\"";
    let within = |_| {
        let env = ["env", "--block-signal=HUP,USR2"].into_iter().chain(SURROUNDINGS);
        env.chain(["sh", "-c", ready, "sh"]).map(str::to_owned).collect()
    };
    let hooks = ["start", "promote", "demote", "stop"];
    let service =
        hooks.into_iter().fold(Service::recorded(), |service, hook| service.hook(hook, LOOK_AROUND));
    let cluster = Cluster::builder().nodes(3).service("10-db", service).within(within).start();
    let (_, first) = cluster.part_leader_and_master();
    let node = cluster.node(&first);
    let found = |hook: &str| {
        cluster.wait_some(&format!("{hook} has looked around"), |_| read(node, &format!("found.{hook}")))
    };
    let (started, promoted) = (found("start"), found("promote"));
    node.kill();
    let (demoted, stopped) = (found("demote"), found("stop"));

    let empty = |line: &&str| line.starts_with("Sig") && line.ends_with("0000000000000000");
    assert_eq!(started.lines().filter(empty).count(), 2, "{started}");
    let open = started.lines().find_map(|line| line.split_once(", open ")).expect("it is written").1;
    assert!(!open.split(' ').any(|fd| fd == "9"), "what koid was left open is nobody else's: {open}");
    assert!(started.contains("umask 0027,"), "{started}");
    for (hook, other) in [("promote", promoted), ("demote", demoted), ("stop", stopped)] {
        assert_eq!(other, started, "{hook}");
    }

    let environment = |hook: &str| {
        let text = read(node, &format!("env.{hook}")).expect("it was written before the other");
        let other =
            |line: &&str| !["KOI_EVENT=", "KOI_STATE=", "KOI_IS_"].iter().any(|k| line.starts_with(k));
        text.lines().filter(other).map(str::to_owned).collect::<Vec<_>>()
    };
    let (promoting, demoting) = (environment("promote"), environment("demote"));
    let names = |lines: &[String]| {
        let names = lines.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned());
        names.filter(|name| !name.starts_with("KOI_MASTER")).collect::<Vec<_>>()
    };
    // When koid is dead nobody can be asked.
    let (mut with_koid, without) = (names(&promoting), names(&demoting));
    let to_ask = |name: &String| ["KOI_SOCKET", "KOI_TOKEN"].contains(&name.as_str());
    assert_eq!(with_koid.extract_if(.., |name| to_ask(name)).count(), 2, "{with_koid:?}");
    assert_eq!(with_koid, without);
    for lines in [promoting, demoting] {
        for expected in &SURROUNDINGS[..3] {
            assert!(lines.iter().any(|line| line == expected), "{expected}: {lines:?}");
        }
        for secret in SURROUNDINGS[3..].iter().filter_map(|pair| pair.split_once('=')) {
            assert!(
                !lines.iter().any(|line| line.starts_with(&format!("{}=", secret.0))),
                "{secret:?}: {lines:?}"
            );
        }
        assert!(lines.iter().any(|line| line.starts_with("PATH=")), "{lines:?}");
    }
}

/// A server in the background that writes more and more to the output of the hook that has started it, and counts its rounds.
const CHATTERS: &str = r#"(
    n=0
    while n=$((n+1)); echo "tick $n of $KOI_EVENT" && head -c 20000 /dev/zero | tr '\0' x && echo; do
        echo $n > "round.$KOI_EVENT.new"; mv "round.$KOI_EVENT.new" "round.$KOI_EVENT"; sleep 0.05
    done
    echo broken > "broken.$KOI_EVENT"
) &
"#;

fn round(node: &Node, hook: &str) -> Option<u64> {
    read(node, &format!("round.{hook}"))?.trim().parse().ok()
}

/// Enough rounds that more than a pipe holds was written in them.
#[track_caller]
fn chatters_on(cluster: &Cluster, node: &Node, hook: &str) {
    let now = cluster.wait_some("it has begun", |_| round(node, hook));
    cluster.wait_for(&format!("what {hook} has started goes on"), |_| round(node, hook) > Some(now + 30));
    assert_eq!(read(node, &format!("broken.{hook}")), None, "{hook}");
}

#[test]
fn what_a_hook_has_left_in_the_background_goes_on_talking_when_koid_is_gone() {
    let service = Service::recorded().hook("start", CHATTERS).hook("demote", CHATTERS);
    let cluster = Cluster::builder().nodes(1).service("10-db", service).start();
    cluster.wait_healthy();
    let node = cluster.any();
    cluster.wait_for("its lines are logged", |_| node.says(&["[db start] tick 10 of start"]));

    // An upgrade in maintenance mode.
    node.order(&["maintenance", "on"]).exits(0);
    node.stop();
    chatters_on(&cluster, node, "start");
    node.start();
    node.order(&["maintenance", "off"]).exits(0);
    cluster.wait_healthy();
    chatters_on(&cluster, node, "start");

    // The guardian runs demote, and ends.
    node.kill();
    chatters_on(&cluster, node, "start");
    cluster.wait_for("its guardian has demoted", |c| c.hooks().ended("a", "db:stop").is_some());
    chatters_on(&cluster, node, "demote");
}

/// The process in the new namespace of which `outside` is the parent.
fn child_of(outside: Pid) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{outside}/task/{outside}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
}

/// The processes below `parent`, with their states.
fn below(parent: Pid) -> Vec<(Pid, char)> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw);
    pids.map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (pid, stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?'))
    })
    .collect()
}

const CONTAINER: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// A node whose daemon is process 1 of a namespace; none: that is not allowed here.
fn contained(service: Service) -> Option<Cluster> {
    let tried = std::process::Command::new(CONTAINER[0]).args(&CONTAINER[1..]).arg("true").status();
    if !is_root() || !tried.is_ok_and(|status| status.success()) {
        skip("a namespace for processes cannot be made (root is needed): koid as process 1 was not tried");
        return None;
    }
    let within = |_| CONTAINER.iter().map(|word| (*word).to_owned()).collect();
    Some(Cluster::builder().nodes(1).service("10-db", service).within(within).start())
}

#[test]
fn as_process_1_koid_waits_for_orphans_and_loses_no_hook() {
    // Each status leaves an orphan that ends at once, and one that ends a little later.
    let orphans = "( (exit 7) & ) ; (sleep 0.2 & )\necho >> rounds\n";
    let Some(cluster) =
        contained(Service::recorded().script("status", &format!("#!/bin/sh\n{orphans}exit 0\n")))
    else {
        return;
    };
    cluster.wait_healthy();
    let node = cluster.any();
    let outside = node.pid().expect("it runs");
    let one = child_of(outside).expect("there is a process 1");
    cluster.wait_for("orphans have come", |_| read(node, "rounds").is_some_and(|rounds| rounds.len() > 5));
    cluster.wait_for("none is left", |_| below(one).iter().all(|(_, state)| *state != 'Z'));
    assert!(!node.says(&["exit was lost"]), "{}", node.log());
    assert_eq!(cluster.wait_healthy(), "a", "every exit code was heard");

    // A container's runtime sends it SIGTERM, and is told how koid ended.
    kill(one, Signal::SIGTERM).expect("it lives");
    let status = node.wait_end();
    assert!(status.success(), "{status}\n{}", node.log());
    let hooks = cluster.hooks();
    hooks.assert_order("a", &["db:demote", "db:stop"]);
}

#[test]
fn as_process_1_koid_outlives_what_its_guardian_takes_down() {
    let Some(cluster) = contained(Service::recorded().hook("demote", "sleep 1").hook("stop", "sleep 1"))
    else {
        return;
    };
    cluster.wait_healthy();
    let node = cluster.any();
    let one = child_of(node.pid().expect("it runs")).expect("there is a process 1");
    let koid = below(one).first().expect("it has a child").0;
    kill(koid, Signal::SIGKILL).expect("it lives");
    let status = node.wait_end();
    assert_eq!(status.code(), Some(128 + 9), "as a shell says it\n{}", node.log());
    cluster.hooks().assert_order("a", &["db:demote", "db:stop"]);
}
