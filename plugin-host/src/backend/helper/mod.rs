//! Processes that run a service's hooks for koid: koid's own program, started again with a word that says what it is.
//!
//! What is in here serves every kind of helper. A kind adds its own protocol on the socket, and what the process does.

mod backoff;
mod lines;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod slot;
#[allow(unsafe_code)] // Gives sockets to the runtime.
pub(crate) mod socket;
pub(crate) mod talk;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Command;
use std::time::Duration;

use koi_plugin_api::{CallLog, GroupReport, LogLevel};

use output::Output;
use process::{Process, exit_text};
pub(crate) use slot::Slot;

pub(crate) use lines::Lines;
use talk::CallTimers;

/// How long a helper that has closed its end may take to be gone.
pub(crate) const CLOSED_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a message.
pub(crate) const MESSAGE_BYTES: usize = 1024;
/// Bytes of a line for the log.
pub(crate) const LINE_BYTES: usize = 4096;

/// The first `bytes` of a text at most, without half a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A helper's process and what it writes. Dropped, it is killed with its group.
pub(crate) struct HelperProcess {
    // Dropped first.
    pub(crate) process: Process,
    pub(crate) output: Output,
    pub(crate) timers: CallTimers,
}

/// What is left of a helper.
pub(crate) struct Killed {
    /// How its process ended, for people.
    pub(crate) end: String,
    /// What it said last, as the end of a sentence; may be empty.
    pub(crate) last_word: String,
}

impl HelperProcess {
    /// Starts `command` with one end of a socket as standard input; the other end is the answer. Blocks a little; must be called in a
    /// runtime.
    pub(crate) fn start(command: Command) -> io::Result<(HelperProcess, StdStream)> {
        let (ours, theirs) = StdStream::pair()?;
        let ((out, out_end), (err, err_end)) = (io::pipe()?, io::pipe()?);
        let process = Process::start(command, theirs.into(), [out_end.into(), err_end.into()])?;
        let output = Output::new(out.into(), err.into())?;
        Ok((HelperProcess { process, output, timers: CallTimers::new() }, ours))
    }

    /// Says what it has written last.
    pub(crate) fn say_rest(&mut self, log: &dyn CallLog) {
        self.output.rest(&|level, line| log.line(level, line));
    }

    /// Tells the log that it was found dead between two calls, and how it died.
    pub(crate) fn bury(mut self, log: &dyn CallLog) {
        self.say_rest(log);
        // Before the leader is reaped: afterwards the group's id may belong to another process.
        self.process.signal();
        let end = exit_text(self.process.reap());
        log.line(
            LogLevel::Warn,
            &format!("the plugin's process {end} between two calls; a new one is started"),
        );
    }

    /// Ends it with all that it has started.
    pub(crate) async fn kill(self, told: &mut GroupReport) -> Killed {
        let HelperProcess { process, mut output, .. } = self;
        let exit = process.kill().await;
        output.rest(&|level, line| told.log().line(level, line));
        if exit.is_none() {
            told.set_stuck();
        }
        let last_word = match output.last_word() {
            "" => String::new(),
            last => format!(": {last}"),
        };
        Killed { end: exit_text(exit), last_word }
    }
}

/// The way to a helper. Requests wait here until they are sent, so that nobody ever waits for a helper that does not read.
pub(crate) struct RequestSender {
    to: StdStream,
    waiting: VecDeque<u8>,
}

impl RequestSender {
    /// Through a socket that does not block.
    pub(crate) fn new(to: StdStream) -> RequestSender {
        RequestSender { to, waiting: VecDeque::new() }
    }

    /// The socket.
    pub(crate) fn into_socket(self) -> StdStream {
        self.to
    }

    /// Adds a request in its form on the wire.
    pub(crate) fn push(&mut self, encoded: &[u8]) {
        self.waiting.extend(encoded);
    }

    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes of what waits.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.len()
    }

    /// Nobody is there to take what waits.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Sends a part of what waits. May be dropped and begun again at any time.
    pub(crate) async fn send(&mut self) -> io::Result<()> {
        let sent = socket::write(&self.to, self.waiting.as_slices().0).await?;
        self.waiting.drain(..sent);
        Ok(())
    }
}

/// Takes koid's socket away from standard input, where what runs in this helper would read it, and from programs that it starts.
pub(crate) fn take_socket() -> io::Result<StdStream> {
    let socket = StdStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    socket.peer_addr()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Why there is no further answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReplyError {
    /// The helper has closed its end: as a rule it has ended.
    Closed,
    /// That was no answer: something in it writes to koid's socket.
    Garbled,
}
