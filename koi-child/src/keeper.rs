//! The keeper: a small process that holds the reading end of what children write, so that nothing dies of SIGPIPE, and nothing
//! stands still, when koid is gone.
//!
//! While koid lives the keeper reads nothing: a second holder costs neither time nor lines. What koid lets go of, and everything
//! once koid is gone, it reads and throws away. A pipe that nobody writes to any more is closed; without pipes and without koid
//! the keeper ends.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use crate::sys;

/// The word with which the program is started as a keeper, its end of the socket being standard input.
pub const KEEP: &str = "output-keeper";

/// Pipes that are held: two for each hook that runs and each process that hooks have left in the background. What comes beyond is
/// closed at once.
const PIPES: usize = 8192;
/// Descriptors that come with one word.
const PER_WORD: usize = 2;
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
    let word = [if fate == Fate::Drain { b'd' } else { b'h' }];
    let raw: Vec<RawFd> = pipes.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[io::IoSlice::new(&word)], &rights, flags, None)?;
    Ok(())
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
        let mut word = [0; 1];
        let mut space = nix::cmsg_space!([RawFd; PER_WORD]);
        let mut into = [IoSliceMut::new(&mut word)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let (length, ends) = match recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut into, Some(&mut space), flags)
        {
            Ok(message) => {
                let rights = message.cmsgs().ok().into_iter().flatten();
                let ends = rights.flat_map(|part| match part {
                    ControlMessageOwned::ScmRights(ends) => ends,
                    _ => Vec::new(),
                });
                (message.bytes, ends.map(sys::received).collect::<Vec<_>>())
            }
            Err(Errno::EINTR | Errno::EAGAIN) => return true,
            Err(_) => return false,
        };
        let drain = word[0] == b'd';
        ends.into_iter().for_each(|end| self.take(end, drain));
        length > 0
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
