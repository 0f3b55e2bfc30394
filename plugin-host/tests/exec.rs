//! Programs of the node that a component may run: which, with what, for how long.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;
#[allow(dead_code, reason = "only one of the probes is needed here")]
mod probing;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guests::node::Ask;
use koi_plugin_api::{
    Abort, Call, CallLog, Called, Handler, Hook, HookError, LogLevel, Metadata, Outcome, abort_pair,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probing::Probe;
use tempfile::TempDir;

fn well(out: &str) -> String {
    format!("code Some(0) out {out:?} err \"\" truncated false")
}

#[tokio::test]
async fn a_listed_program_runs_with_fitting_arguments_and_no_other_does() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/bin/echo add * dev eth0\", \"/bin/cat\"]";
    assert_eq!(
        probe.finds(exec, "exec:/bin/echo add 10.0.0.9 dev eth0").await,
        well("add 10.0.0.9 dev eth0\n")
    );
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/../bin/echo add x_y dev eth0").await,
        well("add x y dev eth0\n")
    );
    let echo = "has \"/bin/echo add * dev eth0\" for this program";
    for (command, granted, entry) in [
        ("/bin/echo add 10.0.0.9 dev eth1", echo, "\"/bin/echo add 10.0.0.9 dev eth1\""),
        ("/bin/echo add 10.0.0.9 dev eth0 more", echo, "\"/bin/echo add 10.0.0.9 dev eth0 more\""),
        ("/bin/echo", echo, "\"/bin/echo\""),
        ("/bin/cat /etc/passwd", "has \"/bin/cat\" for this program", "\"/bin/cat /etc/passwd\""),
        ("/bin/sh -c echo_hello", "has no entry for this program", "[\"/bin/sh\", \"-c\", \"echo hello\"]"),
    ] {
        let (error, log) = probe.fails(exec, &format!("exec:{command}")).await;
        assert_eq!(error, "denied", "{command}");
        let line = format!("service.toml: exec = [\"/bin/echo add * dev eth0\", \"/bin/cat\", {entry}]");
        assert!(log.starts_with("Warn denied: run ") && log.ends_with(&line), "{log}\nshould end in\n{line}");
        assert!(
            log.contains(&format!(
                "; exec {granted}; the handler does not name it in `wants` of its `describe`; to grant it"
            )),
            "{log}"
        );
    }
    let (error, log) = probe.fails(exec, "exec:echo add 10.0.0.9 dev eth0").await;
    assert_eq!(error, "denied", "nothing is looked for along PATH");
    assert!(log.ends_with("; a program is named by its absolute path"), "{log}");
}

#[tokio::test]
async fn what_is_asked_for_in_vain_is_shown_with_what_is_granted() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/bin/echo a\", \"/bin/echo add x *\", \"/bin/echo *\", \"/bin/echo add y\", \"/bin/echo b\"]";
    let (_, log) = probe.fails(exec, "exec:/bin/echo add x").await;
    let nearest = "exec has \"/bin/echo add x *\", \"/bin/echo *\", \"/bin/echo add y\", \"/bin/echo a\" and 1 more for this program;";
    assert!(log.contains(nearest), "{log}");

    let (_, log) = probe.fails("exec = [\"/bin/echo *\"]", "exec:/bin/echo -n").await;
    assert!(
        log.contains("exec has \"/bin/echo *\" for this program, where `*` stands for no option;"),
        "{log}"
    );

    let (long, many) = ("x".repeat(101), " y".repeat(40));
    let (_, log) = probe.fails("exec = [\"/bin/echo\"]", &format!("exec:/bin/echo {long} a\tb{many}")).await;
    let shown = format!("\"{}\"… \"a\\tb\" \"y\"", "x".repeat(100));
    assert!(log.starts_with(&format!("Warn denied: run \"/bin/echo\" {shown}")), "{log}");
    assert!(log.contains(" \"y\" and 23 more; exec has") && log.chars().count() <= 2005, "{log}");
}

