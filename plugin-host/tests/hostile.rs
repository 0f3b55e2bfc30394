//! Guests that take what is not theirs, and helpers that speak out of turn: it costs one hook of one service.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;
#[allow(dead_code, reason = "only one of the probes is needed here")]
mod probing;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{Handler, Hook, HookError, Outcome};
use koi_plugin_host::{Host, Registry, discover};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, mkfifo};

use crate::guests::Guest;
use crate::guests::node::{Ask, Node};
use crate::probing::Probe;

/// Why a hook failed.
fn failure(result: Result<Outcome, HookError>) -> String {
    match result {
        Err(HookError::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// The helpers of this process that serve `service`.
fn helpers(service: &str) -> Vec<Pid> {
    let own = Pid::this().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_one = |id: &i32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = words.split(|byte| *byte == 0).collect();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
        words.get(1..3) == Some(&[b"plugin-wasm", service.as_bytes()]) && parent.trim() == own
    };
    ids.filter(is_one).map(Pid::from_raw).collect()
}

/// Waits for the end of a helper, and leaves it to be reaped.
fn has_ended(helper: Pid) {
    waitid(Id::Pid(helper), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
}

#[tokio::test]
async fn what_the_host_holds_for_a_guest_counts_as_the_guests_memory() {
    let Some(probe) = Probe::plain() else { return };
    let (why, _) = probe.fails("", "fields:3000").await;
    assert!(why.starts_with("wanted more than 64 MiB of memory; raise memory under [limits]"), "{why}");
    assert_eq!(probe.finds("", "fields:100").await, "100 held");
}

#[tokio::test]
async fn a_guest_has_so_many_files_open_and_then_an_error() {
    let Some(probe) = Probe::plain() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let grants = format!("read = [{:?}]", folder.path());
    let handler = probe.open(&grants, &format!("open-all:{}", file.display())).unwrap();
    let ask = Ask::new(&handler);
    for _ in 0..2 {
        ask.hook(Hook::Start).await.unwrap();
    }
    let lines = ask.log.lines();
    let open =
        lines.iter().filter_map(|line| line.strip_prefix("Info found: ")?.split(' ').next()?.parse().ok());
    let open: Vec<usize> = open.collect();
    // The granted folder is one of them, and one call gives back what it took.
    assert!(open.len() == 2 && open.iter().all(|open| (60..=64).contains(open)), "{lines:?}");
}

#[tokio::test]
async fn a_file_that_never_answers_costs_one_call() {
    let Some(probe) = Probe::plain() else { return };
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let grants = format!("read = [{:?}]", folder.path());
    let handler = probe.open(&grants, &format!("read:{}", fifo.display())).unwrap();
    for _ in 0..20 {
        let ask = Ask::new(&handler).with_timeout(Duration::from_millis(100));
        let ended = ask.hook(Hook::Start).await;
        assert!(matches!(ended, Err(HookError::TimedOut(_))), "{ended:?}");
    }
}

fn sleeper(node: &Node, service: &str) -> Arc<dyn Handler> {
    let sleeps = "(drop (call $sleep (i64.const 600000))) (call $done)";
    let done = "(call $done)";
    let guest = Guest::new("sleeper").hook("start", sleeps).hook("demote", done).hook("stop", done);
    node.handler(service, &guest.build(), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_that_dies_is_one_failed_hook_and_the_next_one_is_there_already() {
    let node = Node::new();
    let handler = sleeper(&node, "dies");
    let call = tokio::spawn({
        let ask = Ask::new(&handler);
        async move { ask.hook(Hook::Start).await }
    });
    let first = koi_testkit::wait_some("a helper runs", || helpers("dies").first().copied());
    kill(first, Signal::SIGABRT).unwrap();
    let why = failure(call.await.unwrap());
    assert!(why.starts_with("the plugin's process was ended by SIGABRT in start"), "{why}");
    let second =
        koi_testkit::wait_some("another is there", || helpers("dies").into_iter().find(|id| *id != first));
    assert_eq!(Ask::new(&handler).hook(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(helpers("dies"), [second]);

    // One that dies while it is idle costs nothing.
    kill(second, Signal::SIGKILL).unwrap();
    has_ended(second);
    let ask = Ask::new(&handler);
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));

    // A service that is down has none.
    assert_eq!(helpers("dies").len(), 1);
    assert_eq!(ask.hook(Hook::Stop).await, Ok(Outcome::Done));
    assert!(helpers("dies").is_empty());
}

#[tokio::test]
async fn compiled_code_that_is_shortened_while_it_runs_harms_nobody() {
    let node = Node::new();
    let handler = sleeper(&node, "shortened");
    assert_eq!(Ask::new(&handler).hook(Hook::Demote).await, Ok(Outcome::Done));
    for entry in fs::read_dir(node.host().compiled_dir()).unwrap() {
        fs::OpenOptions::new().write(true).open(entry.unwrap().path()).unwrap().set_len(100).unwrap();
    }
    for helper in helpers("shortened") {
        kill(helper, Signal::SIGKILL).unwrap();
        has_ended(helper);
    }
    assert_eq!(Ask::new(&handler).hook(Hook::Demote).await, Ok(Outcome::Done));
}

/// A handler whose helpers run `script` in place of koid's program.
fn impostor(node: &Node, script: &str) -> Arc<dyn Handler> {
    let host = node.host();
    sleeper(node, "impostor");
    let program = node.home("impostor").join("program");
    let real = host.program.display();
    let script = format!(
        "#!/bin/bash\nif [ $1 != plugin-wasm ] || [ $2 = describe ]; then exec {real} \"$@\"; fi\n{script}\n"
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let services: PathBuf = node.home("impostor").parent().unwrap().into();
    let registry = Registry::new(Host { program, ..host }, services.clone());
    let found = discover(&services, &registry).unwrap().services.pop().unwrap();
    registry.open(&found).unwrap().opened.handler
}

#[tokio::test]
async fn a_helper_that_speaks_out_of_turn_is_ended() {
    let node = Node::new();
    let stories = [
        // No frame, a frame that is too long, no message, an answer to nothing.
        ("printf 'HTTP/1.1 200 OK\\r\\n\\r\\n' >&0; sleep 60", "says what no"),
        ("printf '\\xff\\xff\\xff\\x7f' >&0; sleep 60", "says what no"),
        ("printf '\\x01\\0\\0\\0\\xff' >&0; sleep 60", "says what no"),
        // A look-up of the name `x`, which nothing grants.
        (r"printf '\x06\0\0\0\x82\x09\x82\x01\x61\x78' >&0; sleep 60", "says what no"),
        // Questions for the newest epoch, some hundred thousand, and nobody who reads the answers.
        (
            r"cd $(mktemp -d); printf '\x06\0\0\0\x82\x06\x81\x82\0\x80' > one
            for n in {1..18}; do cat one one > two; mv two one; done; cat one >&0; sleep 60",
            "says what no",
        ),
        ("exec 0<&-; exit 3", "exited by itself with status 3"),
        ("echo my last word >&2; kill -SEGV $$", "was ended by SIGSEGV in demote: my last word"),
    ];
    for (script, expected) in stories {
        let handler = impostor(&node, script);
        let why = failure(Ask::new(&handler).hook(Hook::Demote).await);
        let expected = expected.replace("says what no", "said in demote what no such process says");
        assert!(why.contains(&expected), "{script}: {why}");
    }
    // Without a word it is waited for as long as the hook has.
    let handler = impostor(&node, "sleep 60");
    let ask = Ask::new(&handler).with_timeout(Duration::from_millis(300));
    assert!(matches!(ask.hook(Hook::Demote).await, Err(HookError::TimedOut(_))));
    assert!(helpers("impostor").is_empty(), "what did not answer is gone");
}

/// What `/proc` says of a helper that serves `service` and has run a hook.
async fn confinement(handler: &Arc<dyn Handler>, service: &str) -> (Vec<(String, String)>, PathBuf) {
    let _ = Ask::new(handler).hook(Hook::Start).await;
    let helper = helpers(service).pop().expect("it is kept");
    let status = fs::read_to_string(format!("/proc/{helper}/status")).unwrap();
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    (fields, fs::read_link(format!("/proc/{helper}/ns/net")).unwrap())
}

fn field<'f>(fields: &'f [(String, String)], key: &str) -> &'f str {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn a_guest_that_broke_out_would_find_itself_without_rights() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root can take rights away from a helper");
    }
    let node = Node::new();
    let guest = Guest::new("plain").hook("start", "(call $done)").build();
    let handler = node.handler("confined", &guest, "");
    let (plain, network) = confinement(&handler, "confined").await;
    for (key, expected) in
        [("NoNewPrivs", "1"), ("CapEff", "0000000000000000"), ("CapBnd", "0000000000000000"), ("Groups", "")]
    {
        assert_eq!(field(&plain, key), expected, "{key}");
    }
    let own: Vec<u32> = field(&plain, "Uid").split_whitespace().map(|id| id.parse().unwrap()).collect();
    assert!(own.iter().all(|id| *id > 1_900_000_000) && own.len() == 4, "{own:?}");
    assert_ne!(network, fs::read_link("/proc/self/ns/net").unwrap(), "nothing is reached from there");

    // Another service is another user.
    let other = node.handler("confined-too", &guest, "");
    let (other, _) = confinement(&other, "confined-too").await;
    assert_ne!(field(&other, "Uid"), field(&plain, "Uid"));

    // With a folder it is still somebody of its own, with the right to files that others own, in that folder alone.
    let folder = tempfile::tempdir().unwrap();
    for (key, right) in [("read", "0000000000000004"), ("write", "0000000000000002")] {
        let service = format!("confined-{key}");
        let grants = format!("[grants]\n{key} = [{:?}]\n", folder.path());
        let handler = node.handler(&service, &guest, &grants);
        let (found, _) = confinement(&handler, &service).await;
        assert_eq!((field(&found, "CapEff"), field(&found, "CapBnd")), (right, right), "{key}");
        let own =
            field(&found, "Uid").split_whitespace().all(|id| id.parse::<u32>().unwrap() > 1_900_000_000);
        assert!(own, "{found:?}");
    }

    // As somebody whose files it needs it has no right beside that.
    let grants = format!("[grants]\nwrite = [{:?}]\nuser = \"nobody\"\n", folder.path());
    let handler = node.handler("confined-user", &guest, &grants);
    let (found, _) = confinement(&handler, "confined-user").await;
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(field(&found, "Uid").split_whitespace().next().unwrap(), nobody.uid.to_string());
    assert_eq!((field(&found, "CapEff"), field(&found, "Seccomp")), ("0000000000000000", "2"));
    for (user, why) in [
        ("root", "would be root; name the user that owns"),
        ("no-such-user", "there is no user no-such-user on this machine"),
    ] {
        let refusal = node.refusal(user, &guest, &format!("[grants]\nuser = {user:?}\n"));
        assert!(refusal.contains(why), "{refusal}");
    }
}

/// A file system of its own, mounted at a folder.
struct Mounted(PathBuf);

impl Mounted {
    fn at(folder: &Path) -> Mounted {
        mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        Mounted(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn a_folder_that_is_mounted_while_a_helper_waits_is_reached_by_the_next_call() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root can mount");
    }
    let Some(probe) = Probe::plain() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let grants = format!("write = [{:?}]", folder.path());
    let handler = probe.open(&grants, &format!("write:{}", file.display())).unwrap();
    let ask = Ask::new(&handler);
    ask.hook(Hook::Start).await.unwrap();
    assert!(file.exists(), "before the mount");
    for _ in 0..2 {
        let mounted = Mounted::at(folder.path());
        assert!(!file.exists(), "an empty file system");
        ask.hook(Hook::Start).await.unwrap();
        assert!(file.exists(), "on the mounted one");
        // Nothing of the helper's keeps it mounted.
        umount2(&mounted.0, MntFlags::empty()).unwrap();
        fs::remove_file(&file).unwrap();
        ask.hook(Hook::Start).await.unwrap();
        assert!(file.exists(), "on the folder below");
    }
}
