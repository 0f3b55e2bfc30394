//! A program that is run for an author: in a process group of its own, which ends with it.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::local_cluster::process::WaitedFor;

/// How long a program that is to stop may take.
const STOP_TIME: Duration = Duration::from_secs(1);
/// How long what a program has left behind may go on writing.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Bytes of a line; a longer one is shown in pieces.
const LINE_BYTES: usize = 16 * 1024;

/// Says when a round is to stop, because a newer one is wanted.
pub(in crate::dev) type Stop = watch::Receiver<bool>;

/// Returns when it is to stop.
pub(super) async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could say so has gone: nobody does.
        std::future::pending::<()>().await;
    }
}

/// How a program ended.
#[derive(Debug)]
pub(super) enum ToolEnd {
    Exited(ExitStatus),
    /// A newer round is wanted.
    Stopped,
}

/// A program that runs. Dropping it kills its whole group.
struct Tool {
    child: Child,
    group: Pid,
    _waited_for: WaitedFor,
}

impl Tool {
    fn start(command: &mut Command) -> io::Result<Tool> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).ok_or(io::ErrorKind::NotFound)?;
        let group = Pid::from_raw(id);
        Ok(Tool { child, group, _waited_for: WaitedFor::child(group) })
    }

    /// Asks it to end, and kills what does not.
    async fn end(mut self) {
        // Whoever has gone needs no signal.
        let _ = killpg(self.group, Signal::SIGTERM);
        let _ = timeout(STOP_TIME, self.child.wait()).await;
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = killpg(self.group, Signal::SIGKILL);
    }
}

/// Runs a program to its end, and hands on each line of what it writes, to standard error too.
pub(super) async fn run(
    mut command: Command,
    stop: &mut Stop,
    mut line: impl FnMut(String),
) -> io::Result<ToolEnd> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut tool = Tool::start(&mut command)?;
    // It holds the pipe's other end, which is to be the program's alone.
    drop(command);
    let mut lines = Lines { pipe: Receiver::from_owned_fd(OwnedFd::from(reader))?, partial: Vec::new() };
    let status = loop {
        tokio::select! {
            () = stopped(stop) => {
                tool.end().await;
                return Ok(ToolEnd::Stopped);
            }
            read = lines.read(&mut line) => if !read? {
                break tool.child.wait().await?;
            },
            status = tool.child.wait() => break status?,
        }
    };
    let rest = async { while lines.read(&mut line).await.is_ok_and(|more| more) {} };
    // What it has started in the background may hold the pipe open.
    let _ = timeout(LAST_WORDS, rest).await;
    lines.flush(&mut line);
    Ok(ToolEnd::Exited(status))
}

/// Runs a program to its end; what it wrote. None: a newer round is wanted.
pub(super) async fn output(mut command: Command, stop: &mut Stop) -> io::Result<Option<Output>> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = Tool::start(&mut command)?;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (tool.child.stdout.take(), tool.child.stderr.take());
    let reading = async {
        let out = async { read_all(stdout, &mut out).await };
        let err = async { read_all(stderr, &mut err).await };
        tokio::join!(out, err);
        tool.child.wait().await
    };
    let status = tokio::select! {
        () = stopped(stop) => None,
        status = reading => Some(status?),
    };
    match status {
        Some(status) => Ok(Some(Output { status, stdout: out, stderr: err })),
        None => {
            tool.end().await;
            Ok(None)
        }
    }
}

async fn read_all(pipe: Option<impl tokio::io::AsyncRead + Unpin>, all: &mut Vec<u8>) {
    if let Some(mut pipe) = pipe {
        // What was read before an error is all there is.
        let _ = pipe.read_to_end(all).await;
    }
}

/// What a program writes, line by line.
struct Lines {
    pipe: Receiver,
    partial: Vec<u8>,
}

impl Lines {
    /// Reads on; false: that was all.
    async fn read(&mut self, line: &mut impl FnMut(String)) -> io::Result<bool> {
        let mut chunk = [0; 8192];
        let read = self.pipe.read(&mut chunk).await?;
        for byte in &chunk[..read] {
            match byte {
                b'\n' => self.flush_always(line),
                byte => self.partial.push(*byte),
            }
            if self.partial.len() >= LINE_BYTES {
                self.flush_always(line);
            }
        }
        Ok(read > 0)
    }

    fn flush(&mut self, line: &mut impl FnMut(String)) {
        if !self.partial.is_empty() {
            self.flush_always(line);
        }
    }

    fn flush_always(&mut self, line: &mut impl FnMut(String)) {
        let bytes = std::mem::take(&mut self.partial);
        line(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned());
    }
}

/// Waits before something is looked at again; false: it is to stop.
pub(super) async fn pause(stop: &mut Stop, time: Duration) -> bool {
    tokio::select! {
        () = stopped(stop) => false,
        () = sleep(time) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn both_outputs_are_heard_in_order_and_the_exit_is_known() {
        let (_asker, mut stop) = watch::channel(false);
        let mut heard = Vec::new();
        let end = runtime()
            .block_on(run(shell("echo a; echo b >&2; printf c; exit 3"), &mut stop, |l| heard.push(l)));
        assert!(matches!(end, Ok(ToolEnd::Exited(status)) if status.code() == Some(3)));
        assert_eq!(heard, ["a", "b", "c"]);
    }

    #[test]
    fn what_stays_in_the_background_is_not_waited_for() {
        let (_asker, mut stop) = watch::channel(false);
        let mut heard = Vec::new();
        let end = runtime().block_on(run(shell("sleep 1000 & echo $!"), &mut stop, |l| heard.push(l)));
        assert!(matches!(end, Ok(ToolEnd::Exited(status)) if status.success()));
        let left = format!("/proc/{}", heard[0]);
        koi_testkit::wait_for("the background is ended", || {
            std::fs::read_to_string(format!("{left}/stat")).map_or(true, |stat| stat.contains(") Z "))
        });
    }

    #[test]
    fn one_that_does_not_want_to_stop_is_killed() {
        let (asker, mut stop) = watch::channel(false);
        let end = runtime().block_on(async {
            let running = run(shell("trap '' TERM; echo up; while :; do sleep 1; done"), &mut stop, |_| {
                asker.send_replace(true);
            });
            running.await
        });
        assert!(matches!(end, Ok(ToolEnd::Stopped)));
    }
}
