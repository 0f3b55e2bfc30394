//! One node's fence: a program that is asked to turn the node off, and whether it is off.

use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use koi_child::group::{GroupSignal, ProcessGroup};
use koi_config::{FenceMethod, FenceNode, Fences};
use koi_core::limits;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::password::{Password, PasswordError};

/// Bytes of what a program says that are kept.
const SAID_BYTES: usize = 4096;
/// Characters of its last line that people are shown.
const SHOWN_CHARS: usize = 200;
/// How long what it said is waited for once it has exited: something that it has started may hold its output open.
const SAYING: Duration = Duration::from_millis(200);
/// How long until a node that is still on is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The exit code of `status` that says that the node is off, as fence-agents have it. Zero says that it is on.
const OFF: i32 = 2;

/// What is asked of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Turn the node off.
    Off,
    /// Is it off?
    Status,
    /// Can the device be reached?
    Monitor,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Action::Off => "off",
            Action::Status => "status",
            Action::Monitor => "monitor",
        }
    }
}

/// Why a node is not known to be off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    /// The configuration has no table for it.
    #[error("there is no [fence.nodes.{0}] in this node's koi.toml")]
    Unknown(String),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The program was not started.
    #[error("{program} cannot be started: {error}; install it, or mend [fence] in koi.toml")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// The program says so, or was killed.
    #[error("{program} {action} has failed ({how}){said}", action = .action.as_str())]
    Failed {
        /// The program.
        program: String,
        /// What it was asked.
        action: Action,
        /// How it ended.
        how: String,
        /// The last line that it said, behind a colon; may be empty.
        said: String,
    },
    /// The time was over.
    #[error("{program} {action} was not over in time, and was killed{said}", action = .action.as_str())]
    TimedOut {
        /// The program.
        program: String,
        /// What it was asked.
        action: Action,
        /// The last line that it said, behind a colon; may be empty.
        said: String,
    },
    /// It was turned off, and never seen to be off.
    #[error("{program} has turned it off, and says that it is still on")]
    StillOn {
        /// The program.
        program: String,
    },
    /// Nobody wants it any more.
    #[error("it was told to end")]
    Ended,
}

/// The fence of one node.
pub(crate) struct Device {
    name: String,
    method: FenceMethod,
    node: FenceNode,
    limit: Duration,
    password: Option<Password>,
    /// Is told which process group has begun, and that it is gone.
    watcher: Option<Box<dyn GroupWatcher>>,
}

/// Whoever ends process groups when koid is gone.
pub(crate) trait GroupWatcher: Send + Sync {
    /// This group runs.
    fn began(&self, id: i32);
    /// It is gone.
    fn gone(&self, id: i32);
}

impl Device {
    /// The fence of the node of this name. Reads the password, and may block.
    ///
    /// # Errors
    /// It has none, or its password cannot be used.
    pub(crate) fn of(fences: Option<&Fences>, name: &str) -> Result<Device, FenceError> {
        let known = fences.and_then(|fences| Some((fences, fences.nodes.get(name)?)));
        let Some((fences, node)) = known else { return Err(FenceError::Unknown(name.to_owned())) };
        let password = node.password_file.as_deref().map(Password::read).transpose()?;
        let (method, node) = (fences.how.clone(), node.clone());
        Ok(Device { name: name.to_owned(), method, node, limit: fences.timeout, password, watcher: None })
    }

    /// The same, whose process groups are told to this one.
    pub(crate) fn watched_by(self, watcher: Box<dyn GroupWatcher>) -> Device {
        Device { watcher: Some(watcher), ..self }
    }

    /// Turns the node off, and looks until it is off. `ended`: until then it is wanted.
    ///
    /// # Errors
    /// Nobody knows that it is off. Nothing of the program runs any more.
    pub(crate) async fn turn_off(
        &self,
        limit: Duration,
        ended: impl Future<Output = ()>,
    ) -> Result<(), FenceError> {
        let deadline = Instant::now() + limit;
        let mut ended = std::pin::pin!(ended);
        let (exit, said) = self.run(Action::Off, deadline, ended.as_mut()).await?;
        if !exit.success() {
            return Err(self.failed(Action::Off, exit, said));
        }
        loop {
            let (exit, said) = self.run(Action::Status, deadline, ended.as_mut()).await?;
            match exit.code() {
                Some(OFF) => return Ok(()),
                Some(0) if Instant::now() + LOOK_AGAIN < deadline => {}
                Some(0) => return Err(FenceError::StillOn { program: self.program() }),
                _ => return Err(self.failed(Action::Status, exit, said)),
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = ended.as_mut() => return Err(FenceError::Ended),
            }
        }
    }