#[tokio::test]
async fn a_program_sees_a_path_and_what_the_guest_may_set() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/usr/bin/env\"]\nexec-env = [\"LANG\"]\ndangerous = true";
    let path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n";
    assert_eq!(probe.finds(exec, "exec:/usr/bin/env").await, well(path));
    let found = probe.finds(exec, "exec:LANG=C /usr/bin/env").await;
    assert!(found.contains("LANG=C") && found.contains("PATH=/usr/sbin"), "{found}");
    for name in ["LD_PRELOAD", "PATH", "HOME"] {
        let (error, log) = probe.fails(exec, &format!("exec:{name}=/tmp /usr/bin/env")).await;
        assert_eq!(error, "denied");
        assert!(log.ends_with(&format!("exec-env = [\"LANG\", \"{name}\"]")), "{log}");
    }
    let unsafe_name =
        probe.open("exec = [\"/usr/bin/env\"]\nexec-env = [\"LD_PRELOAD\"]", "exec:x").err().unwrap();
    assert!(unsafe_name.contains("a guest must not set it"), "{unsafe_name}");
}

#[tokio::test]
async fn a_program_has_nothing_of_koids_open() {
    let Some(probe) = Probe::net() else { return };
    let ours = tempfile::NamedTempFile::new().unwrap();
    let exec = "exec = [\"/bin/ls -l /proc/self/fd\"]";
    let found = probe.tries(exec, "exec:/bin/ls -l /proc/self/fd").await.result.unwrap();
    let open_here =
        fs::read_dir("/proc/self/fd").unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    assert!(open_here.into_iter().any(|file| file == ours.path()), "it is open here");
    assert!(!found.contains(&ours.path().display().to_string()), "{found}");
    let found = probe.finds("exec = [\"/bin/pwd\"]", "exec:/bin/pwd").await;
    assert_eq!(found, well("/\n"));
}

#[tokio::test]
async fn input_and_output_are_whole_up_to_their_limits() {
    let Some(probe) = Probe::net() else { return };
    let exec = "exec = [\"/usr/bin/wc -c\", \"/usr/bin/head -c * /dev/zero\", \"/bin/true\", \"/bin/false\", \"/bin/ls *\"]";
    assert_eq!(probe.finds(exec, "exec:<1000000 /usr/bin/wc -c").await, well("1000000\n"));
    assert_eq!(probe.finds(exec, "exec:/usr/bin/wc -c").await, well("0\n"));
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/head -c 65536 /dev/zero").await,
        "code Some(0) out 65536 bytes err \"\" truncated false"
    );
    assert_eq!(
        probe.finds(exec, "exec:/usr/bin/head -c 3000000 /dev/zero").await,
        "code Some(0) out 65536 bytes err \"\" truncated true",
        "the rest was read, so that the program could end"
    );
    assert_eq!(probe.finds(exec, "exec:<500000 /bin/true").await, well(""), "input that nobody wants");
    assert!(probe.finds(exec, "exec:/bin/false").await.starts_with("code Some(1) "));
    let failed = probe.finds(exec, "exec:/bin/ls /no/such/file").await;
    assert!(failed.starts_with("code Some(2) ") && failed.contains("/no/such/file"), "{failed}");
    let (error, _) = probe.fails(exec, "exec:<8388609 /usr/bin/wc -c").await;
    assert_eq!(error, "more than 8 MiB of standard input");
}

/// A script that writes its own id and that of a child into a file, and then waits for the child.
struct Sleeper {
    dir: TempDir,
}

impl Sleeper {
    fn new(rest: &str) -> Sleeper {
        let sleeper = Sleeper { dir: tempfile::tempdir().unwrap() };
        let ids = sleeper.ids();
        let text =
            format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {0}.new\nmv {0}.new {0}\n{rest}\n", ids.display());
        fs::write(sleeper.program(), text).unwrap();
        fs::set_permissions(sleeper.program(), fs::Permissions::from_mode(0o755)).unwrap();
        sleeper
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("sleeper")
    }

    fn ids(&self) -> PathBuf {
        self.dir.path().join("ids")
    }

    fn grant(&self) -> String {
        format!("exec = [\"{}\"]", self.program().display())
    }

    /// The ids of what is [`FAR_AWAY`].
    fn far_away(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.program().with_extension("far")).unwrap();
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Waits until it runs, and gives the ids.
    async fn started(&self) -> Vec<i32> {
        wait_until("the program runs", || self.ids().exists()).await;
        let text = fs::read_to_string(self.ids()).unwrap();
        text.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }
}

async fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Whether it is there and more than a zombie.
fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn all_are_gone(ids: &[i32]) {
    wait_until("all processes are gone", || !ids.iter().any(|id| runs(*id))).await;
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_all_that_it_started() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("trap '' TERM\nwait");
    // Long enough for it to start on a loaded machine.
    let op = format!("exec:~5000 {}", sleeper.program().display());
    let exec = sleeper.grant();
    let (tried, ids) = tokio::join!(probe.tries(&exec, &op), sleeper.started());
    assert_eq!(tried.result, Err("timed out".into()));
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs once the guest is told");
}

#[tokio::test]
async fn a_program_ends_with_its_call_however_that_ends() {
    let Some(probe) = Probe::net() else { return };
    // Aborted gently: SIGTERM comes first, and this one obeys.
    let sleeper = Sleeper::new("trap 'exit 7' TERM\nwait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        aborter.abort(Abort::Gently);
        ids
    });
    assert!(ended.is_err(), "{ended:?}");
    all_are_gone(&ids).await;

    // Aborted at once, and one that does not obey.
    let sleeper = Sleeper::new("trap '' TERM\nwait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        aborter.abort(Abort::Now);
        ids
    });
    assert_eq!(ended, Err(HookError::Aborted));
    all_are_gone(&ids).await;

    // Nobody waits for the call any more.
    let sleeper = Sleeper::new("wait");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let call = Ask::new(&handler).hook(Hook::Start);
    let ids = tokio::select! {
        ended = call => panic!("{ended:?}"),
        ids = sleeper.started() => ids,
    };
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn what_a_program_left_in_the_background_is_asked_to_end_too_before_it_is_killed() {
    let Some(probe) = Probe::net() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (ready, trace) = (folder.path().join("ready"), folder.path().join("trace"));
    // The program obeys at once. What it has started cleans up for a moment.
    let cleans_up = format!(
        "(trap 'sleep 0.2; echo > {}; exit' TERM; sleep 1000 & echo > {}; wait; wait) &",
        trace.display(),
        ready.display()
    );
    let sleeper = Sleeper::new(&format!("{cleans_up}\ntrap 'exit 7' TERM\nwait"));
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let (aborter, abort) = abort_pair();
    let call = Ask::new(&handler).with_abort(abort).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, async {
        let ids = sleeper.started().await;
        wait_until("what is in the background is ready", || ready.exists()).await;
        aborter.abort(Abort::Gently);
        ids
    });
    assert!(ended.is_err(), "{ended:?}");
    wait_until("it has cleaned up", || trace.exists()).await;
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn the_call_s_own_time_ends_a_program_too() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("wait");
    let op = format!("exec:~86400000 {}", sleeper.program().display());
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    let call = Ask::new(&handler).with_timeout(Duration::from_secs(5)).hook(Hook::Start);
    let (ended, ids) = tokio::join!(call, sleeper.started());
    assert!(matches!(ended, Err(HookError::TimedOut(_) | HookError::Failed(_))), "{ended:?}");
    all_are_gone(&ids).await;
}

