//! `plugin-check` and `plugin-run`, as `koi plugins check` and `run` start them: what they say of handlers that are as they should
//! be, and of those that are not.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guests::Guest;
use koi_artifact::{Artifact, Digest, Manifest, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Keeps in a file what it was last asked for, and writes down each call.
const GOOD: &str = r#"#!/bin/sh
cd "${0%/*}" || exit 1
echo "$1" >> calls
case $1 in
    start) echo 91 > state ;;
    promote) echo 90 > state ;;
    demote) [ ! -e state ] || echo 91 > state ;;
    stop) rm -f state ;;
    status) [ -e state ] || exit 92; echo "all is well"; exit "$(cat state)" ;;
esac
"#;

/// A folder to try things in, with a cache and a home of its own.
struct Place(TempDir);

/// What came of it.
struct Ran {
    code: Option<i32>,
    said: String,
    wrong: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|e| panic!("{e}: {} {}", self.said, self.wrong))
    }

    /// The checks with a verdict, as `part, check: message`.
    fn checks(&self, verdict: &str) -> Vec<String> {
        let of = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned();
        let json = self.json();
        let checks = json["checks"].as_array().unwrap().iter().filter(|check| check["verdict"] == verdict);
        checks.map(|c| format!("{}, {}: {}", of(c, "part"), of(c, "check"), of(c, "message"))).collect()
    }
}

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A single-file service.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Written under another name: a file that is open for writing while another test forks could not be run.
        fs::write(path.with_extension("new"), text).unwrap();
        fs::set_permissions(path.with_extension("new"), Permissions::from_mode(0o755)).unwrap();
        fs::rename(path.with_extension("new"), &path).unwrap();
        path
    }

    fn component(&self, guest: Guest) -> PathBuf {
        let path = self.at("handler.wasm");
        fs::write(&path, guest.build()).unwrap();
        path
    }

    fn command(&self, words: &[&str], path: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koi-plugin-helper"));
        command.arg(words[0]).arg(path).args(&words[1..]).env("XDG_CACHE_HOME", self.at("cache"));
        command.env("TMPDIR", self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str], path: &Path) -> Ran {
        let output = self.command(words, path).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), said: text(output.stdout), wrong: text(output.stderr) }
    }

    fn check(&self, path: &Path) -> Ran {
        self.run(&["plugin-check", "--json"], path)
    }

    fn is_tidy(&self) -> bool {
        let left = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("koi-trial-");
        !fs::read_dir(self.0.path()).unwrap().flatten().any(left)
    }
}

#[test]
fn a_script_that_does_as_it_is_told_keeps_to_the_contract() {
    let place = Place::new();
    let script = place.script("10-good", GOOD);
    let ran = place.check(&script);
    assert_eq!((ran.code, ran.checks("FAIL")), (Some(0), vec![]), "{}", ran.said);
    assert_eq!(ran.json()["ok"], true);
    let calls = fs::read_to_string(place.at("calls")).unwrap();
    for hook in ["start", "stop", "promote", "demote", "status", "failed"] {
        assert!(calls.lines().filter(|call| *call == hook).count() >= 3, "{hook}: {calls}");
    }
    assert!(!place.at("state").exists(), "it is stopped in the end");
    assert!(place.is_tidy());

    let ran = place.run(&["plugin-check"], &script);
    let last = ran.said.lines().last().unwrap();
    assert!(last.starts_with("keeps to the contract: ") && last.contains(" 0 failures"), "{}", ran.said);
}

#[test]
fn a_demote_that_does_nothing_is_found_by_the_status_after_it() {
    let place = Place::new();
    let script =
        place.script("liar", &GOOD.replace("demote) [ ! -e state ] || echo 91 > state", "demote) true"));
    let ran = place.check(&script);
    assert_eq!(ran.code, Some(1));
    let found = "its life, status when it is started: promoted: all is well, but it was not promoted, or demoted since";
    assert!(ran.checks("FAIL").iter().any(|fail| fail == found), "{:?}", ran.checks("FAIL"));
}

