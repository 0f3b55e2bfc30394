//! One node: its files, its daemon, and how it is asked.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use koi_proto::api::{Done, Electors, Failures, Local, Status};
use koi_proto::client::{Client, ClientError, Endpoint};
use koi_testkit::{PATIENCE, met_within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process;
use crate::service::Service;
use crate::settings::Settings;

/// How long one answer of the API may take.
const ANSWER: Duration = Duration::from_secs(30);
/// What `koi` is told about the same.
const ANSWER_OPTION: &str = "60s";
/// What `koi` exits with when there is no answer in time, or nobody leads.
const NO_ANSWER: i32 = 4;
/// The argument by which `koid` knows that it is to be a guardian.
const GUARDIAN: &str = "--guard";

/// One node of a cluster.
#[derive(Debug)]
pub struct Node {
    /// `node.name`.
    pub name: String,
    /// `node.port`.
    pub port: u16,
    /// Holds all of the node's files.
    pub folder: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// `node.socket`.
    pub socket: PathBuf,
    /// `node.state_dir`.
    pub state_dir: PathBuf,
    /// `services.folder`.
    pub services: PathBuf,
    /// What the configuration says; [`Node::write_config`] puts it into the file.
    pub settings: RefCell<Settings>,
    /// Whether the daemon finds its configuration in its working directory, or is told where it is.
    pub(crate) finds_config: bool,
    /// The folder of the node's `koid` and `koi`.
    pub(crate) programs: PathBuf,
    /// The program and arguments within which the daemon is run; empty: none.
    pub(crate) within: Vec<String>,
    pub(crate) hooklog: PathBuf,
    pub(crate) daemon: RefCell<Option<Child>>,
}

/// A `koi` that runs.
#[derive(Debug)]
pub struct Begun {
    said: String,
    child: Child,
}

impl Begun {
    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If it has been waited for.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id is positive");
        kill(Pid::from_raw(pid), signal).expect("koi runs, or has not been waited for");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn end(mut self) -> Ran {
        let ended = met_within(PATIENCE, || !self.is_running());
        if !ended {
            let _ = self.child.kill();
        }
        let ran = ran(self.said.clone(), &self.child.wait_with_output().expect("a child can be waited for"));
        assert!(ended, "{} does not end:\n{}{}", self.said, ran.out, ran.err);
        ran
    }
}

/// A program that has run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was run.
    pub command: String,
    /// Its exit code; -1: a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Asserts the exit code, and returns standard output.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}\nsaid:\n{}{}", self.command, self.out, self.err);
        &self.out
    }

    /// Asserts the exit code and that standard error has each of `words` in it.
    #[track_caller]
    pub fn refuses(&self, code: i32, words: &[&str]) {
        self.exits(code);
        for word in words {
            assert!(self.err.contains(word), "{} does not say {word:?}:\n{}", self.command, self.err);
        }
    }
}

