//! Starting a script, and saying why it cannot be started.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use koi_plugin_api::{CallLog, Context, Hook, HookError};
use nix::errno::Errno;
use tokio::process::{Child, Command as ChildCommand};

use crate::environment;
use crate::group::ScriptGroup;
use crate::inspect::{ScriptDiagnostic, inspect, is_elf, obstacles};
use crate::output::Output;
use crate::regular::is_there;

/// How often a script that is "busy" is tried again, and after what pause.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) hook: Hook,
    pub(crate) path: PathBuf,
    /// The service's folder; none: the service is the single file at `path`.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) workdir: PathBuf,
}

/// A script that runs.
pub(crate) struct Started {
    pub(crate) group: ScriptGroup,
    pub(crate) output: Output,
}

impl Script {
    /// Starts it. Blocks: the file system may be slow, or gone. None: the script isn't there.
    pub(crate) fn start(
        &self,
        context: &Context,
        log: &Arc<dyn CallLog>,
    ) -> Result<Option<Started>, HookError> {
        self.check_service_is_there()?;
        if !is_there(&self.path) {
            return Ok(None);
        }
        let mut child = self.spawn_patiently(context).map_err(|error| self.explain(&error))?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        // From here on whatever goes wrong ends the group.
        let group = ScriptGroup::new(child, log.clone());
        let output = pipes
            .ok_or_else(|| io::Error::other("it has no pipes"))
            .and_then(|(out, err)| Output::new(out.into_owned_fd()?, err.into_owned_fd()?, log));
        let output = output.map_err(|e| self.cannot(format_args!("its output cannot be read: {e}")))?;
        Ok(Some(Started { group, output }))
    }

    /// A script that isn't there is a success; but when the whole service is gone nobody knows what still runs, and
    /// "demoted" would be a lie.
    fn check_service_is_there(&self) -> Result<(), HookError> {
        let gone = match &self.folder {
            Some(folder) => !folder.is_dir(),
            None => !is_there(&self.path),
        };
        if gone {
            let path = self.folder.as_ref().unwrap_or(&self.path).display();
            return Err(
                self.cannot(format_args!("the service itself, {path}, isn't there any more; put it back"))
            );
        }
        Ok(())
    }

    /// A file that some process has open for writing cannot be run (ETXTBSY). That may be a process that knows nothing of
    /// it: whoever writes the script (a configuration tool, a test) while another of its threads forks leaves a copy of
    /// its descriptor in the child until that execs. So it is over in a moment, as a rule.
    fn spawn_patiently(&self, context: &Context) -> io::Result<Child> {
        let mut tries = 0;
        loop {
            match self.spawn(context) {
                Err(error) if is(&error, Errno::ETXTBSY) && tries < BUSY_TRIES => {
                    tries += 1;
                    std::thread::sleep(BUSY_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn spawn(&self, context: &Context) -> io::Result<Child> {
        match self.complete(koi_child::command(&self.path), context).spawn() {
            // No `#!` line: what a shell, or execvp(3), does then.
            Err(error) if is(&error, Errno::ENOEXEC) && self.is_text() => {
                let mut shell = koi_child::command("/bin/sh");
                shell.arg(&self.path);
                self.complete(shell, context).spawn()
            }
            result => result,
        }
    }

    /// Whether a shell can make something of a file that the kernel refused.
    fn is_text(&self) -> bool {
        let hopeless =
            |finding: &ScriptDiagnostic| finding.stops() || *finding == ScriptDiagnostic::NotAProgram;
        !is_elf(&self.path) && !inspect(&self.path).iter().any(hopeless)
    }

    fn complete(&self, mut command: Command, context: &Context) -> ChildCommand {
        if self.folder.is_none() {
            command.arg(self.hook.as_str());
        }
        command
            .current_dir(&self.workdir)
            .env_clear()
            .envs(environment::variables(self.hook, context))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        koi_child::run_exactly(&mut command, None);
        command.into()
    }

    fn explain(&self, error: &io::Error) -> HookError {
        let path = self.path.display();
        if !self.workdir.is_dir() {
            let workdir = self.workdir.display();
            return self.cannot(format_args!(
                "its working directory {workdir} isn't there; create it or change services.workingdir"
            ));
        }
        if let Some(why) = no_room(error) {
            return HookError::NoRoom(format!("{}: {why}", self.hook.as_str()));
        }
        let found = || obstacles(&self.path);
        let why = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ETXTBSY) => format!("somebody is writing to {path}; close the file"),
            Some(Errno::ENOEXEC) => {
                found().unwrap_or_else(|| ScriptDiagnostic::NotAProgram.explain(&self.path))
            }
            // An ELF program whose dynamic loader is missing looks like this too.
            _ => found().unwrap_or_else(|| format!("{path} cannot be run: {error}")),
        };
        self.cannot(format_args!("{why}"))
    }

    /// The hook cannot be run, and why.
    pub(crate) fn cannot(&self, why: std::fmt::Arguments<'_>) -> HookError {
        HookError::CannotRun(format!("{}: {why}", self.hook.as_str()))
    }
}

/// Why there is no room for another process, if that is why it could not be started.
fn no_room(error: &io::Error) -> Option<&'static str> {
    match Errno::from_raw(error.raw_os_error()?) {
        Errno::EAGAIN => Some("no further process is allowed; raise TasksMax of koid's unit, or ulimit -u"),
        Errno::ENOMEM => Some("no memory for a further process"),
        Errno::EMFILE | Errno::ENFILE => Some("too many open files; raise LimitNOFILE of koid's unit"),
        _ => None,
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}