#[test]
fn a_stop_that_fails_when_nothing_runs_is_not_idempotent() {
    let place = Place::new();
    let script = place.script("once", &GOOD.replace("rm -f state", "rm state"));
    let ran = place.check(&script);
    let twice = ran
        .checks("FAIL")
        .into_iter()
        .filter(|fail| fail.contains("stop a second time: exit code 1"))
        .count();
    assert_eq!((ran.code, twice), (Some(1), 1), "{}", ran.said);
}

#[test]
fn what_hangs_or_writes_without_end_fails() {
    let place = Place::new();
    let hangs = place.script("hangs", &GOOD.replace("promote) echo", "promote) sleep 600; echo"));
    let ran = place.run(&["plugin-check", "--json", "--timeout-ms", "2200"], &hangs);
    let late = |fail: &String| fail.starts_with("its life, promote: not done within 2.2s");
    assert!(ran.code == Some(1) && ran.checks("FAIL").iter().any(late), "{}", ran.said);
    let cut = |fail: &String| fail.ends_with("(it was late before: from then on it gets 2.0 s, not 2.2 s)");
    assert!(!cut(&ran.checks("FAIL")[0]) && ran.checks("FAIL").iter().any(cut), "{}", ran.said);
    let floods = place.script("floods", &GOOD.replace("start) ", "start) seq 100000; "));
    let ran = place.check(&floods);
    let flood = |fail: &String| fail.contains("start: wrote 100000 lines in one call");
    assert!(ran.code == Some(1) && ran.checks("FAIL").iter().any(flood), "{}", ran.said);
}

#[test]
fn whoever_wants_quiet_sees_notes_failures_and_the_end() {
    let place = Place::new();
    let good = place.script("good", GOOD);
    let ran = place.run(&["plugin-check", "--quiet"], &good);
    assert!(ran.said.starts_with("keeps to the contract: ") && ran.said.lines().count() == 1, "{}", ran.said);
    let wrong = place.script("wrong", &GOOD.replace("demote) [", "demote) exit 3; ["));
    let ran = place.run(&["plugin-check", "--quiet"], &wrong);
    assert_eq!(ran.code, Some(1));
    assert!(ran.said.starts_with("its life\n  FAIL  demote: exit code 3"), "{}", ran.said);
    assert!(!ran.said.contains("\n  ok "), "{}", ran.said);
    // One mistake is one line in the end, however often it was met.
    let summed: Vec<_> = ran.said.lines().filter(|line| line.starts_with("FAIL ")).collect();
    let of_demote: Vec<_> = summed.iter().filter(|line| line.ends_with(" more: exit code 3")).collect();
    assert!(of_demote.len() == 1 && of_demote[0].starts_with("FAIL its life, demote, and "), "{summed:?}");
    let json = place.run(&["plugin-check", "--quiet", "--json"], &good);
    assert!(json.checks("ok").len() > 20, "programs get all of it");
}

#[test]
fn a_service_that_runs_is_left_running_unless_one_insists() {
    let place = Place::new();
    let script = place.script("runs", GOOD);
    fs::write(place.at("state"), "90\n").unwrap();
    let ran = place.check(&script);
    assert_eq!(ran.code, Some(5), "{}", ran.said);
    assert_eq!(fs::read_to_string(place.at("calls")).unwrap(), "status\n", "nothing but a look");
    assert!(ran.json()["not_checked"][0].as_str().unwrap().contains("--really"));
    let ran = place.run(&["plugin-check", "--json", "--really"], &script);
    assert!(ran.code == Some(0) && !place.at("state").exists(), "{}", ran.said);
}

