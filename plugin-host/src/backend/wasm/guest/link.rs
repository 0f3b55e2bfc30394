//! The way to koid.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use koi_plugin_api::{CallLog, Incident, LogLevel};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::oneshot;

use crate::backend::wasm::protocol::{
    GuestMessage, GuestQuestion, HostAnswer, LOOKUPS_OPEN, LookupAnswer, encode, number_of_level,
};

/// Says things to koid, and takes its answers.
pub(crate) struct Link {
    socket: UnixStream,
    /// koid answers: a component that only says what it is has nobody to ask.
    answers: bool,
    /// Waits for the answer to the open question.
    waits: Mutex<Option<oneshot::Sender<HostAnswer>>>,
    lookups: Mutex<OpenLookups>,
}

/// The look-ups of the call under way that have no answer yet.
#[derive(Default)]
struct OpenLookups {
    /// Over all calls: an answer that comes too late is nobody's.
    last: u64,
    wait: HashMap<u64, oneshot::Sender<LookupAnswer>>,
}

impl Link {
    /// Through this socket, which does not block. `answers`: koid takes questions.
    pub(crate) fn new(socket: UnixStream, answers: bool) -> Link {
        Link { socket, answers, waits: Mutex::default(), lookups: Mutex::default() }
    }

    /// Says something. Where koid does not read this waits: a guest is not to say more than koid can hear.
    pub(crate) fn send(&self, message: &GuestMessage) {
        if self.write(&encode(message)).is_err() {
            // koid is gone: whatever this process does, it does it for nobody.
            std::process::exit(0);
        }
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.socket).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut ready, PollTimeout::NONE)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks koid something. None: the call is over.
    pub(crate) async fn ask(&self, question: GuestQuestion) -> Option<HostAnswer> {
        self.asked(question).await.ok()
    }

    /// Asks, and lets the caller say more before it waits for the answer.
    pub(crate) fn asked(&self, question: GuestQuestion) -> oneshot::Receiver<HostAnswer> {
        let (sender, receiver) = oneshot::channel();
        if !self.answers {
            return receiver;
        }
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.send(&GuestMessage::Question(question));
        receiver
    }

    /// koid has answered.
    pub(crate) fn answered(&self, answer: HostAnswer) {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waits) = waits {
            // The call may be over.
            let _ = waits.send(answer);
        }
    }
}

/// Names.
impl Link {
    /// Asks koid for the addresses of a name that [may be looked up](crate::backend::wasm::protocol::may_be_looked_up). No answer comes
    /// where nobody is asked, or when the call is over.
    pub(crate) fn look_up(&self, name: String) -> oneshot::Receiver<LookupAnswer> {
        let (sender, receiver) = oneshot::channel();
        if !self.answers {
            return receiver;
        }
        let mut lookups = self.lookups();
        if lookups.wait.len() >= LOOKUPS_OPEN {
            let _ = sender.send(LookupAnswer::Busy);
            return receiver;
        }
        lookups.last += 1;
        let number = lookups.last;
        lookups.wait.insert(number, sender);
        drop(lookups);
        self.send(&GuestMessage::LookUp(number, name));
        receiver
    }

    /// koid has looked a name up.
    pub(crate) fn found(&self, number: u64, answer: LookupAnswer) {
        if let Some(wait) = self.lookups().wait.remove(&number) {
            // The guest may have given up.
            let _ = wait.send(answer);
        }
    }

    /// The call is over: koid answers no more.
    pub(crate) fn forget_lookups(&self) {
        self.lookups().wait = HashMap::new();
    }

    fn lookups(&self) -> MutexGuard<'_, OpenLookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallLog for Link {
    fn line(&self, level: LogLevel, text: &str) {
        self.send(&GuestMessage::Line(number_of_level(level), text.to_owned()));
    }

    fn incident(&self, incident: Incident) {
        self.send(&GuestMessage::Incident(match incident {
            Incident::Crashed => 0,
            Incident::Unsupported => 1,
            Incident::NoScore => 2,
        }));
    }
}
