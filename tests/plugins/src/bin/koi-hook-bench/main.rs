//! What one `status` hook costs with each kind of handler, through the very call that koid makes: `cargo xtask bench hooks`.

#![forbid(unsafe_code)]

mod neighbours;
mod price;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use koi_plugin_api::{
    Call, CallLog, Called, Circumstances, Context, Handler, Hook, LogLevel, NewestEpoch, Outcome, Role,
    abort_pair,
};
use koi_plugin_host::{Compiled, Host, Registry, discover};
use koi_plugin_tests::{examples, guests::Guest};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const HELP: &str = "\
koi-hook-bench [--rounds N]

Measures one `status` hook of a shell script, of native plugins and of components of every language that is built, in turn, N times
(default 300), the price of a small component beside that of an empty script, and a `demote` beside services that take what they can. What
is not built is named: plugins/examples/build builds it.";

/// Rounds unless told otherwise, and before any that count.
const ROUNDS: usize = 300;
const WARM_UP: usize = 5;

/// A handler that is slower than this is broken.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A row: what it is called, and the services to take for it, the first that is built: file (none: scripts alone) and `service.toml`
/// but for its first line.
type Row = (&'static str, &'static [(Option<&'static str>, &'static str)]);

const DISK_SPACE_FILE: &str = "disk-space.wasm";
const WAT: &str = "smallest.wasm";
const ROWS: [Row; 9] = [
    ("shell script", &[(None, "")]),
    ("native, Rust", &[(Some("hello-native.so"), "")]),
    ("native, C", &[(Some("hello-c.so"), "")]),
    ("WASM, by hand", &[(Some(WAT), "")]),
    ("WASM, Rust", &[(Some("template-rust.wasm"), "")]),
    ("WASM, C", &[(Some("template-c.wasm"), "")]),
    ("WASM, JavaScript", &[(Some("template-js.wasm"), "")]),
    ("WASM, Python", &[(Some("template-python.wasm"), ""), (Some(DISK_SPACE_FILE), DISK_SPACE)]),
    ("WASM, Go", &[(Some("template-go.wasm"), "")]),
];
const DISK_SPACE: &str =
    "[config]\nlimit = 100\n[grants]\nexec = [\"/usr/bin/df --block-size=1 --output=used,avail -- *\"]\n";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    // koid's own way: compiling and native libraries are for processes of their own.
    if let Some(code) = koi_plugin_host::process(&args) {
        return code;
    }
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let rounds = match args[..] {
        [] => ROUNDS,
        ["--rounds", number] if number.parse().is_ok_and(|n: usize| n > 0) => {
            number.parse().unwrap_or(ROUNDS)
        }
        ["-h" | "--help"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match bench(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("koi-hook-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(rounds: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let bench = Bench { folder: TempDir::new()?, runtime };
    fs::write(bench.folder.path().join(WAT), smallest())?;
    let (mut subjects, mut left_out) = (Vec::new(), Vec::new());
    for (number, (name, services)) in ROWS.iter().enumerate() {
        match bench.subject(number, name, services) {
            Ok(subject) => subjects.push(subject),
            Err(why) => left_out.push(format!("left out: {name}: {why}")),
        }
    }
    for round in 0..WARM_UP + rounds {
        for subject in &mut subjects {
            let took =
                bench.call(subject).map_err(|why| io::Error::other(format!("{}: {why}", subject.name)))?;
            if round >= WARM_UP {
                subject.took.push(took);
            }
        }
    }
    print(&mut subjects, rounds);
    left_out.iter().for_each(|line| println!("{line}"));
    drop(subjects);
    println!();
    price::measure(&bench, rounds)?;
    neighbours::measure(&bench)
}

fn smallest() -> Vec<u8> {
    let status = "(call $status (i32.const 0) %{well} (i32.const 0) (i32.const 0))";
    Guest::new("smallest").hook("status", status).build()
}

/// One handler.
#[derive(Clone)]
struct Subject {
    name: String,
    handler: Arc<dyn Handler>,
    home: PathBuf,
    config: Vec<(String, String)>,
    /// From finding the service to a handler that can be called, with whatever is compiled already.
    load: Duration,
    /// How long it took to compile it before.
    compile: Option<Duration>,
    /// By how much the memory of this process and of its helpers has grown.
    memory_bytes: u64,
    took: Vec<Duration>,
}

struct Bench {
    folder: TempDir,
    runtime: Runtime,
}

impl Bench {
    /// Loads the first of `services` that is built, and calls it once.
    fn subject(
        &self,
        number: usize,
        name: &str,
        services: &[(Option<&str>, &str)],
    ) -> Result<Subject, String> {
        let is_built = |file: &str| self.path(file).exists();
        let found = services.iter().find(|(file, _)| file.is_none_or(is_built));
        let Some((file, manifest)) = found else {
            let file = services.iter().find_map(|(file, _)| *file).unwrap_or_default();
            return Err(format!(
                "{} is not there; plugins/examples/build makes it",
                self.path(file).display()
            ));
        };
        let service = self.folder.path().join(format!("services-{number}"));
        let home = service.join("bench");
        install(&home, file.map(|file| self.path(file)), "status", manifest)
            .map_err(|error| error.to_string())?;
        let before = memory_bytes();
        let compiled = self.open(&service)?.compiled;
        let began = Instant::now();
        let opened = self.open(&service)?;
        let load = began.elapsed();
        let subject = Subject {
            name: match file {
                Some(file) if *file == DISK_SPACE_FILE => format!("{name} (disk-space, runs df)"),
                _ => name.to_owned(),
            },
            handler: opened.handler,
            home,
            config: opened.config,
            load,
            compile: compiled.filter(|compiled| !compiled.cached).map(|compiled| compiled.took),
            memory_bytes: 0,
            took: Vec::new(),
        };
        self.call(&subject)?;
        Ok(Subject { memory_bytes: memory_bytes().saturating_sub(before), ..subject })
    }

    /// A service in a folder of its own, with the handler in this file or a script for one hook.
    fn service(
        &self,
        folder: &str,
        file: Option<&str>,
        hook: &str,
        manifest: &str,
    ) -> Result<Subject, String> {
        let service = self.folder.path().join(folder);
        let home = service.join("bench");
        install(&home, file.map(|file| self.folder.path().join(file)), hook, manifest)
            .map_err(|error| error.to_string())?;
        let opened = self.open(&service)?;
        Ok(Subject {
            name: folder.to_owned(),
            handler: opened.handler,
            home,
            config: opened.config,
            load: Duration::ZERO,
            compile: None,
            memory_bytes: 0,
            took: Vec::new(),
        })
    }

    fn path(&self, file: &str) -> PathBuf {
        let own = self.folder.path().join(file);
        if file == WAT { own } else { examples::path(file) }
    }

    /// The handler of the service in this folder, as a daemon that has just been started gets it.
    fn open(&self, services: &Path) -> Result<Loaded, String> {
        let host = Host::for_daemon(self.folder.path());
        let registry = Registry::new(host, services.to_owned()).with_progress(Arc::new(|_| {}));
        let discovery = discover(services, &registry).map_err(|error| error.to_string())?;
        let found = discovery.services.first().ok_or("the service is not found")?;
        let ready = registry.open(found).map_err(|error| error.to_string())?;
        let facts = registry.plugins().into_iter().find(|plugin| !plugin.used_by.is_empty());
        let compiled = facts.and_then(|plugin| plugin.facts).and_then(|facts| facts.compiled);
        Ok(Loaded { handler: ready.opened.handler, config: ready.config, compiled })
    }

    /// Calls `status` once, in a task of its own as koid's hooks are.
    fn call(&self, subject: &Subject) -> Result<Duration, String> {
        let call = subject.call(Hook::Status, TIMEOUT);
        let task = self.runtime.spawn(async {
            let began = Instant::now();
            let ended = call.await;
            (began.elapsed(), ended)
        });
        match self.runtime.block_on(task).map_err(|error| error.to_string())? {
            (took, Ok(Outcome::Status(_))) => Ok(took),
            (_, other) => Err(format!("its status is {other:?}")),
        }
    }
}

impl Subject {
    /// One call of its handler.
    fn call(&self, hook: Hook, timeout: Duration) -> Called {
        let (_aborter, abort) = abort_pair();
        self.handler.call(Call {
            hook,
            context: Context { timeout, ..context(self) },
            log: Arc::new(Nobody),
            abort,
            newest_epoch: NewestEpoch::default(),
            attributes: Arc::new(koi_plugin_api::NoCluster),
        })
    }
}

/// A handler, and what is known of it.
struct Loaded {
    handler: Arc<dyn Handler>,
    config: Vec<(String, String)>,
    compiled: Option<Compiled>,
}

/// Nobody listens.
struct Nobody;

impl CallLog for Nobody {
    fn line(&self, _: LogLevel, _: &str) {}
}

/// `hook` is that of a script.
fn install(home: &Path, handler: Option<PathBuf>, hook: &str, manifest: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(home)?;
    match handler {
        Some(path) => fs::write(
            home.join("service.toml"),
            format!("handler = {:?}\n{manifest}", path.display().to_string()),
        ),
        None => {
            let script = home.join(hook);
            fs::write(&script, "#!/bin/sh\nexit 0\n")?;
            fs::set_permissions(script, fs::Permissions::from_mode(0o755))
        }
    }
}

fn context(subject: &Subject) -> Context {
    Context {
        service: "bench".into(),
        node: "a".into(),
        node_id: "00000000-0000-4000-8000-000000000001".into(),
        cluster: "13".into(),
        call_id: 1,
        attempt: 1,
        role: Role::Standby,
        node_state: "Slave".into(),
        epoch: 0,
        master: None,
        timeout: TIMEOUT,
        home: subject.home.clone(),
        workdir: subject.home.clone(),
        config: subject.config.clone(),
        cause: None,
        circumstances: Circumstances::default(),
    }
}

/// Resident memory of this process and of all that it has started.
fn memory_bytes() -> u64 {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let statuses: BTreeMap<u32, String> =
        pids.filter_map(|pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/status")).ok()?))).collect();
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let ours =
        statuses.iter().filter(|(pid, status)| **pid == own || field(status, "PPid:") == Some(own.into()));
    ours.filter_map(|(_, status)| field(status, "VmRSS:")).map(|kib| kib * 1024).sum()
}

fn print(subjects: &mut [Subject], rounds: usize) {
    subjects.iter_mut().for_each(|subject| subject.took.sort());
    let shell = subjects.first().map_or(Duration::ZERO, |subject| at(&subject.took, 50));
    let width = subjects.iter().map(|subject| subject.name.len()).max().unwrap_or(0);
    println!("One `status` hook, {rounds} rounds, each handler in turn.\n");
    println!(
        "{:width$}  {:>10} {:>10} {:>9} {:>10} {:>10} {:>10}",
        "", "median", "90 %", "to shell", "load", "compile", "memory"
    );
    for subject in subjects {
        let median = at(&subject.took, 50);
        println!(
            "{:width$}  {:>10} {:>10} {:>9} {:>10} {:>10} {:>10}",
            subject.name,
            shown(median),
            shown(at(&subject.took, 90)),
            format!("{:.3}", median.as_secs_f64() / shell.as_secs_f64()),
            shown(subject.load),
            subject.compile.map(shown).unwrap_or_default(),
            format!("{:.1} MiB", subject.memory_bytes as f64 / f64::from(1 << 20)),
        );
    }
    println!(
        "\nload: until a handler that is compiled already can be called; compile: once per file and version of koid; memory: what this \
         process\nand its helpers have grown by.\n"
    );
}

/// The value below which so many percent of them are.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn shown(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..10_000 => format!("{micros} µs"),
        micros => format!("{} ms", micros / 1000),
    }
}
