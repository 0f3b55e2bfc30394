//! This process's side of the keeper: the reading end of a child's output.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::keeper::{Fate, KEEP, hand_over};
use crate::start::command;

/// The thread that waits for the keeper does no more than that, and the guardian keeps all of its memory in RAM.
const STACK_BYTES: usize = 128 * 1024;

/// The way to the keeper.
#[derive(Debug, Default)]
struct Way {
    /// None: this process has no keeper.
    program: Option<&'static str>,
    /// None: it is started when it is needed.
    socket: Option<OwnedFd>,
}

static WAY: Mutex<Way> = Mutex::new(Way { program: None, socket: None });

fn way() -> MutexGuard<'static, Way> {
    WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `program` is started as a keeper when there is something to keep.
pub(crate) fn keep_with(program: &'static str) {
    way().program = Some(program);
}

/// Starts the keeper now: for a process whose first child is in a hurry, and with it whoever waits for that child.
pub fn start_keeper() {
    way().start();
}

/// Whether output of children is read on when this process does not read it any more.
pub fn outlives_koi() -> bool {
    way().program.is_some()
}

impl Way {
    /// Does nothing where there is a keeper, or none is wanted.
    fn start(&mut self) {
        if self.socket.is_none() {
            self.socket = self.program.and_then(start);
        }
    }

    /// Hands ends over. What cannot be is read by this process alone, as without a keeper.
    fn hand_over(&mut self, fate: Fate, pipes: &[BorrowedFd<'_>]) {
        // A keeper that was killed is replaced; one that cannot be started is tried again the next time.
        for _ in 0..2 {
            self.start();
            let Some(socket) = &self.socket else { return };
            match hand_over(socket.as_fd(), fate, pipes) {
                Err(error) if is_gone(&error) => self.socket = None,
                Ok(()) | Err(_) => return,
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN];
    error.raw_os_error().is_some_and(|raw| gone.contains(&Errno::from_raw(raw)))
}

/// The socket is there at once, and keeps what is sent; the process is started meanwhile, on a thread that waits for its end.
fn start(program: &'static str) -> Option<OwnedFd> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).ok()?;
    let keeper = std::thread::Builder::new().name("koi-keeper".into()).stack_size(STACK_BYTES);
    let run = move || {
        let started = {
            let mut keeper = command(program);
            let keeper =
                keeper.arg(KEEP).stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
            // A signal for this process's group is not meant for it.
            std::os::unix::process::CommandExt::process_group(keeper.current_dir("/"), 0).spawn()
        };
        if let Ok(mut keeper) = started {
            let _ = keeper.wait();
        }
    };
    keeper.spawn(run).ok().map(|_| ours)
}

/// The reading end of what a child writes. The keeper holds it too; dropped before everybody has closed the other end, it is
/// left to the keeper, which reads on and throws away.
#[derive(Debug)]
pub struct Output(Option<pipe::Receiver>);

impl Output {
    /// Takes the reading end. Must be called in a runtime.
    ///
    /// # Errors
    /// It is no pipe, or there are too many open files.
    pub fn new(end: OwnedFd) -> io::Result<Output> {
        way().hand_over(Fate::Hold, &[end.as_fd()]);
        Ok(Output(Some(pipe::Receiver::from_owned_fd(end)?)))
    }

    /// Whether somebody may still write.
    pub fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for something to read; zero: everybody has closed the other end. May be dropped and begun again at any time.
    pub async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let Some(pipe) = &mut self.0 else { return 0 };
        // A pipe that cannot be read is as good as closed.
        let read = pipe.read(buffer).await.unwrap_or(0);
        if read == 0 {
            self.0 = None;
        }
        read
    }

    /// Reads what is there now, and waits for nothing; none: there is nothing now.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match nix::unistd::read(self.0.as_ref()?, buffer) {
                Ok(read @ 1..) => return Some(read),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return None,
                Ok(_) | Err(_) => {
                    self.0 = None;
                    return None;
                }
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(pipe) = &self.0 {
            way().hand_over(Fate::Drain, &[pipe.as_fd()]);
        }
    }
}