#[test]
fn what_koid_says_of_a_service_is_said_of_one_that_is_tried() {
    let place = Place::new();
    place.script("10-web/start", "#!/no/such/shell\n");
    fs::write(place.at("10-web/service.toml"), "[grants]\ntcp = [\"127.0.0.1:1\"]\n").unwrap();
    let ran = place.run(&["plugin-check", "--json", "--config", "port=1"], &place.at("10-web"));
    let (fails, notes) = (ran.checks("FAIL"), ran.checks("note"));
    assert!(fails.iter().any(|f| f.contains(", service: ") && f.contains("/no/such/shell")), "{fails:?}");
    assert!(notes.iter().any(|n| n.contains("[grants] means nothing here")), "{notes:?}");
    let keyed = place.component(idle().key("port", false, None));
    let unknown = place.run(&["plugin-check", "--json", "--config", "prt=1"], &keyed);
    assert!(unknown.checks("note").iter().any(|n| n.contains("the nearest is `port`")), "{}", unknown.said);
}

#[test]
fn whoever_interrupts_a_check_leaves_nothing_started() {
    let place = Place::new();
    let script = place.script("slow", &GOOD.replace("promote) ", "promote) echo promoting; sleep 600; "));
    let mut command = place.command(&["plugin-check"], &script);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started = lines.find(|line| line.as_ref().unwrap().starts_with("  ok    start: done"));
    assert!(started.is_some(), "it begins");
    // Whether it is in the promote yet or not, it ends.
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line == "taking it down"), "{rest:?}");
    assert!(!place.at("state").exists() && place.is_tidy(), "{rest:?}");
}

#[test]
fn what_cannot_be_tried_is_said_and_exits_with_2() {
    let place = Place::new();
    let missing = place.run(&["plugin-check"], &place.at("missing.wasm"));
    assert_eq!((missing.code, missing.said.as_str()), (Some(2), ""));
    assert!(
        missing.wrong.starts_with("koi: ") && missing.wrong.contains("missing.wasm"),
        "{}",
        missing.wrong
    );
    fs::write(place.at("notes"), "").unwrap();
    let notes = place.run(&["plugin-run", "start", "--json"], &place.at("notes"));
    assert!(notes.code == Some(2) && notes.json()["error"]["message"].as_str().unwrap().contains("chmod +x"));
}

