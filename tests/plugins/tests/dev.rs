//! `koi plugins dev`: what an author changes runs a moment later, and nothing that goes wrong takes away what runs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use koi_cluster_tests::programs;
use koi_plugin_api::Capability;
use koi_plugin_tests::guests::Guest;
use koi_proto::api::{Local, ServiceState};
use koi_testkit::{lives, wait_for, wait_some, write_executable};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Copies the component that `source` names; with `slow`, it takes for ever.
const BUILD: &str = r#"#!/bin/sh
set -eu
rm -f handler.wasm
word=$(cat source)
echo "building $word"
if [ "$word" = slow ]; then sleep 1000 & echo $! >sleeping.tmp; wait; fi
[ -e "$word.wasm" ] || { echo "there is no $word: write another word" >&2; exit 3; }
cp "$word.wasm" handler.wasm
"#;

/// A component called `db` in this version, which says so in its status.
fn db(version: &str) -> Guest {
    promoting(version, "(call $done)")
}

/// The same, and what its `promote` does.
fn promoting(version: &str, promote: &str) -> Guest {
    let guest = ["start", "stop", "demote"]
        .into_iter()
        .fold(Guest::new("db").release(version), |guest, hook| guest.hook(hook, "(call $done)"));
    let status = format!("(call $status (i32.const 0) %{{db {version}}} (i32.const 0) (i32.const 0))");
    guest.hook("promote", promote).hook("status", &status)
}

/// The folder of a handler, in which there is nothing to compile.
struct Author {
    place: TempDir,
}

impl Author {
    fn new() -> Author {
        let author = Author { place: tempfile::tempdir_in("/tmp").expect("a folder can be made") };
        for folder in ["db", "tmp"] {
            fs::create_dir(author.place.path().join(folder)).expect("a folder can be made");
        }
        write_executable(&author.path("build.sh"), BUILD);
        author.put("one.wasm", &db("1.0").build());
        author.put("two.wasm", &db("2.0").build());
        author.put("wrong.wasm", b"no component");
        author.put("source", b"one");
        author
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("db").join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a file can be written");
    }

    fn tmp(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    fn dev(&self, args: &[&str]) -> Dev {
        let said = self.place.path().join("said");
        let out = File::create(&said).expect("a file can be made");
        let child = Command::new(programs().join("koi"))
            .args(["plugins", "dev"])
            .arg(self.place.path().join("db"))
            .args(args)
            .env("TMPDIR", self.tmp())
            .env("XDG_CACHE_HOME", self.place.path().join("cache"))
            .stdin(Stdio::null())
            .stderr(out.try_clone().expect("a file can be opened again"))
            .stdout(out)
            .spawn()
            .expect("koi can be run");
        Dev { child, said, tmp: self.tmp() }
    }
}

/// It runs.
struct Dev {
    child: Child,
    said: PathBuf,
    tmp: PathBuf,
}

impl Dev {
    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Waits until it has said these words so many times.
    #[track_caller]
    fn hear(&mut self, words: &str, times: usize) {
        let mut ended = None;
        let heard = koi_testkit::met_within(koi_testkit::PATIENCE, || {
            ended = self.child.try_wait().expect("it is a child");
            ended.is_some() || self.said().matches(words).count() >= times
        });
        let said = self.said();
        assert!(heard && said.matches(words).count() >= times, "{words:?} is not said, {ended:?}:\n{said}");
    }

    /// The cluster's folder.
    fn folder(&self) -> PathBuf {
        let mut entries = fs::read_dir(&self.tmp).expect("it was made").flatten();
        entries.next().expect("there is a cluster").path()
    }

    fn local(&self, node: &str) -> Option<Local> {
        let koi = Command::new(programs().join("koi"))
            .args(["-o", "json", "local", "--socket"])
            .arg(self.folder().join(format!("{node}.sock")))
            .output()
            .expect("koi can be run");
        serde_json::from_slice(&koi.stdout).ok()
    }

    /// What the handler says on each node, and where it is promoted.
    fn everywhere(&self) -> (Vec<String>, Vec<&'static str>) {
        let (mut messages, mut promoted) = (Vec::new(), Vec::new());
        for node in ["a", "b", "c"] {
            let services = self.local(node).and_then(|local| local.node.services).unwrap_or_default();
            for service in services {
                messages.push(service.message.unwrap_or_default());
                promoted.extend((service.state == ServiceState::Promoted).then_some(node));
            }
        }
        (messages, promoted)
    }

    /// Waits until this version answers on three nodes, and is promoted on one.
    #[track_caller]
    fn runs(&self, version: &str) {
        let expected = vec![format!("db {version}"); 3];
        let mut seen = None;
        let runs = koi_testkit::met_within(koi_testkit::PATIENCE, || {
            let everywhere = self.everywhere();
            let runs = everywhere.0 == expected && everywhere.1.len() == 1;
            seen = Some(everywhere);
            runs
        });
        assert!(runs, "{version} does not run everywhere: {seen:?}\n{}", self.said());
    }

    /// Everything below it.
    fn processes(&self) -> Vec<i32> {
        let mut all = vec![self.child.id().cast_signed()];
        let mut at = 0;
        while let Some(parent) = all.get(at).copied() {
            let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
            }
            at += 1;
        }
        all
    }

    fn interrupt(&mut self) -> ExitStatus {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("it runs");
        wait_some("it ends", || self.child.try_wait().expect("it is a child"))
    }