    /// Asks the device whether it can be reached, and changes nothing.
    ///
    /// # Errors
    /// It cannot.
    pub(crate) async fn try_out(&self, limit: Duration) -> Result<(), FenceError> {
        let never = std::pin::pin!(std::future::pending());
        let action = match self.method {
            FenceMethod::Agent { .. } => Action::Monitor,
            FenceMethod::Command(_) => Action::Status,
        };
        let (exit, said) = self.run(action, Instant::now() + limit, never).await?;
        match exit.code() {
            Some(0) => Ok(()),
            Some(OFF) if action == Action::Status => Ok(()),
            _ => Err(self.failed(action, exit, said)),
        }
    }

    fn program(&self) -> String {
        match &self.method {
            FenceMethod::Command(words) => words.first().cloned().unwrap_or_default(),
            FenceMethod::Agent { name, .. } => name.clone(),
        }
    }

    fn failed(&self, action: Action, exit: ExitStatus, said: String) -> FenceError {
        FenceError::Failed { program: self.program(), action, how: exit.to_string(), said }
    }

    /// What an agent reads from its standard input. A command reads nothing.
    fn input(&self, action: Action) -> String {
        if matches!(self.method, FenceMethod::Command(_)) {
            return String::new();
        }
        let mut lines = format!("action={}\n", action.as_str());
        for (option, value) in &self.node.options {
            lines.push_str(&format!("{option}={value}\n"));
        }
        if let Some(password) = &self.password {
            lines.push_str(&format!("password={}\n", password.secret()));
        }
        lines
    }

