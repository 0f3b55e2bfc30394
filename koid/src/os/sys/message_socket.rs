//! A socket that keeps messages apart, between koid and its guardian.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

/// Two ends of a socket that keeps messages apart. The first never blocks a sender, and has room for `room` bytes.
pub(crate) fn message_socket(room: usize, message: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    // Beyond the usual limit where that is allowed, else up to it.
    if setsockopt(&ours, sockopt::SndBufForce, &room).is_err() {
        setsockopt(&ours, sockopt::SndBuf, &room.max(message))?;
    }
    Ok((ours, theirs))
}

/// Sends a message; an error, rather than a wait, when there is no room.
pub(crate) fn send_message(socket: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    use nix::sys::socket::{MsgFlags, send};
    send(socket.as_raw_fd(), message, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Receives a message; none: the other end is closed.
pub(crate) fn receive_message(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    use nix::sys::socket::{MsgFlags, recv};
    match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
        Ok(0) | Err(Errno::ECONNRESET) => Ok(None),
        Ok(length) => Ok(Some(length)),
        Err(errno) => Err(errno.into()),
    }
}

/// Waits until there is something to read, or the other end is closed; false: not within `patience`.
pub(crate) fn wait_readable(socket: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let timeout = match patience {
        None => PollTimeout::NONE,
        // Rounded up: waking too early would mean waking again and again.
        Some(patience) => PollTimeout::try_from(patience.as_millis() + 1).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::POLLIN)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
