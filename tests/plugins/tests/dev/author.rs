//! An author with a folder, and `koi plugins dev` in it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use koi_cluster_tests::programs;
use koi_plugin_tests::guests::Guest;
use koi_proto::api::{Local, ServiceState};
use koi_testkit::{Terminal, lives, wait_some, write_executable};
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
pub(crate) fn db(version: &str) -> Guest {
    promoting(version, "(call $done)")
}

/// The same, and what its `promote` does.
pub(crate) fn promoting(version: &str, promote: &str) -> Guest {
    let guest = ["start", "stop", "demote"]
        .into_iter()
        .fold(Guest::new("db").release(version), |guest, hook| guest.hook(hook, "(call $done)"));
    let status = format!("(call $status (i32.const 0) %{{db {version}}} (i32.const 0) (i32.const 0))");
    guest.hook("promote", promote).hook("status", &status)
}

/// The folder of a handler, in which there is nothing to compile.
pub(crate) struct Author {
    pub(crate) place: TempDir,
}

impl Author {
    pub(crate) fn new() -> Author {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("db").join(name)
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a file can be written");
    }

    fn tmp(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    pub(crate) fn dev(&self, args: &[&str]) -> Dev {
        let (said, out) = self.said();
        let mut koi = Command::new(programs().join("koi"));
        koi.stdin(Stdio::null()).stderr(out.try_clone().expect("a file can be opened again")).stdout(out);
        Dev { child: self.start(&mut koi, args), said, tmp: self.tmp() }
    }

    /// The same on a terminal, where keys can be pressed.
    pub(crate) fn dev_on_terminal(&self, args: &[&str]) -> (Dev, Terminal) {
        let (said, out) = self.said();
        let terminal = Terminal::open();
        let child = self.start(&mut terminal.command(&programs().join("koi")), args);
        terminal.record(out);
        (Dev { child, said, tmp: self.tmp() }, terminal)
    }

    /// Where it is noted what is said.
    fn said(&self) -> (PathBuf, File) {
        let path = self.place.path().join("said");
        let file = File::create(&path).expect("a file can be made");
        (path, file)
    }

    fn start(&self, koi: &mut Command, args: &[&str]) -> Child {
        koi.args(["plugins", "dev"]).arg(self.place.path().join("db")).args(args);
        koi.env("TMPDIR", self.tmp()).env("XDG_CACHE_HOME", self.place.path().join("cache"));
        koi.spawn().expect("koi can be run")
    }
}

/// It runs.
pub(crate) struct Dev {
    child: Child,
    said: PathBuf,
    tmp: PathBuf,
}

impl Dev {
    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// How many times it has said these words.
    pub(crate) fn times(&self, words: &str) -> usize {
        self.said().matches(words).count()
    }

    /// Waits until it has said these words so many times.
    #[track_caller]
    pub(crate) fn hear(&mut self, words: &str, times: usize) {
        let mut ended = None;
        let heard = koi_testkit::met_within(koi_testkit::PATIENCE, || {
            ended = self.child.try_wait().expect("it is a child");
            ended.is_some() || self.times(words) >= times
        });
        let said = self.said();
        assert!(heard && said.matches(words).count() >= times, "{words:?} is not said, {ended:?}:\n{said}");
    }

    /// The cluster's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        let mut entries = fs::read_dir(&self.tmp).expect("it was made").flatten();
        entries.next().expect("there is a cluster").path()
    }

    pub(crate) fn local(&self, node: &str) -> Option<Local> {
        let koi = Command::new(programs().join("koi"))
            .args(["-o", "json", "local", "--socket"])
            .arg(self.folder().join(format!("{node}.sock")))
            .output()
            .expect("koi can be run");
        serde_json::from_slice(&koi.stdout).ok()
    }

    /// What the handler says on each node, and where it is promoted.
    pub(crate) fn everywhere(&self) -> (Vec<String>, Vec<&'static str>) {
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
    pub(crate) fn runs(&self, version: &str) {
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

    /// The process of a node's daemon.
    pub(crate) fn daemon(&self, node: &str) -> i32 {
        let noted = fs::read_to_string(self.folder().join(format!("{node}.pid"))).unwrap_or_default();
        noted.trim().parse().expect("a number is noted")
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
        self.end()
    }

    fn end(&mut self) -> ExitStatus {
        wait_some("it ends", || self.child.try_wait().expect("it is a child"))
    }

    /// Ends it by Ctrl-C, and sees that nothing is left.
    #[track_caller]
    pub(crate) fn ends_and_leaves_nothing(self) {
        self.ends_by(|dev| {
            dev.interrupt();
        });
    }

    /// Ends it so, and sees that nothing is left.
    #[track_caller]
    pub(crate) fn ends_by(mut self, end: impl FnOnce(&mut Dev)) {
        let before = self.processes();
        assert!(before.len() > 3, "three daemons run: {before:?}");
        end(&mut self);
        assert_eq!(self.end().code(), Some(0), "{}", self.said());
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