#[tokio::test]
async fn a_program_that_others_may_change_is_run_to_take_a_service_down_and_for_nothing_else() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let op = format!("exec:{}", sleeper.program().display());
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    let ask = Ask::new(&handler).with_config(&[("op", &op), ("promote", &op), ("demote", &op)]);
    ask.hook(Hook::Start).await.unwrap();
    let mode = |mode| fs::set_permissions(sleeper.program(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o757);
    for hook in [Hook::Start, Hook::Promote] {
        let Err(HookError::Failed(why)) = ask.hook(hook).await else { panic!("{hook:?} has run it") };
        let mended_by = format!("`chmod go-w {}`", sleeper.program().display());
        assert!(why.contains("not run") && why.ends_with(&mended_by), "{why}");
    }
    ask.hook(Hook::Demote).await.unwrap();
    let said = ask.log.lines();
    let loud = said.iter().filter(|line| line.starts_with("Error ") && line.contains("is run all the same"));
    assert_eq!(loud.count(), 1, "{said:?}");
    mode(0o755);
    ask.hook(Hook::Promote).await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_another_one_by_now_is_run_and_that_is_said_once_for_each_change() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let link = sleeper.dir.path().join("link");
    symlink("sleeper", &link).unwrap();
    let handler =
        probe.open(&format!("exec = [\"{}\"]", link.display()), &format!("exec:{}", link.display())).unwrap();
    let changes = async || {
        let ask = Ask::new(&handler);
        ask.hook(Hook::Start).await.unwrap();
        let lines = ask.log.lines().into_iter();
        lines
            .filter(|line| line.starts_with("Warn ") && line.contains("it is run all the same"))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes().await, [""; 0]);
    let text = fs::read_to_string(sleeper.program()).unwrap();
    fs::write(sleeper.program(), text + "true\n").unwrap();
    assert!(changes().await.concat().contains("was replaced or changed"));
    assert_eq!(changes().await, [""; 0]);
    fs::rename(sleeper.program(), sleeper.dir.path().join("other")).unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other", &link).unwrap();
    let said = changes().await.concat();
    assert!(said.contains("/other now, and led to ") && said.contains("/sleeper before"), "{said}");
    assert_eq!(changes().await, [""; 0]);
}

/// The process groups that calls of a handler have told of.
struct Told {
    handler: Arc<dyn Handler>,
    groups: Arc<Groups>,
}

#[derive(Default)]
struct Groups(Mutex<Vec<Event>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Group(i32),
    Broker(i32),
    Gone,
}

impl CallLog for Groups {
    fn line(&self, _: LogLevel, _: &str) {}

    fn group_began(&self, id: i32) {
        self.0.lock().unwrap().push(Event::Group(id));
    }

    fn broker_began(&self, id: i32) {
        self.0.lock().unwrap().push(Event::Broker(id));
    }

    fn group_gone(&self, _: i32) {
        self.0.lock().unwrap().push(Event::Gone);
    }
}

impl Handler for Told {
    fn metadata(&self) -> Metadata {
        self.handler.metadata()
    }

    fn call(&self, call: Call) -> Called {
        self.handler.call(Call { log: self.groups.clone(), ..call })
    }
}

#[tokio::test]
async fn a_program_leads_a_group_of_its_own_that_koid_is_told_of() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let groups = Arc::new(Groups::default());
    let told: Arc<dyn Handler> = Arc::new(Told { handler, groups: groups.clone() });
    Ask::new(&told).hook(Hook::Start).await.unwrap();
    let ids = sleeper.started().await;
    let told = groups.0.lock().unwrap();
    use Event::{Broker, Gone, Group};
    assert!(
        matches!(**told, [Group(_), Broker(_), Group(program), Gone, Gone, Gone] if program == ids[0]),
        "{told:?}: the helper's, the broker's, and in it the program's"
    );
}

/// Starts, out of a script, what nobody waits for: a child in a session of its own, whose child is in another one, whose parent is gone.
/// Each writes its id into the file `far`.
const FAR_AWAY: &str = "setsid sh -c 'echo $$ >> $0.far; setsid sleep 1000 & echo $! >> $0.far; exec sleep 1000' $0 </dev/null >/dev/null 2>&1 &
( ( setsid sh -c 'echo $$ >> $0.far; exec sleep 1000' $0 & ) & )
until [ $(cat $0.far 2>/dev/null | wc -l) = 3 ]; do sleep 0.02; done";

#[tokio::test]
async fn what_a_program_leaves_in_the_background_ends_with_the_call_wherever_it_went_and_is_named() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\necho started; exit 3"));
    let op = format!("exec:{}", sleeper.program().display());
    let exec = format!("exec = [\"{}\", \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("leaves", &exec, &op));
    ask.hook(Hook::Start).await.unwrap();
    let lines = ask.log.lines();
    assert!(
        lines.contains(&"Info found: code Some(3) out \"started\\n\" err \"\" truncated false".to_owned()),
        "{lines:?}"
    );
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert_eq!(ids.len(), 5);
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs when the call has ended");
    let warnings: Vec<_> = lines.iter().filter(|line| line.contains("left running")).collect();
    let [warning] = warnings[..] else { panic!("{lines:?}") };
    for words in [
        &sleeper.program().display().to_string(),
        "sleep (",
        "which was killed at the end of start",
        "keep = true",
    ] {
        assert!(warning.starts_with("Warn ") && warning.contains(words), "{words}: {warning}");
    }
    // The next call has the same broker, and nothing to end.
    let other = ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]);
    let [broker] = brokers("leaves")[..] else { panic!("there is one") };
    other.hook(Hook::Promote).await.unwrap();
    assert_eq!(brokers("leaves"), [broker]);
    assert_eq!(ask.log.lines().iter().filter(|line| line.contains("left running")).count(), 1);
}

