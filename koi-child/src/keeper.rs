//! The keeper: a small process that holds the reading end of what children write, so that nothing dies of SIGPIPE, and nothing
//! stands still, when koid is gone.
//!
//! While koid lives the keeper reads nothing: a second holder costs neither time nor lines. What koid lets go of, and everything
//! once koid is gone, it reads and throws away. A pipe that nobody writes to any more is closed; without pipes and without koid
//! the keeper ends.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::descriptors::{receive_descriptors, send_descriptors};
use crate::sys;

/// The word with which the program is started as a keeper, its end of the socket being standard input.
pub const KEEP: &str = "output-keeper";

/// Pipes that are held: two for each hook that runs and each process that hooks have left in the background. What comes beyond is
/// closed at once.
const PIPES: usize = 8192;
/// Bytes that are read at once, to be thrown away.
const CHUNK_BYTES: usize = 64 * 1024;

/// What becomes of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// koid reads it: it is held.
    Hold,
    /// Nobody else reads it any more.
    Drain,
}

/// Hands reading ends to the keeper at the other end; an error rather than a wait.
pub(crate) fn hand_over(socket: BorrowedFd<'_>, fate: Fate, pipes: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_descriptors(socket, if fate == Fate::Drain { b'd' } else { b'h' }, pipes)
}

/// The keeper's life.
pub fn keep() -> ExitCode {
    // It is started when a hook is, and hooks are in a hurry: what it is to hold waits in the socket.
    sys::give_way();
    sys::outlive_signals();
    // With fewer it can hold fewer.
    let _ = sys::open_many_files();
    let stdin = io::stdin();
    let Ok(socket) = stdin.as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let mut keeper = Keeper { koid: Some(socket), pipes: Vec::new(), buffer: vec![0; CHUNK_BYTES] };
    while keeper.koid.is_some() || !keeper.pipes.is_empty() {
        if let Err(error) = keeper.turn() {
            eprintln!("koid's keeper of output has failed: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

struct Pipe {
    end: OwnedFd,
    /// Names it, whoever holds it.
    inode: u64,
    drain: bool,
}

struct Keeper {
    koid: Option<OwnedFd>,
    pipes: Vec<Pipe>,
    buffer: Vec<u8>,
}

impl Keeper {
    /// Waits until something happens, and does what is to be done about it.
    fn turn(&mut self) -> io::Result<()> {
        let alone = self.koid.is_none();
        let mut asked: Vec<PollFd<'_>> = Vec::with_capacity(self.pipes.len() + 1);
        asked.extend(self.koid.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
        asked.extend(self.pipes.iter().map(|pipe| {
            // That nobody writes any more is told unasked.
            let what = if alone || pipe.drain { PollFlags::POLLIN } else { PollFlags::empty() };
            PollFd::new(pipe.end.as_fd(), what)
        }));
        match poll(&mut asked, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let happened: Vec<bool> = asked.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        drop(asked);
        let (words, pipes) = happened.split_at(usize::from(!alone));
        let mut ready = pipes.iter();
        let buffer = &mut self.buffer;
        self.pipes.retain(|pipe| {
            let happened = ready.next().copied().unwrap_or(false);
            !happened || ((alone || pipe.drain) && has_more(pipe, buffer))
        });
        if words.first() == Some(&true) && !self.hear() {
            self.koid = None;
        }
        Ok(())
    }

    /// Takes a word of koid's; false: koid is gone.
    fn hear(&mut self) -> bool {
        let Some(socket) = &self.koid else { return false };
        match receive_descriptors(socket.as_fd()) {
            Ok(Some((word, ends))) => {
                ends.into_iter().for_each(|end| self.take(end, word == b'd'));
                true
            }
            Ok(None) => false,
            Err(error) => matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock),
        }
    }

    fn take(&mut self, end: OwnedFd, drain: bool) {
        let Ok(inode) = nix::sys::stat::fstat(&end).map(|found| found.st_ino) else { return };
        if let Some(known) = self.pipes.iter_mut().find(|pipe| pipe.inode == inode) {
            known.drain |= drain;
        } else if self.pipes.len() < PIPES {
            // A read never waits here, whoever else reads.
            let _ = fcntl(&end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            self.pipes.push(Pipe { end, inode, drain });
        }
    }
}

/// Reads what is there; false: nobody will write any more.
fn has_more(pipe: &Pipe, buffer: &mut [u8]) -> bool {
    match nix::unistd::read(&pipe.end, buffer) {
        Ok(0) => false,
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => true,
        Err(_) => false,
    }
}