#[test]
fn one_hook_by_hand_shows_its_log_and_its_outcome() {
    let place = Place::new();
    let status = "#!/bin/sh\necho looking >&2\necho score=7\necho \"$KOI_CONFIG_PLACE\"\nexit 91\n";
    place.script("svc/status", status);
    let args = ["plugin-run", "status", "--config", "place=in sync", "--json"];
    let ran = place.run(&args, &place.at("svc"));
    let json = ran.json();
    assert_eq!(
        (ran.code, &json["outcome"], &json["score"]),
        (Some(0), &"standby".into(), &7.into()),
        "{json}"
    );
    assert_eq!(json["message"], "in sync");
    let warned = json["log"]
        .as_array()
        .unwrap()
        .iter()
        .any(|line| line["level"] == "warn" && line["text"] == "looking");
    assert!(warned, "{json}");

    place.script("svc/start", "#!/bin/sh\necho 'no space left' >&2\nexit 3\n");
    let ran = place.run(&["plugin-run", "start"], &place.at("svc"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.said.starts_with("  warn   no space left\nstart: FAILED in "), "{}", ran.said);
    assert!(ran.said.ends_with(": exit code 3: no space left\n"), "{}", ran.said);
}

/// Keeps nothing: every hook is done, and all is well.
fn idle() -> Guest {
    let fine = "(call $status (i32.const 0) %{all is well} (i32.const 0) (i32.const 0))";
    let hooks = ["start", "stop", "promote", "demote", "failed"];
    hooks
        .into_iter()
        .fold(Guest::new("idle"), |guest, hook| guest.hook(hook, "(call $done)"))
        .hook("status", fine)
}

#[test]
fn a_component_is_tried_without_any_grant_and_compiled_only_once() {
    let place = Place::new();
    let path = place.component(idle());
    let first = place.check(&path);
    assert_eq!((first.code, first.checks("FAIL")), (Some(0), vec![]), "{}", first.said);
    assert!(first.checks("ok")[0].contains("; compiled in "), "{:?}", first.checks("ok"));
    let second = place.check(&path);
    assert!(second.checks("ok")[0].contains("found in the cache"), "{:?}", second.checks("ok"));
    let cache = fs::metadata(place.at("cache/koi")).unwrap();
    assert_eq!(cache.permissions().mode() & 0o077, 0, "the cache is the user's alone");
    assert!(place.is_tidy());
}

#[test]
fn a_hook_that_is_declared_and_unsupported_breaks_the_contract() {
    let place = Place::new();
    let path = place.component(Guest::new("empty").hook("promote", "(call $error (i32.const 3) %{})"));
    let ran = place.check(&path);
    let fails = ran.checks("FAIL");
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(fails.iter().any(|fail| fail.contains("promote") && fail.contains("`unsupported`")), "{fails:?}");
}

#[test]
fn a_trap_fails_and_a_world_that_is_not_there_does_not() {
    let place = Place::new();
    let refuses = Guest::new("refuses")
        .hook("start", "(call $error (i32.const 0) %{127.0.0.1:6379 does not answer})")
        .hook("stop", "(call $done)")
        .hook("promote", "unreachable");
    let path = place.component(refuses);
    let ran = place.check(&path);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    let fails = ran.checks("FAIL");
    assert!(
        fails.iter().all(|fail| fail.contains("promote") && fail.contains("trapped in promote")),
        "{fails:?}"
    );
    let notes = ran.checks("note");
    assert!(notes.contains(&"its life, start: 127.0.0.1:6379 does not answer".to_owned()), "{notes:?}");
}

#[test]
fn what_wants_something_of_the_node_is_loaded_and_no_more() {
    let place = Place::new();
    let path = place.component(idle().wants(1, "127.0.0.1:6379"));
    let ran = place.check(&path);
    assert_eq!((ran.code, ran.checks("FAIL")), (Some(0), vec![]), "{}", ran.said);
    assert!(
        ran.checks("note").iter().any(|note| note.contains("tcp = [\"127.0.0.1:6379\"]")),
        "{}",
        ran.said
    );
    assert!(ran.json()["not_checked"][0].as_str().unwrap().starts_with("its hooks"), "{}", ran.said);

    fs::create_dir(place.at("10-svc")).unwrap();
    let service = place.at("10-svc");
    let with_service = ["plugin-check", "--json", "--service", service.to_str().unwrap()];
    assert_eq!(place.run(&with_service, &path).code, Some(1), "a service must grant what it wants");
    fs::write(service.join("service.toml"), "[grants]\ntcp = [\"127.0.0.1:6379\"]\n").unwrap();
    let ran = place.run(&with_service, &path);
    assert_eq!((ran.code, ran.checks("FAIL")), (Some(0), vec![]), "{}", ran.said);
}

#[test]
fn what_a_component_stores_can_be_kept_from_run_to_run() {
    let place = Place::new();
    let remember = "(call $set %{seen} %{yes} (i32.const 1024)) (call $done)";
    // The result is at 1024: 0 for ok, then 1 for a value.
    let recall = "(call $get %{seen} (i32.const 1024))
        (call $status (if (result i32) (i32.load8_u (i32.const 1028)) (then (i32.const 2)) (else (i32.const 4)))
            %{} (i32.const 0) (i32.const 0))";
    let path = place.component(Guest::new("memory").hook("start", remember).hook("status", recall));
    let run = |words: &[&str]| place.run(words, &path).json()["outcome"].clone();
    assert_eq!(run(&["plugin-run", "start", "--json"]), "done");
    assert_eq!(run(&["plugin-run", "status", "--json"]), "stopped", "it is forgotten");
    let state = place.at("state");
    let state = state.to_str().unwrap();
    assert_eq!(run(&["plugin-run", "start", "--state", state, "--json"]), "done");
    assert_eq!(run(&["plugin-run", "status", "--state", state, "--json"]), "standby");
}

#[test]
fn a_component_with_its_source_lines_in_it_says_where_it_broke_off() {
    let place = Place::new();
    let traps = Guest::new("traps").with_lines().item("(func $the_culprit (result i32) unreachable)");
    let path = place.component(traps.hook("promote", "(call $the_culprit)"));
    let ran = place.run(&["plugin-run", "promote", "--json"], &path).json();
    let first = ran["log"][0]["text"].as_str().unwrap().to_owned();
    let line = first.strip_prefix("  in the_culprit at ./guest.wat:");
    assert!(line.is_some_and(|line| line.parse::<u32>().is_ok()), "{ran}");
}

#[test]
fn what_is_no_component_fails_to_load() {
    let place = Place::new();
    fs::write(place.at("handler.wasm"), "\0asm\u{1}\0\0\0").unwrap();
    let ran = place.check(&place.at("handler.wasm"));
    assert_eq!((ran.code, ran.checks("FAIL").len()), (Some(1), 1), "{}", ran.said);
    let ran = place.run(&["plugin-check"], &place.at("handler.wasm"));
    let last = ran.said.lines().last().unwrap();
    assert!(last.starts_with("it cannot be loaded; nothing of it was tried: "), "{}", ran.said);
}

#[test]
fn a_service_is_tried_with_the_handler_that_it_names_wherever_koid_would_find_it() {
    let place = Place::new();
    let (plugins, pulled) = (place.at("plugins"), place.at("state/pulled"));
    let service = |name: &str, handler: &str| {
        fs::create_dir_all(place.at(name)).unwrap();
        fs::write(place.at(name).join("service.toml"), format!("handler = {handler:?}\n")).unwrap();
        place.at(name)
    };
    let places = ["--plugins", plugins.to_str().unwrap(), "--pulled", pulled.to_str().unwrap()];
    let check = |path: &Path| place.run(&[&["plugin-check", "--json"], &places[..]].concat(), path);
    let whole = |name: &str| {
        let hooks = ["start", "stop", "promote", "demote"].into_iter();
        hooks.fold(Guest::new(name), |guest, hook| guest.hook(hook, "(call $done)")).build()
    };

    let by_name = service("10-db", "db");
    let unknown = check(&by_name);
    assert_eq!(unknown.code, Some(2), "{}", unknown.said);
    let why = unknown.json()["error"]["message"].to_string();
    assert!(why.contains("handler `db` is not known") && why.contains(plugins.to_str().unwrap()), "{why}");
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("aa.wasm"), whole("other")).unwrap();
    fs::write(plugins.join("its-file.wasm"), whole("db")).unwrap();
    let found = check(&by_name);
    assert_eq!((found.code, found.json()["name"].as_str()), (Some(0), Some("db")), "{}", found.said);
    let misspelt = check(&service("20-db", "bd"));
    let why = misspelt.json()["error"]["message"].to_string();
    assert!(why.contains("`other`, `db`") && why.contains("correct `handler`"), "{why}");
    fs::write(plugins.join("bd.wasm"), "no component").unwrap();
    let why = check(&place.at("20-db")).json()["error"]["message"].to_string();
    assert!(why.contains("bd.wasm") && !why.contains("is not known"), "{why}");

    let manifest = Manifest::new(b"{}", &whole("far"), BTreeMap::new());
    let bytes = manifest.bytes().unwrap();
    let artifact = Artifact::new(Digest::from_bytes(&bytes), bytes, b"{}".to_vec(), whole("far")).unwrap();
    let reference = format!("oci://registry.example/far@{}", artifact.digest);
    let by_digest = service("30-far", &reference);
    let missing = check(&by_digest).json()["error"]["message"].to_string();
    assert!(missing.contains(&format!("koi plugins pull {reference}")), "{missing}");
    Store::new(pulled.clone()).keep(&artifact).unwrap();
    let found = check(&by_digest);
    assert_eq!((found.code, found.json()["name"].as_str()), (Some(0), Some("far")), "{}", found.said);
    assert!(place.is_tidy());

    let nowhere = place.check(&by_name).json()["error"]["message"].to_string();
    assert!(nowhere.contains("no configuration says where plugins lie"), "{nowhere}");
}
