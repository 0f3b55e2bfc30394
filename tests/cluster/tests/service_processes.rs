//! Services that name their processes: what happens when one ends, and what becomes of wrong names. `status` is asked so rarely by the clock
//! that whatever is seen here is seen because of an end.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use koi_cluster_tests::{Builder, Cluster, Service};
use koi_proto::api::ServiceStatus;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn builder(nodes: usize) -> Builder {
    let builder = Cluster::builder().nodes(nodes).set("timing.status_interval", "\"1h\"");
    builder.set("services.auto_recover_time", "\"1s\"")
}

/// Starts a process in the background, and writes its id into `server.pid`.
const LAUNCH: &str = "sleep 3600 > /dev/null 2>&1 &\necho $! > server.pid.new\nmv server.pid.new server.pid";
/// It is there, and no zombie: the first process of a container may reap late or never.
const RUNS: &str = "{ pid=$(cat server.pid) && read -r _ _ state _ < \"/proc/$pid/stat\" && [ \"$state\" != Z ]; } 2> /dev/null";

/// A service that runs in one process, and says so in `status` in these words of shell.
fn server(naming: &str) -> Service {
    Service::recorded()
        .hook("start", &format!("{RUNS} || {{ {LAUNCH}\n}}"))
        .hook("stop", &format!("! {RUNS} || kill \"$(cat server.pid)\"; rm -f server.pid"))
        .script(
            "status",
            &format!("#!/bin/sh\n{naming}\n{RUNS} || {{ echo 'the server is dead'; exit 1; }}\n"),
        )
}

fn service(cluster: &Cluster, node: &str, name: &str) -> Option<ServiceStatus> {
    cluster.node(node).local().ok()?.node.services?.into_iter().find(|s| s.name == name)
}

/// The only process of a service that is watched, once there is one.
fn watched(cluster: &Cluster, node: &str, name: &str) -> Pid {
    cluster.wait_some("its process is watched", |c| match service(c, node, name)?.processes[..] {
        [id] => Some(Pid::from_raw(id.cast_signed())),
        _ => None,
    })
}

#[test]
fn a_service_whose_process_is_killed_gives_the_mastership_away_at_once() {
    let both =
        [("10-web", server("echo pidfile=server.pid")), ("20-db", server("echo pid=$(cat server.pid)"))];
    let cluster = both.into_iter().fold(builder(3), |b, (name, service)| b.service(name, service)).start();
    let mut master = cluster.wait_healthy();
    for name in ["web", "db"] {
        let process = watched(&cluster, &master, name);
        let shown = cluster.node(&master).koi(&["status", &master]);
        assert!(shown.out.contains(&format!("process {process}")), "{}", shown.out);
        kill(process, Signal::SIGKILL).expect("it runs");
        let next = cluster.wait_other_master(&master);
        cluster.hooks().assert_one_promoted();
        cluster.wait_log(&master, &[&format!("a process of {name} has ended: its status is asked")]);
        assert_eq!(cluster.wait_healthy(), next);
        master = next;
    }
}

#[test]
fn what_starts_its_process_again_in_status_goes_on_and_the_new_one_is_watched() {
    let mends = format!("#!/bin/sh\n{RUNS} || {{ {LAUNCH}\n}}\necho pidfile=server.pid\n");
    let cluster = builder(1).service("10-web", server("").script("status", &mends)).start();
    cluster.wait_healthy();
    let hooks = cluster.hooks().count();
    let mut process = watched(&cluster, "a", "web");
    for _ in 0..3 {
        kill(process, Signal::SIGKILL).expect("it runs");
        let old = process;
        process = cluster.wait_some("another process is watched", |c| {
            let now = service(c, "a", "web")?.processes;
            now.first().map(|id| Pid::from_raw(id.cast_signed())).filter(|now| *now != old)
        });
    }
    cluster.assert_undisturbed("a", hooks);
}

#[test]
fn a_process_that_promote_replaces_is_no_failure_and_its_successor_is_watched() {
    let replace = format!("! {RUNS} || kill \"$(cat server.pid)\"\n{LAUNCH}");
    let replaced = server("echo pidfile=server.pid").hook("promote", &replace).hook("demote", &replace);
    let cluster = builder(2).set("cluster.quorum", "\"off\"").service("10-web", replaced).start();
    let first = cluster.wait_healthy();
    let other = cluster.others(&first).next().expect("two nodes").name.clone();
    for (from, to) in [(&first, &other), (&other, &first)] {
        let before = [from, to].map(|node| watched(&cluster, node, "web"));
        cluster.node(from).order(&["promote", to]);
        cluster.wait_master(to);
        for (node, before) in [from, to].into_iter().zip(before) {
            cluster.wait_for("its new process is watched", |c| {
                let now = service(c, node, "web").map(|s| s.processes).unwrap_or_default();
                now.len() == 1 && now[0] != before.as_raw().cast_unsigned()
            });
        }
    }
    let failed = cluster.hooks().0.iter().any(|entry| entry.hook == "failed");
    assert!(!failed, "{}", cluster.hooks());
    let after = watched(&cluster, &first, "web");
    kill(after, Signal::SIGKILL).expect("it runs");
    cluster.wait_master(&other);
}

