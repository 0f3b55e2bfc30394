//! A service's folder with scripts, and a log that remembers.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a fixture is part of the tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use koi_plugin_api::{
    AbortSignal, Aborter, Call, CallLog, Called, Circumstances, Context, Handler, Hook, HookError, LogLevel,
    NewestEpoch, Observed, Outcome, Role, StatusReport, abort_pair,
};
use koi_plugin_shell::{Shape, ShellHandler};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Far more than anything here takes; reached only when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Memory {
    lines: Mutex<Vec<(LogLevel, String)>>,
    groups: Mutex<Vec<Option<i32>>>,
}

impl CallLog for Memory {
    fn line(&self, level: LogLevel, text: &str) {
        self.lines.lock().unwrap().push((level, text.to_owned()));
    }

    fn group_began(&self, id: i32) {
        self.groups.lock().unwrap().push(Some(id));
    }

    fn group_gone(&self, _: i32) {
        self.groups.lock().unwrap().push(None);
    }
}

/// A service in a folder of its own.
pub struct Service {
    dir: TempDir,
    handler: ShellHandler,
    pub log: Arc<Memory>,
    pub context: Context,
}

impl Service {
    pub fn new() -> Service {
        let dir = TempDir::new().unwrap();
        let handler = ShellHandler::open(Shape::Folder(dir.path().into()), Path::new("/nowhere"));
        let context = Context {
            service: "vip".into(),
            node: "a".into(),
            node_id: "id-of-a".into(),
            cluster: "13".into(),
            call_id: 1,
            attempt: 1,
            role: Role::Standby,
            node_state: "Slave".into(),
            epoch: 65537,
            master: None,
            timeout: PATIENCE,
            home: dir.path().into(),
            workdir: dir.path().into(),
            config: Vec::new(),
            cause: None,
            circumstances: Circumstances::default(),
        };
        Service { dir, handler, log: Arc::default(), context }
    }

    /// The same service as a single file, run in a folder of its own.
    pub fn single_file(body: &str) -> (Service, TempDir) {
        let mut service = Service::new();
        let file = service.script("vip", body);
        let workdir = TempDir::new().unwrap();
        service.handler = ShellHandler::open(Shape::File(file), workdir.path());
        (service, workdir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn handler(&self) -> &ShellHandler {
        &self.handler
    }

    /// Writes an executable shell script.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        self.file(name, &format!("#!/bin/sh\n{body}\n"), 0o755)
    }

    pub fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    pub fn begin(&self, hook: Hook) -> (Aborter, Called) {
        let (aborter, abort) = abort_pair();
        (aborter, self.handler.call(self.the_call(hook, abort)))
    }

    fn the_call(&self, hook: Hook, abort: AbortSignal) -> Call {
        Call {
            hook,
            context: self.context.clone(),
            log: self.log.clone(),
            abort,
            newest_epoch: NewestEpoch::default(),
            attributes: Arc::new(koi_plugin_api::NoCluster),
        }
    }

    /// Runs a hook to its end. The aborter is dropped at once: that aborts nothing.
    pub async fn run(&self, hook: Hook) -> Result<Outcome, HookError> {
        let (_, called) = self.begin(hook);
        tokio::time::timeout(PATIENCE, called).await.expect("the hook has an end")
    }

    pub async fn status(&self) -> StatusReport {
        match self.run(Hook::Status).await {
            Ok(Outcome::Status(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    pub async fn observed(&self, exit: i32) -> Observed {
        self.script("status", &format!("exit {exit}"));
        self.status().await.observed
    }

    pub fn lines(&self, level: LogLevel) -> Vec<String> {
        let lines = self.log.lines.lock().unwrap();
        lines.iter().filter(|(l, _)| *l == level).map(|(_, text)| text.clone()).collect()
    }

    pub fn groups(&self) -> Vec<Option<i32>> {
        self.log.groups.lock().unwrap().clone()
    }

    /// What a script has written to a file in the service's folder, once it is there.
    pub async fn written(&self, name: &str) -> String {
        let path = self.path(name);
        until(|| fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))).await.trim().to_owned()
    }

    /// The id that a script has written to a file.
    pub async fn pid_in(&self, name: &str) -> Pid {
        Pid::from_raw(self.written(name).await.parse().unwrap())
    }
}

/// Waits for something to be there.
pub async fn until<T>(mut there: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited for too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process is there and more than a zombie.
pub fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().split_whitespace().next();
    state.is_some_and(|s| s != "Z" && s != "X")
}

/// A process of a script, ended with the test whatever happens.
pub struct Mortal(pub Pid);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

pub fn failed(text: &str) -> Result<Outcome, HookError> {
    Err(HookError::Failed(text.into()))
}

pub fn cannot_run(result: Result<Outcome, HookError>) -> String {
    match result {
        Err(HookError::CannotRun(why)) => why,
        other => panic!("{other:?}"),
    }
}
