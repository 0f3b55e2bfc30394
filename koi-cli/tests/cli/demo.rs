//! `koi demo` when things go wrong. The tour on real daemons is `cargo xtask demo -- --script`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A koi with something beside it that is taken for its koid, and a place for the demo's folder.
struct Installed(TempDir);

impl Installed {
    fn with(koid: Option<&str>) -> Installed {
        let installed = Installed(tempfile::tempdir().unwrap());
        fs::hard_link(env!("CARGO_BIN_EXE_koi"), installed.path("koi"))
            .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_koi"), installed.path("koi")).map(drop))
            .unwrap();
        fs::create_dir(installed.path("tmp")).unwrap();
        if let Some(script) = koid {
            fs::write(installed.path("koid"), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(installed.path("koid"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("koi"));
        command.arg("demo").args(args).env("TMPDIR", self.path("tmp")).stdin(Stdio::null());
        command
    }

    fn left_behind(&self) -> usize {
        fs::read_dir(self.path("tmp")).unwrap().count()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn runs(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[test]
fn without_a_koid_it_says_where_one_is_looked_for() {
    let installed = Installed::with(None);
    let output = installed.command(&[]).env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains("koid is not found"), "{output:?}");
    assert!(stderr(&output).contains("beside koi and in PATH"), "{output:?}");
    assert_eq!(installed.left_behind(), 0);
}

#[test]
fn the_last_words_of_a_daemon_that_dies_at_its_start_are_shown() {
    let installed = Installed::with(Some("echo 'the port is in use: stop the other'; exit 1"));
    let output = installed.command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stderr(&output).contains("koid of node a did not start: it ended with exit code 1"),
        "{output:?}"
    );
    assert!(stderr(&output).contains("the port is in use: stop the other"), "{output:?}");
    assert_eq!(installed.left_behind(), 0);
}

#[test]
fn the_tour_shows_the_logs_when_it_did_not_go_well() {
    let installed = Installed::with(Some("echo 'no luck today'; exit 1"));
    let output = installed.command(&["--script", "--keep"]).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout.contains("✗ start "), "{stdout}");
    assert!(stdout.contains("✗ one master   no promote hook ran"), "nothing was proved: {stdout}");
    assert!(stdout.contains("--- the end of the log of a ---\nno luck today"), "{stdout}");
    assert_eq!(installed.left_behind(), 1, "--keep keeps the folder");
}

/// Daemons that do not answer, with something in the background that outlives them.
fn stubborn() -> (Installed, Child, Vec<String>) {
    let installed = Installed::with(None);
    let pids = installed.path("pids");
    let script = format!("#!/bin/sh\nsleep 1000 &\necho $! $$ >>{}\nexec sleep 1000\n", pids.display());
    fs::write(installed.path("koid"), script).unwrap();
    fs::set_permissions(installed.path("koid"), PermissionsExt::from_mode(0o755)).unwrap();
    let child = installed.command(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let read = || fs::read_to_string(&pids).unwrap_or_default();
    koi_testkit::wait_for("three daemons run", || read().lines().count() == 3);
    let started = read().split_whitespace().map(str::to_owned).collect();
    (installed, child, started)
}

#[test]
fn whoever_ends_it_no_process_and_no_folder_is_left_behind() {
    let ended_by = |signal: Signal| {
        let (installed, mut child, started) = stubborn();
        assert!(started.len() == 6 && started.iter().all(|pid| runs(pid)), "{started:?}");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        let left: Vec<&String> = started.iter().filter(|pid| runs(pid)).collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
        assert_eq!(installed.left_behind(), 0, "{signal}");
    };
    std::thread::scope(|scope| {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            scope.spawn(move || ended_by(signal));
        }
    });
}