#[test]
fn a_process_that_stop_ends_makes_no_alarm() {
    let cluster = builder(1).service("10-web", server("echo pidfile=server.pid")).start();
    cluster.wait_healthy();
    watched(&cluster, "a", "web");
    let hooks = cluster.hooks().count();
    cluster.node("a").order(&["stop", "a"]);
    cluster.wait_for("it is stopped", |c| service(c, "a", "web").is_some_and(|s| s.state == "Stopped"));
    cluster.node("a").order(&["start", "a"]);
    cluster.wait_healthy();
    watched(&cluster, "a", "web");
    let began = cluster.hooks().since(hooks).of("a");
    assert!(!began.iter().any(|hook| hook.contains("failed")), "{began:?}");
}

#[test]
fn a_wrong_name_is_said_once_and_nothing_that_runs_is_touched() {
    let says = |naming: &str| {
        Service::recorded().script("status", &format!("#!/bin/sh\necho '{naming}'\necho all is well\n"))
    };
    let wrong = [
        ("missing", "pidfile=none.pid", "none.pid: there is no such file; name the file that"),
        ("fifo", "pidfile=fifo", "fifo: it is no regular file"),
        ("huge", "pidfile=huge", "huge: it has 1099511627776 bytes, and a pidfile at most 4096"),
        (
            "link",
            "pidfile=link",
            "link: it is a symbolic link, which koid does not follow; name the file itself",
        ),
        ("text", "pidfile=text", "text:1: it is no process id; it should be a whole number from 2 on"),
        ("absolute", "pidfile=/dev/zero", "/dev/zero: it is no regular file"),
        ("stale", "pidfile=stale", "(sleep) was started after the file was written, so it is another's"),
        ("word", "pid=web", "pid=web: it is no process id; it should be a whole number from 2 on"),
        ("nothing", "pid=", "pid=: it is no process id"),
        ("init", "pid=1", "pid=1: it is no process id"),
    ];
    let cluster = wrong.iter().fold(builder(1), |b, (name, naming, _)| b.service(name, says(naming)));
    let itself = Service::recorded().script("status", "#!/bin/sh\necho pid=$$\n");
    let cluster = cluster.service("itself", itself).build();
    let node = cluster.node("a");
    let folder = |name: &str| node.services.join(name);
    let mut foreign = std::process::Command::new("sleep").arg("3600").spawn().expect("it can be started");
    nix::unistd::mkfifo(&folder("fifo").join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let huge = fs::File::create(folder("huge").join("huge")).expect("a file");
    huge.set_len(1 << 40).expect("a sparse file");
    symlink("/proc/self/stat", folder("link").join("link")).expect("a link");
    fs::write(folder("text").join("text"), "no number\n").expect("a file");
    // The number was another's when that was written.
    fs::write(folder("stale").join("stale"), foreign.id().to_string()).expect("a file");
    let stale = fs::File::options().write(true).open(folder("stale").join("stale")).expect("a file");
    stale.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("it is ours");
    node.start();
    cluster.wait_healthy();
    let all = wrong.iter().map(|(name, _, said)| (*name, *said));
    for (name, said) in all.chain([("itself", "that is the hook itself, which ends with it")]) {
        let problem = cluster.wait_some("its problem is shown", |c| service(c, "a", name)?.unwatched);
        assert!(problem.contains(said), "{name}: {problem}");
        assert!(service(&cluster, "a", name).is_some_and(|s| s.processes.is_empty()));
        let shown = cluster.node("a").koi(&["status", "a"]).out;
        assert!(shown.contains("the end of its process is not seen at once: "), "{shown}");
    }
    assert_eq!(cluster.wait_healthy(), "a", "status decides, and it says that all is well");
    let hooks = cluster.hooks().count();
    // Each is asked again.
    cluster.node("a").order(&["maintenance", "on"]);
    cluster.node("a").order(&["maintenance", "off"]);
    cluster.wait_healthy();
    cluster.assert_undisturbed("a", hooks);
    let log = cluster.node("a").log();
    assert_eq!(log.matches("huge: it has 1099511627776 bytes").count(), 1, "{log}");
    assert!(foreign.try_wait().expect("it is ours").is_none(), "nothing that runs is touched");
    foreign.kill().expect("it is ours");
    foreign.wait().expect("it was killed");
}

#[test]
fn a_status_that_only_asks_for_the_number_finds_out_when_the_number_is_free() {
    // Whoever is the first process here may reap what is orphaned late.
    let asks = "#!/bin/sh\necho pidfile=server.pid\nkill -0 \"$(cat server.pid)\" 2> /dev/null\n";
    let reaped = {
        let mut parent = std::process::Command::new("sh");
        let parent = parent.args(["-c", "sleep 0 > /dev/null & echo $!"]).output().expect("a shell");
        let orphan = String::from_utf8_lossy(&parent.stdout).trim().to_owned();
        koi_testkit::met_within(Duration::from_secs(5), || {
            !fs::exists(format!("/proc/{orphan}")).unwrap_or(true)
        })
    };
    if !reaped {
        return koi_testkit::skip("the first process of this machine or container reaps nobody");
    }
    let cluster =
        builder(2).set("cluster.quorum", "\"off\"").service("10-web", server("").script("status", asks));
    let cluster = cluster.start();
    let master = cluster.wait_healthy();
    kill(watched(&cluster, &master, "web"), Signal::SIGKILL).expect("it runs");
    cluster.wait_other_master(&master);
}