    fn command(&self, action: Action) -> std::process::Command {
        let mut command = match &self.method {
            FenceMethod::Agent { path, .. } => koi_child::command(path),
            FenceMethod::Command(words) => {
                let mut command = koi_child::command(self.program());
                command.args(words.iter().skip(1)).arg(action.as_str()).arg(&self.name);
                command
            }
        };
        command.env_clear().envs(koi_child::environment());
        if matches!(self.method, FenceMethod::Command(_)) {
            let word = |c: char| if c == '-' { '_' } else { c.to_ascii_uppercase() };
            let variable =
                |option: &str| format!("KOI_FENCE_{}", option.chars().map(word).collect::<String>());
            command.envs(self.node.options.iter().map(|(option, value)| (variable(option), value)));
            command.env("KOI_FENCE_NODE", &self.name);
            command.env("KOI_FENCE_TIMEOUT", self.limit.as_secs().to_string());
            if let Some(file) = &self.node.password_file {
                command.env("KOI_FENCE_PASSWORD_FILE", file);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        koi_child::run_exactly(&mut command, None);
        command
    }

    /// Runs the program once: how it has exited, and what it said last. Whatever comes of it, nothing of it runs any more.
    async fn run(
        &self,
        action: Action,
        deadline: Instant,
        ended: std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(ExitStatus, String), FenceError> {
        let not_started = |error| FenceError::NotStarted { program: self.program(), error };
        let mut child = tokio::process::Command::from(self.command(action)).spawn().map_err(not_started)?;
        let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let mut group = ProcessGroup::new(child);
        if let Some(watcher) = &self.watcher {
            watcher.began(group.id());
        }
        let said = Said::default();
        let readers = [out.map(|out| Tail::fill(&said.out, out)), err.map(|err| Tail::fill(&said.err, err))];
        let lines = self.input(action);
        let course = async {
            if let Some(mut input) = input {
                // A program that reads nothing is no worse for that.
                let _ = input.write_all(lines.as_bytes()).await;
            }
            group.exited_with_all().await
        };
        let result = tokio::select! {
            biased;
            () = ended => Err(FenceError::Ended),
            exit = timeout_at(deadline, course) => match exit {
                Ok(exit) => exit.map_err(|error| FenceError::NotStarted { program: self.program(), error }),
                Err(_) => Err(FenceError::TimedOut { program: self.program(), action, said: String::new() }),
            },
        };
        // What it has left behind could turn a node off long after nobody wants that any more.
        let id = group.id();
        if result.is_err() {
            group.end(GroupSignal::Kill, std::future::pending()).await;
        }
        if let Some(watcher) = &self.watcher {
            watcher.gone(id);
        }
        let _ = tokio::time::timeout(SAYING, async {
            for reader in readers.into_iter().flatten() {
                let _ = reader.await;
            }
        })
        .await;
        let last = said.last_line(self.password.as_ref());
        match result {
            Ok(exit) => Ok((exit, last)),
            Err(FenceError::TimedOut { program, action, .. }) => {
                Err(FenceError::TimedOut { program, action, said: last })
            }
            Err(error) => Err(error),
        }
    }
}

/// What a program has said on each of its outputs, bounded. A password that stood half on one and half on the other would not be known.
#[derive(Clone, Default)]
struct Said {
    out: Arc<Mutex<Tail>>,
    err: Arc<Mutex<Tail>>,
}

/// The end of what was said.
#[derive(Clone, Default)]
struct Tail {
    bytes: Vec<u8>,
    /// There was more before.
    is_cut: bool,
}

impl Tail {
    /// Reads an output to its end.
    fn fill(tail: &Arc<Mutex<Tail>>, mut from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<()> {
        let tail = tail.clone();
        tokio::spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(count @ 1..) = from.read(&mut piece).await {
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.bytes.extend_from_slice(&piece[..count]);
                let beyond = tail.bytes.len().saturating_sub(SAID_BYTES);
                tail.bytes.drain(..beyond);
                tail.is_cut |= beyond > 0;
            }
        })
    }

    /// Its last line that tells something.
    fn last_line(&self, password: Option<&Password>) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let text =
            password.map_or_else(|| text.to_string(), |password| password.redacted(&text, self.is_cut));
        // What fence-agents say below each mistake.
        let helps = |line: &&str| !line.is_empty() && !line.ends_with("Please use '-h' for usage");
        text.lines().rev().map(str::trim).find(helps).map(str::to_owned)
    }
}

impl Said {
    /// The last line behind a colon, fit to be shown, of the errors if there are any; empty: it said nothing.
    fn last_line(&self, password: Option<&Password>) -> String {
        let last =
            |tail: &Mutex<Tail>| tail.lock().unwrap_or_else(PoisonError::into_inner).last_line(password);
        let Some(line) = last(&self.err).or_else(|| last(&self.out)) else { return String::new() };
        let line: String = line.chars().take(SHOWN_CHARS.min(limits::REASON_BYTES)).collect();
        format!(": {}", koi_text::escaped(&line, &[]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn script(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join("fence");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    fn fences(how: FenceMethod, options: &[(&str, &str)], password_file: Option<PathBuf>) -> Fences {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let nodes = BTreeMap::from([("b".to_owned(), FenceNode { options, password_file })]);
        Fences { how, timeout: LONG, nodes }
    }

    fn agent(folder: &Path, text: &str) -> Fences {
        let path = script(folder, text);
        let password = folder.join("password");
        fs::write(&password, "geheim\n").expect("it is written");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let how = FenceMethod::Agent { name: "fence_test".to_owned(), path };
        fences(how, &[("ip", "192.0.2.1"), ("port", "3")], Some(password))
    }

    fn device(fences: &Fences) -> Device {
        Device::of(Some(fences), "b").expect("it has a fence")
    }

    /// The process of which this file has the id is more than a zombie.
    fn runs(pid: &Path) -> bool {
        let id = fs::read_to_string(pid).expect("it was started");
        let stat = fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[tokio::test]
    async fn an_agent_reads_its_options_from_standard_input_and_off_is_verified() {
        let folder = tempfile::tempdir().expect("a folder");
        let seen = folder.path().join("seen");
        let text = format!(
            "cat > {0}.now; cat {0}.now >> {0}; echo $# >> {0}; grep -q action=off {0}.now && exit 0; exit 2",
            seen.display()
        );
        let fences = agent(folder.path(), &text);
        device(&fences).turn_off(LONG, std::future::pending()).await.expect("it is off");
        let said = fs::read_to_string(seen).expect("it was run");
        let rest = "ip=192.0.2.1\nport=3\npassword=geheim\n0\n";
        assert_eq!(said, format!("action=off\n{rest}action=status\n{rest}"));
    }

    #[tokio::test]
    async fn a_command_is_told_by_its_arguments_and_its_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let seen = folder.path().join("seen");
        let text = format!(
            "echo \"$* $KOI_FENCE_NODE $KOI_FENCE_PLUG_NO $KOI_FENCE_TIMEOUT\" >> {}; test $2 = off && exit 0; exit 2",
            seen.display()
        );
        let path = script(folder.path(), &text).to_string_lossy().into_owned();
        let fences = fences(FenceMethod::Command(vec![path, "x".into()]), &[("plug-no", "7")], None);
        device(&fences).turn_off(LONG, std::future::pending()).await.expect("it is off");
        assert_eq!(fs::read_to_string(seen).expect("it was run"), "x off b b 7 60\nx status b b 7 60\n");
    }

    #[tokio::test]
    async fn what_it_says_is_shown_in_one_line_and_the_password_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let fences =
            agent(folder.path(), "cat > /dev/null; printf 'login as geheim\\033[0m refused\\n' >&2; exit 1");
        let error =
            device(&fences).turn_off(LONG, std::future::pending()).await.expect_err("it fails").to_string();
        assert!(error.starts_with("fence_test off has failed (exit status: 1): login as …"), "{error}");
        assert!(!error.contains("geheim") && !error.contains('\u{1b}'), "{error}");
    }

    #[tokio::test]
    async fn a_password_that_is_cut_or_stands_among_other_output_is_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = format!("geheim {}", "x".repeat(SAID_BYTES - 4));
        for text in [
            format!("printf '{line}' >&2"),
            "printf 'as geh' >&2; echo more; printf 'eim refused' >&2".to_owned(),
        ] {
            let fences = agent(folder.path(), &format!("cat > /dev/null; {text}; exit 1"));
            let error = device(&fences).turn_off(LONG, std::future::pending()).await.expect_err("it fails");
            assert!(!error.to_string().contains("eim"), "{error}");
        }
    }

    #[tokio::test]
    async fn off_that_is_not_verified_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let fences = agent(folder.path(), "cat > /dev/null; exit 0");
        let limit = Duration::from_secs(2);
        let error = device(&fences).turn_off(limit, std::future::pending()).await.expect_err("it is on");
        let unproven = matches!(error, FenceError::StillOn { .. } | FenceError::TimedOut { .. });
        assert!(unproven, "{error}");
    }

    #[tokio::test]
    async fn whoever_ends_it_ends_all_that_it_has_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let fences = agent(
            folder.path(),
            &format!("sleep 1000 & echo $! > {}.new; mv {0}.new {0}; wait", pid.display()),
        );
        let running = async {
            while !pid.exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let error = device(&fences).turn_off(LONG, running).await.expect_err("it was ended");
        assert!(matches!(error, FenceError::Ended));
        assert!(!runs(&pid), "it runs on");
    }

    #[tokio::test]
    async fn what_it_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let text = format!("sleep 1000 & echo $! > {}; exit 2", pid.display());
        let error = device(&agent(folder.path(), &text)).turn_off(LONG, std::future::pending()).await;
        assert!(matches!(error, Err(FenceError::Failed { .. })), "{error:?}");
        assert!(!runs(&pid), "it runs on");
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let how = FenceMethod::Agent { name: "fence_none".to_owned(), path: folder.path().join("none") };
        let fences = fences(how, &[], None);
        let error =
            device(&fences).turn_off(LONG, std::future::pending()).await.expect_err("it is not there");
        assert!(error.to_string().contains("fence_none cannot be started"), "{error}");
        let unknown = Device::of(Some(&fences), "c").map(|_| ()).expect_err("it has no fence");
        assert_eq!(unknown.to_string(), "there is no [fence.nodes.c] in this node's koi.toml");
    }
}
