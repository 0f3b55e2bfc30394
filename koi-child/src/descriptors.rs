//! Descriptors on their way from one process to another.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use crate::sys;

/// Descriptors that may come with one word; the kernel closes those beyond.
const PER_WORD: usize = 3;

/// Sends a word with `descriptors`, three at most, through a socket of the Unix kind; an error rather than a wait.
pub fn send_descriptors(socket: BorrowedFd<'_>, word: u8, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(&[word])], &rights, flags, None)?;
    Ok(())
}

/// Receives a word with its descriptors. None: the other end is closed.
pub fn receive_descriptors(socket: BorrowedFd<'_>) -> io::Result<Option<(u8, Vec<OwnedFd>)>> {
    let mut word = [0; 1];
    let mut space = nix::cmsg_space!([RawFd; PER_WORD]);
    let mut into = [IoSliceMut::new(&mut word)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut into, Some(&mut space), flags)?;
    let rights = message.cmsgs().ok().into_iter().flatten();
    let ends = rights.flat_map(|part| match part {
        ControlMessageOwned::ScmRights(ends) => ends,
        _ => Vec::new(),
    });
    let received = ends.map(sys::received).collect();
    let there = message.bytes > 0;
    Ok(there.then_some((word[0], received)))
}