    /// Ends it by Ctrl-C, and sees that nothing is left.
    #[track_caller]
    fn ends_and_leaves_nothing(mut self) {
        let before = self.processes();
        assert!(before.len() > 3, "three daemons run: {before:?}");
        assert_eq!(self.interrupt().code(), Some(0), "{}", self.said());
        let left: Vec<&i32> = before.iter().filter(|pid| lives(**pid)).collect();
        assert!(left.is_empty(), "{left:?} run on");
        assert_eq!(fs::read_dir(&self.tmp).expect("it is there").count(), 0, "{}", self.said());
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A test that failed leaves it running.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.interrupt();
        }
    }
}

#[test]
fn a_change_runs_on_all_three_nodes_and_what_goes_wrong_changes_nothing() {
    let author = Author::new();
    let mut dev = author.dev(&[]);
    dev.hear("✓ running after", 1);
    dev.hear("db 1.0:", 1);
    dev.hear("it wants no grants", 1);
    dev.runs("1.0");
    let promoted = dev.everywhere().1;

    author.put("source", b"two");
    dev.hear("✓ running after", 2);
    dev.runs("2.0");
    assert_eq!(dev.everywhere().1, promoted, "it is promoted where it was");

    author.put("source", b"three");
    dev.hear("there is no three: write another word", 1);
    dev.hear("✗ the build failed: it ended with exit code 3; the version before goes on", 1);
    dev.runs("2.0");

    author.put("source", b"wrong");
    dev.hear("✗ refused: ", 1);
    dev.hear("handler.wasm: not a WebAssembly component", 1);
    dev.runs("2.0");

    author.put("source", b"one");
    dev.hear("✓ running after", 3);
    dev.runs("1.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn a_change_while_it_is_built_begins_anew() {
    let author = Author::new();
    author.put("source", b"slow");
    let mut dev = author.dev(&[]);
    dev.hear("building slow", 1);
    let sleeping = || fs::read_to_string(author.path("sleeping.tmp")).ok()?.trim().parse::<i32>().ok();
    let slow = wait_some("the build sleeps", sleeping);
    author.put("source", b"one");
    dev.hear("✓ running after", 1);
    dev.runs("1.0");
    wait_for("what was built first is given up", || !lives(slow));

    author.put("source", b"slow");
    dev.hear("building slow", 2);
    let slow = wait_some("the build sleeps", || sleeping().filter(|pid| *pid != slow));
    dev.ends_and_leaves_nothing();
    assert!(!lives(slow), "a build that hangs ends too");
}

#[test]
fn a_hook_that_fails_is_shown_and_the_mended_one_runs() {
    let author = Author::new();
    let broken = promoting("3.0", "(call $error (i32.const 0) %{the replica is not ready})");
    author.put("broken.wasm", &broken.build());
    author.put("source", b"broken");
    let mut dev = author.dev(&[]);
    dev.hear("✗ it does not run well: ", 1);
    dev.hear("the replica is not ready", 1);

    author.put("source", b"two");
    dev.hear("✓ running after", 1);
    dev.runs("2.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn what_is_wanted_is_granted_here_alone_and_said() {
    let author = Author::new();
    let wants = db("4.0").wants_for(Capability::Tcp("127.0.0.1:5432".into()), "to speak to the database");
    author.put("wants.wasm", &wants.build());
    author.put("source", b"wants");
    let mut dev = author.dev(&[]);
    dev.hear("granted in this cluster, and to be asked of operators under [grants]:", 1);
    dev.hear("# to speak to the database", 1);
    dev.hear("tcp = [\"127.0.0.1:5432\"]", 1);
    dev.runs("4.0");

    // A service that grants nothing is refused, as an operator would see it.
    drop(dev);
    let service = author.place.path().join("service");
    fs::create_dir(&service).expect("a folder can be made");
    fs::write(service.join("service.toml"), "handler = \"db\"\n").expect("a file can be written");
    let mut dev = author.dev(&["--service", &service.to_string_lossy()]);
    dev.hear("✗ refused: ", 1);
    dev.hear("[grants] lacks tcp \"127.0.0.1:5432\" (to speak to the database)", 1);
    fs::write(service.join("service.toml"), "[grants]\ntcp = [\"127.0.0.1:5432\"]\n")
        .expect("a file can be written");
    dev.hear("✓ running after", 1);
    dev.runs("4.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn a_component_that_is_built_elsewhere_is_watched_and_its_tests_are_run() {
    let author = Author::new();
    fs::remove_file(author.path("build.sh")).expect("it is there");
    let copy = |name: &str| {
        fs::copy(author.path(name), author.path("handler.wasm")).map(drop).expect("a file can be copied")
    };
    copy("one.wasm");
    let test = |version: &str| {
        let call =
            format!("[[test.call]]\nhook = \"status\"\noutcome = \"ok\"\nmessage = \"db {version}\"\n");
        author
            .put("handler.test.toml", format!("[[test]]\nname = \"it says which it is\"\n{call}").as_bytes());
    };
    test("1.0");
    let mut dev = author.dev(&[]);
    dev.hear("✓ tests passed", 1);
    dev.runs("1.0");
    copy("two.wasm");
    dev.hear("✗ tests", 1);
    dev.hear("it says which it is", 1);
    dev.runs("2.0");
    test("2.0");
    dev.hear("✓ tests passed", 2);
    dev.ends_and_leaves_nothing();
}