impl Node {
    /// The daemon's log.
    pub fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Everything that the daemon's runs have logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The last lines of the log.
    pub fn last_lines(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// Whether the log says all of `words` in one line.
    pub fn says(&self, words: &[&str]) -> bool {
        self.log().lines().any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// Puts [`Node::settings`] into the configuration file.
    pub fn write_config(&self) {
        self.write_config_text(&self.settings.borrow().to_toml());
    }

    /// Puts this text into the configuration file.
    pub fn write_config_text(&self, text: &str) {
        fs::write(&self.config, text).expect("a configuration can be written");
    }

    /// Sets a key in the file; a daemon that runs does not know yet.
    pub fn set(&self, key: &str, value: &str) {
        self.settings.borrow_mut().set(key, value);
        self.write_config();
    }

    /// The command that starts the daemon.
    pub fn koid(&self) -> Command {
        let mut command = match self.within.split_first() {
            None => Command::new(self.programs.join("koid")),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(self.programs.join("koid"));
                command
            }
        };
        command.current_dir(&self.folder).stdin(Stdio::null()).env("KOI_TEST_CLUSTER", &self.folder);
        // Whatever runs the tests does not start their daemons again.
        command.env_remove("NOTIFY_SOCKET").env_remove("KOI_RESTARTED_BY");
        if !self.finds_config {
            command.arg("-f").arg(&self.config);
        }
        command
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(&self) {
        self.spawn();
        let answered = met_within(PATIENCE, || self.local().is_ok() || !self.is_running());
        assert!(answered && self.is_running(), "{} does not start:\n{}", self.name, self.last_lines(40));
    }

    /// Starts the daemon.
    pub fn spawn(&self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.expect("a log can be written");
        let child = self.koid().stdout(Stdio::null()).stderr(log).spawn().expect("koid can be run");
        *self.daemon.borrow_mut() = Some(child);
    }

    /// Runs the daemon when it is expected to end by itself.
    ///
    /// # Panics
    /// If it does not.
    pub fn run_to_end(&self) -> Ran {
        let errors = self.folder.join("errors");
        let file = fs::File::create(&errors).expect("a file can be written");
        let mut command = self.koid();
        let mut child = command.stdout(Stdio::null()).stderr(file).spawn().expect("koid can be run");
        let ended = met_within(PATIENCE, || !matches!(child.try_wait(), Ok(None)));
        if !ended {
            let _ = child.kill();
        }
        let code = child.wait().ok().and_then(|status| status.code()).unwrap_or(-1);
        let err = fs::read_to_string(errors).unwrap_or_default();
        assert!(ended, "{} was expected to end, and runs:\n{err}", self.name);
        Ran { command: format!("{command:?}"), code, out: String::new(), err }
    }

    /// The daemon's process id.
    pub fn pid(&self) -> Option<Pid> {
        self.daemon.borrow().as_ref().and_then(|child| i32::try_from(child.id()).ok()).map(Pid::from_raw)
    }

    /// The process id of the daemon's guardian, once it was started.
    pub fn guardian(&self) -> Option<Pid> {
        self.pid().and_then(|daemon| process::helpers_of(daemon, GUARDIAN).first().copied())
    }

    /// Whether the daemon runs.
    pub fn is_running(&self) -> bool {
        self.daemon.borrow_mut().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().expect("the daemon was started");
        kill(pid, signal).expect("the daemon runs");
    }

    /// SIGSTOP, and waits until the daemon stands still.
    ///
    /// # Panics
    /// If it does not.
    pub fn halt(&self) {
        let pid = self.pid().expect("the daemon was started");
        self.signal(Signal::SIGSTOP);
        assert!(met_within(PATIENCE, || process::is_still(pid)), "{} does not stand still", self.name);
    }

    /// kill -9 of the daemon's process alone.
    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait_end();
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Panics
    /// If the daemon does not end well.
    pub fn stop(&self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait_end();
        assert!(status.success(), "{} did not end well: {status}\n{}", self.name, self.last_lines(40));
    }

    /// Waits until the daemon has ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait_end(&self) -> ExitStatus {
        let ended = met_within(PATIENCE, || !self.is_running());
        assert!(ended, "{} does not end:\n{}", self.name, self.last_lines(40));
        let mut child = self.daemon.borrow_mut().take().expect("the daemon was started");
        child.wait().expect("a child can be waited for")
    }

    /// Puts a service into the node's folder; the name may have a priority.
    pub fn add(&self, name: &str, service: &Service) {
        service.install(&self.services.join(name), &self.hooklog);
    }

    /// Puts a service into the folder of a group, which is made if it is not there.
    ///
    /// # Panics
    /// If that cannot be.
    pub fn add_to(&self, group: &str, name: &str, service: &Service) {
        let folder = self.group_folder(group);
        fs::create_dir_all(&folder).expect("a folder can be made");
        service.install(&folder.join(name), &self.hooklog);
    }

    /// Where the services of a group are.
    pub fn group_folder(&self, group: &str) -> PathBuf {
        match group {
            "main" => self.services.clone(),
            other => self.folder.join("groups").join(other),
        }
    }

    /// Takes a service away as someone does who removes a package.
    pub fn remove(&self, name: &str) {
        let path = self.services.join(name);
        let gone = self.folder.join(format!("gone-{name}"));
        let _ = fs::remove_dir_all(&gone);
        fs::rename(path, gone).expect("a service can be taken away");
    }

    /// What `status` of a recorded service exits with from now on, and a sentence that it says.
    pub fn set_status(&self, name: &str, code: u8, message: &str) {
        let path = self.services.join(name).join("status-code");
        // All at once: the script may be reading it.
        let beside = path.with_extension("new");
        fs::write(&beside, format!("{code} {message}\n")).expect("a file can be written");
        fs::rename(beside, path).expect("a file can be renamed");
    }

    /// Runs `koi` against this node, with its configuration.
    pub fn koi(&self, args: &[&str]) -> Ran {
        let config = self.config.to_string_lossy();
        let mut all = vec!["-f", &config];
        all.extend(args);
        let own = args.contains(&"-t") || args.iter().any(|a| ["check", "config", "keygen"].contains(a));
        if !own {
            all.extend(["-t", ANSWER_OPTION]);
        }
        run_koi(&self.programs, &self.folder, &all)
    }

    /// Runs `koi` as a script does that has this token.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn koi_in_hook(&self, token: &str, args: &[&str]) -> Ran {
        let mut command = koi_command(&self.programs, &self.folder, args);
        command.env("KOI_TOKEN", token).env("KOI_SOCKET", &self.socket);
        ran(format!("koi {}", args.join(" ")), &command.output().expect("koi can be run"))
    }

