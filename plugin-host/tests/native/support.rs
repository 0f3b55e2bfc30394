//! Builds plugins, opens services that use them, and calls their hooks.
#![allow(clippy::unwrap_used, reason = "a fixture is part of the tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use koi_plugin_api::{
    Abort, Aborter, Call, CallLog, Circumstances, Context, Handler, Hook, HookError, LogLevel, NewestEpoch,
    Observed, Outcome, Role, StatusReport, abort_pair,
};
use koi_plugin_host::{Host, Registry, discover};
use tempfile::TempDir;

/// Where waiting ends at a condition: a loaded machine may need it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// The C compiler's work on `source`; none: there is no compiler.
pub(crate) fn cc(source: &Path, to: &Path, flags: &[&str]) -> Option<()> {
    let include = format!("-I{}", repository("plugin-api/include").display());
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", &include]).args(flags);
    run(cc.arg("-o").arg(to).arg(source), "cc")
}

/// Runs a tool of the build; none, and a line that says so: it is missing.
pub(crate) fn run(command: &mut Command, name: &str) -> Option<()> {
    let Ok(output) = command.output() else {
        koi_testkit::skip(&format!("there is no {name} here"));
        return None;
    };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// A folder with a registry and the services that use it.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) registry: Registry,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let host = Host {
            program: env!("CARGO_BIN_EXE_koi-plugin-helper").into(),
            dir: dir.path().join("plugins"),
            protected: Vec::new(),
            resolver: Default::default(),
            stand_in: None,
        };
        let registry = Registry::new(host, dir.path().to_owned());
        fs::create_dir(dir.path().join("services")).unwrap();
        Bench { dir, registry }
    }

    /// misbehaving.c, with these flags.
    pub(crate) fn misbehaving(&self, flags: &[&str]) -> Option<PathBuf> {
        let plugin = self.dir.path().join("misbehaving.so");
        cc(&repository("plugin-host/tests/native/misbehaving.c"), &plugin, flags)?;
        Some(plugin)
    }

    /// A service with this handler and the rest of its `service.toml`, or why there is none.
    pub(crate) fn try_service(&self, name: &str, plugin: &Path, rest: &str) -> Result<Service, String> {
        let home = self.dir.path().join("services").join(name);
        fs::create_dir_all(&home).unwrap();
        let manifest = format!("handler = \"{}\"\n{rest}", plugin.display());
        fs::write(home.join("service.toml"), manifest).unwrap();
        let found = discover(&self.dir.path().join("services"), &self.registry).unwrap().services;
        let found = found.iter().find(|found| found.name == name).unwrap();
        let ready = self.registry.open(found).map_err(|error| error.to_string())?;
        Ok(Service { handler: ready.opened.handler, config: ready.config, home })
    }

    pub(crate) fn service(&self, name: &str, plugin: &Path, config: &[(&str, &str)]) -> Service {
        let lines: String = config.iter().map(|(key, value)| format!("{key} = {value:?}\n")).collect();
        self.try_service(name, plugin, &format!("[config]\n{lines}")).unwrap()
    }
}

/// A service of misbehaving.c whose hooks do as `config` says; none: there is no compiler.
pub(crate) fn misbehaving(config: &[(&str, &str)]) -> Option<(Bench, Service)> {
    let bench = Bench::new();
    let plugin = bench.misbehaving(&[])?;
    let service = bench.service("bad", &plugin, config);
    Some((bench, service))
}

/// A service with its handler.
pub(crate) struct Service {
    pub(crate) handler: Arc<dyn Handler>,
    config: Vec<(String, String)>,
    pub(crate) home: PathBuf,
}

impl Service {
    /// A call with a time-out that is never reached.
    pub(crate) async fn call(&self, hook: Hook) -> Result<Outcome, HookError> {
        self.prepare(hook, PATIENCE).run().await
    }

    /// What `status` says.
    pub(crate) async fn status(&self) -> StatusReport {
        match self.call(Hook::Status).await {
            Ok(Outcome::Status(report)) => report,
            other => panic!("no status: {other:?}"),
        }
    }

    pub(crate) fn prepare(&self, hook: Hook, timeout: Duration) -> Prepared {
        let (aborter, abort) = abort_pair();
        let context = Context {
            service: "bad".into(),
            node: "node-1".into(),
            node_id: "00000000-0000-4000-8000-000000000001".into(),
            cluster: "13".into(),
            call_id: 7,
            attempt: 1,
            role: Role::Standby,
            node_state: "Slave".into(),
            epoch: 5,
            master: Some(("node-2".into(), "10.0.0.2".into())),
            timeout,
            home: self.home.clone(),
            workdir: self.home.clone(),
            config: self.config.clone(),
            cause: None,
            circumstances: Circumstances::default(),
        };
        let log = Arc::new(Recorder::default());
        let call = Call {
            hook,
            context,
            log: log.clone(),
            abort,
            newest_epoch: NewestEpoch::default(),
            attributes: Arc::new(koi_plugin_api::NoCluster),
        };
        Prepared { called: self.handler.clone(), call, log, aborter }
    }
}

/// A call that can be started.
pub(crate) struct Prepared {
    called: Arc<dyn Handler>,
    pub(crate) call: Call,
    pub(crate) log: Arc<Recorder>,
    aborter: Aborter,
}

impl Prepared {
    pub(crate) async fn run(self) -> Result<Outcome, HookError> {
        self.called.call(self.call).await
    }

    /// Runs it, and asks for its end as soon as it has said `word` in its log.
    pub(crate) async fn run_and_abort(self, word: &str, how: Abort) -> Result<Outcome, HookError> {
        let Prepared { called, call, log, aborter } = self;
        let call = tokio::spawn(called.call(call));
        until("the call is in the plugin", || log.has(word)).await;
        aborter.abort(how);
        call.await.unwrap()
    }
}

/// Keeps everything that a call says.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) lines: Mutex<Vec<(LogLevel, String)>>,
    groups: Mutex<Vec<Option<i32>>>,
}

impl CallLog for Recorder {
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

impl Recorder {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|(_, text)| text == line)
    }

    pub(crate) fn at(&self, level: LogLevel) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == level).map(|(_, text)| text.clone()).collect()
    }

    /// What was told of process groups.
    pub(crate) fn groups(&self) -> Vec<Option<i32>> {
        self.groups.lock().unwrap().clone()
    }

    /// The group that was told of first.
    pub(crate) fn group(&self) -> i32 {
        self.groups().first().copied().flatten().expect("a group was told of")
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    koi_testkit::until(what, || condition().then_some(())).await;
}

/// The text of a hook that failed.
pub(crate) fn failed(result: Result<Outcome, HookError>) -> String {
    match result {
        Err(HookError::Failed(text)) => text,
        other => panic!("did not fail: {other:?}"),
    }
}

/// The text of a hook that was not done in time.
pub(crate) fn timed_out(result: Result<Outcome, HookError>) -> String {
    match result {
        Err(HookError::TimedOut(text)) => text,
        other => panic!("did not time out: {other:?}"),
    }
}

pub(crate) fn observed(observed: Observed, message: &str) -> StatusReport {
    StatusReport { message: message.into(), ..observed.into() }
}