#[tokio::test]
async fn what_left_its_group_ends_with_the_time_of_a_program_and_with_a_call_that_is_dropped() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("trap '' TERM\n{FAR_AWAY}\ntouch $0.ready\nwait"));
    let is_ready = || sleeper.program().with_extension("ready").exists();
    let op = format!("exec:~3000 {}", sleeper.program().display());
    let tried = probe.tries(&sleeper.grant(), &op).await;
    assert!(is_ready(), "it was there in time");
    assert_eq!(tried.result, Err("timed out".into()));
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert!(ids.len() == 5 && !ids.iter().any(|id| runs(*id)), "nothing of it runs once the guest is told");

    let sleeper = Sleeper::new(&format!("trap '' TERM\n{FAR_AWAY}\ntouch $0.ready\nwait"));
    let ready = sleeper.program().with_extension("ready");
    let handler = probe.open(&sleeper.grant(), &format!("exec:{}", sleeper.program().display())).unwrap();
    let call = Ask::new(&handler).hook(Hook::Start);
    tokio::select! {
        ended = call => panic!("{ended:?}"),
        () = wait_until("all of it runs", || ready.exists()) => {}
    }
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert_eq!(ids.len(), 5);
    all_are_gone(&ids).await;
}

/// The brokers of this process that run programs of `service`.
fn brokers(service: &str) -> Vec<i32> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |id: &i32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        words.get(1..3) == Some(&[b"plugin-exec", service.as_bytes()]) && parent.trim() == own
    };
    ids.filter(is_one).collect()
}

#[tokio::test]
async fn a_broker_ends_all_that_it_has_started_at_sigterm_and_the_next_program_has_another() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\ntouch $0.ready\nwait"));
    let ready = sleeper.program().with_extension("ready");
    let op = format!("exec:{}", sleeper.program().display());
    let exec = format!("exec = [\"{}\", \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("ends", &exec, &op));
    let (ended, ids) = tokio::join!(ask.hook(Hook::Start), async {
        wait_until("all of it runs", || ready.exists()).await;
        let [broker] = brokers("ends")[..] else { panic!("there is one") };
        kill(Pid::from_raw(broker), Signal::SIGTERM).unwrap();
        [sleeper.started().await, sleeper.far_away(), vec![broker]].concat()
    });
    let Err(HookError::Failed(why)) = ended else { panic!("{ended:?}") };
    assert!(why.contains("the process that runs its programs was lost"), "{why}");
    all_are_gone(&ids).await;
    let ask = ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]);
    ask.hook(Hook::Promote).await.unwrap();
    // A service that is down has none.
    assert_eq!(brokers("ends").len(), 1);
    ask.hook(Hook::Stop).await.unwrap();
    assert_eq!(brokers("ends"), [0; 0]);
}

#[tokio::test]
async fn a_program_that_is_gone_or_ended_by_a_signal_is_told_apart() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!\nkill -9 $$");
    let op = format!("exec:{}", sleeper.program().display());
    assert!(probe.finds(&sleeper.grant(), &op).await.starts_with("code None "));
    let handler = probe.open(&sleeper.grant(), &op).unwrap();
    fs::remove_file(sleeper.program()).unwrap();
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, Err(HookError::Failed("not found".into())));
    let missing = probe.open(&sleeper.grant(), &op).err().unwrap();
    assert!(missing.contains("install it or correct the line"), "{missing}");
    assert!(!Path::new(&sleeper.program()).exists());
}