    /// Begins to run `koi` against this node, with these arguments alone and its configuration.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn begin_koi(&self, args: &[&str]) -> Begun {
        let mut command = koi_command(&self.programs, &self.folder, &["-f", &self.config.to_string_lossy()]);
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        Begun { said: format!("koi {}", args.join(" ")), child: command.spawn().expect("koi can be run") }
    }

    /// As [`Node::koi`] with a command that may as well be given twice: nobody leads during an election, and leadership may
    /// move while the command is carried out. Then it is given again.
    pub fn order(&self, args: &[&str]) -> Ran {
        let mut ran = self.koi(args);
        met_within(PATIENCE, || {
            if ran.code == NO_ANSWER {
                ran = self.koi(args);
            }
            ran.code != NO_ANSWER
        });
        ran
    }

    /// `GET path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let client = self.client();
        block_on(async { client.get(path).await })
    }

    /// `POST path`.
    pub fn post(&self, path: &str, body: &impl Serialize) -> Result<Done, ClientError> {
        let client = self.client();
        block_on(async { client.post(path, body).await })
    }

    /// The leader's view, as this node passes it on.
    pub fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status")
    }

    /// How the node sees itself.
    pub fn local(&self) -> Result<Local, ClientError> {
        self.get("/v1/local")
    }

    /// The failures that the leader knows.
    pub fn failures(&self) -> Result<Failures, ClientError> {
        self.get("/v1/failures")
    }

    /// The names of the nodes of this membership (`member`, `outside`), as it or the leader knows; empty: nobody answers.
    pub fn electors(&self, membership: &str) -> Vec<String> {
        let all = self.get::<Electors>("/v1/electors").map(|list| list.electors).unwrap_or_default();
        all.into_iter().filter(|e| e.membership == membership).map(|e| e.name).collect()
    }

    /// Gives it a copy of another node's identity and state, and nothing else of its state folder. No daemon of its own may run.
    ///
    /// # Panics
    /// If the files cannot be copied.
    pub fn copy_state_of(&self, original: &Node) {
        self.lose_state();
        fs::create_dir_all(&self.state_dir).expect("a folder can be made");
        for file in ["state", "identity"] {
            fs::copy(original.state_dir.join(file), self.state_dir.join(file)).expect("a file can be copied");
        }
    }

    /// Its state folder is gone: to the others it is a new machine. No daemon may run.
    pub fn lose_state(&self) {
        let _ = fs::remove_dir_all(&self.state_dir);
    }

    fn client(&self) -> Client {
        Client::new(Endpoint::Socket(self.socket.clone()), ANSWER)
    }
}

/// Runs the `koi` of `programs` in `folder`.
pub(crate) fn run_koi(programs: &Path, folder: &Path, args: &[&str]) -> Ran {
    let output = koi_command(programs, folder, args).output().expect("koi can be run");
    ran(format!("koi {}", args.join(" ")), &output)
}

fn koi_command(programs: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(programs.join("koi"));
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command.env("NO_COLOR", "1").env("COLUMNS", "200").env_remove("KOI_SECRET");
    command.env_remove("KOI_TOKEN").env_remove("KOI_SOCKET");
    command
}

fn ran(command: String, output: &Output) -> Ran {
    Ran {
        command,
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a small runtime can be made").block_on(work)
}