/// Starts two of its kind, each in a session of its own, each of which does the same, down to the depth that it is given.
const SPREADING: &str = "echo $$ >> ${0%/*}/all
[ $1 -gt 0 ] && { sleep 0.05; setsid $0 $(($1 - 1)) & setsid $0 $(($1 - 1)) & }
sleep 1000";

#[tokio::test]
async fn programs_that_become_too_many_processes_are_killed_and_the_hook_says_which_limit_it_was() {
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("spreading");
    fs::write(&program, format!("#!/bin/sh\n{SPREADING}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (exec, op) =
        (format!("exec = [\"{} *\"]", program.display()), format!("exec:{} 7", program.display()));
    let ask = Ask::new(&probe.try_as("spreads", &exec, "processes = 20", &op).unwrap());
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert_eq!(why, "ran more than 20 processes at a time; raise processes under [limits] of service.toml");
    let all = fs::read_to_string(dir.path().join("all")).unwrap();
    let ids: Vec<i32> = all.split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() < 255, "it did not come to its end: {}", ids.len());
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs");
    // The same service goes on.
    let ask = ask.with_config(&[("op", &op), ("promote", &format!("exec:~200 {} 0", program.display()))]);
    let Err(HookError::Failed(why)) = ask.hook(Hook::Promote).await else { panic!("it sleeps") };
    assert_eq!(why, "timed out");
}

#[tokio::test]
async fn what_a_program_starts_counts_with_it() {
    let Some(probe) = Probe::net() else { return };
    for (processes, fits) in [(1, false), (2, true)] {
        let sleeper = Sleeper::new("wait");
        let op = format!("exec:~1000 {}", sleeper.program().display());
        let limits = format!("processes = {processes}");
        let ask = Ask::new(&probe.try_as("counts", &sleeper.grant(), &limits, &op).unwrap());
        let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
        assert_eq!(why == "timed out", fits, "{why}");
        all_are_gone(&sleeper.started().await).await;
    }
}

#[tokio::test]
async fn a_fork_bomb_ends() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root's broker goes before what it has to end");
    }
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (program, go) = (dir.path().join("bomb"), dir.path().join("bomb.go"));
    fs::write(&program, "#!/bin/sh\nf() { [ -e $0.go ] || exit; f & f & wait; }\nf\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&go, "").unwrap();
    let (exec, op) = (format!("exec = [\"{}\"]", program.display()), format!("exec:{}", program.display()));
    let ask = Ask::new(&probe.try_as("bombs", &exec, "", &op).unwrap());
    // Whatever becomes of it, the machine has it for no longer than this.
    let fuse = std::thread::spawn({
        let go = go.clone();
        move || {
            std::thread::sleep(Duration::from_secs(5));
            let _ = fs::remove_file(go);
        }
    });
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(go.exists(), "it was ended before it had to end by itself");
    assert!(why.starts_with("ran more than 32 processes at a time"), "{why}");
    drop(fuse);
}

#[tokio::test]
async fn what_a_program_left_is_counted_after_it_has_exited() {
    let Some(probe) = Probe::net() else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("leaves");
    let script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 30 >/dev/null 2>&1 & done\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (exec, op) = (format!("exec = [\"{}\"]", program.display()), format!("exec:{}", program.display()));
    let ask = Ask::new(&probe.try_as("leaves-many", &exec, "processes = 8", &op).unwrap());
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(why.starts_with("ran more than 8 processes at a time"), "{why}");
}

#[tokio::test]
async fn a_program_runs_as_the_user_that_its_entry_names() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root can run a program as somebody else");
    }
    let Some(probe) = Probe::net() else { return };
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let (user, group) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let exec = "exec = [{ run = \"/bin/grep -E * /proc/self/status\", user = \"nobody\" }]";
    let op = "exec:/bin/grep -E ^(Uid|Gid|Groups|CapEff): /proc/self/status";
    let found = probe.finds(exec, op).await;
    for line in [
        format!("Uid:\\t{user}\\t{user}\\t{user}\\t{user}\\n"),
        format!("Gid:\\t{group}\\t{group}\\t{group}\\t{group}\\n"),
        format!("Groups:\\t{group} \\n"),
        "CapEff:\\t0000000000000000\\n".to_owned(),
    ] {
        assert!(found.contains(&line), "{line}: {found}");
    }
}

#[tokio::test]
async fn what_is_kept_outlives_its_call_and_koid_and_ends_after_stop() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\necho started"));
    let op = format!("exec:{}", sleeper.program().display());
    let exec =
        format!("exec = [{{ run = \"{}\", keep = true }}, \"/bin/true\"]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("keeps", &exec, &op));
    ask.hook(Hook::Start).await.unwrap();
    let lines = ask.log.lines();
    assert!(!lines.iter().any(|line| line.contains("left running")), "{lines:?}");
    // Of the script itself nothing is left.
    let ids = [sleeper.started().await.split_off(1), sleeper.far_away()].concat();
    assert!(ids.len() == 4 && ids.iter().all(|id| runs(*id)));
    let Ok(Outcome::Status(seen)) = ask.hook(Hook::Status).await else { panic!("it has a status") };
    let shown = format!("{}, process ", sleeper.program().display());
    assert!(seen.details.iter().any(|(name, what)| name == "kept" && what.starts_with(&shown)), "{seen:?}");
    // Other programs of the service end as ever.
    ask.with_config(&[("op", &op), ("promote", "exec:/bin/true")]).hook(Hook::Promote).await.unwrap();

    // koid's end of all sockets closes.
    let brokers_before = brokers("keeps");
    assert_eq!(brokers_before.len(), 2, "the service's, and that of what is kept");
    drop(ask);
    wait_until("the service's broker is gone", || brokers("keeps").len() == 1).await;
    assert!(ids.iter().all(|id| runs(*id)), "it is kept");

    // Another koid takes the service down.
    let failing =
        Ask::new(&probe.open_as("keeps", &exec, &op)).with_config(&[("op", &op), ("stop", "exec:/bin/no")]);
    failing.hook(Hook::Stop).await.unwrap_err();
    assert!(ids.iter().all(|id| runs(*id)), "a stop that failed ends nothing");
    let ask = failing.with_config(&[("op", &op)]);
    ask.hook(Hook::Stop).await.unwrap();
    assert!(!ids.iter().any(|id| runs(*id)), "nothing of it runs once the service is down");
    assert!(!probe.node.host().dir.join("kept/keeps").exists());
    let lines = ask.log.lines();
    assert!(lines.iter().any(|line| line.contains("is ended: the service is down")), "{lines:?}");
}

#[tokio::test]
async fn a_program_that_keeps_and_does_not_end_by_itself_is_ended_with_all_it_has_started() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new(&format!("{FAR_AWAY}\ntouch $0.ready\nwait"));
    let op = format!("exec:~3000 {}", sleeper.program().display());
    let exec = format!("exec = [{{ run = \"{}\", keep = true }}]", sleeper.program().display());
    let ask = Ask::new(&probe.open_as("keeps-not", &exec, &op));
    let Err(HookError::Failed(why)) = ask.hook(Hook::Start).await else { panic!("it has not failed") };
    assert!(why == "timed out" && sleeper.program().with_extension("ready").exists(), "{why}");
    let ids = [sleeper.started().await, sleeper.far_away()].concat();
    assert!(ids.len() == 5 && !ids.iter().any(|id| runs(*id)));
    assert!(!probe.node.host().dir.join("kept/keeps-not").exists());
}

#[tokio::test]
async fn a_service_may_not_write_where_the_program_of_another_one_is() {
    let Some(probe) = Probe::net() else { return };
    let sleeper = Sleeper::new("kill $!");
    let (writes, op) =
        (format!("write = [{:?}]", sleeper.dir.path()), format!("exec:{}", sleeper.program().display()));
    probe.try_as("writes", &writes, "", "exec:/bin/true").unwrap();
    let exec = format!("exec = [{{ run = \"{}\" }}]", sleeper.program().display());
    probe.try_as("runs", &exec, "", &op).unwrap();
    let why = probe.try_as("writes", &writes, "", "exec:/bin/true").err().unwrap();
    assert!(why.contains("which the service runs runs") && why.contains("grant another directory"), "{why}");
    let elsewhere = tempfile::tempdir().unwrap();
    probe.try_as("writes", &format!("write = [{:?}]", elsewhere.path()), "", "exec:/bin/true").unwrap();
}
