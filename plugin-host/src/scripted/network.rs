//! A network of its own for the process that runs tests, and for all that it starts: nothing leads out of it, and the addresses that a test
//! names are in it.
//!
//! Handlers then reach scripted servers at the very addresses that they are configured with, through the sockets and grants that they have
//! under koid; and what no test names is not there.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, socket,
};
use nix::unistd::{getegid, geteuid};

/// The loopback interface is the first one of each network.
const LOOPBACK: u32 = 1;

/// What is asked of the kernel, by `rtnetlink(7)` and `netlink(7)`.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const REQUEST_AND_ACKNOWLEDGE: u16 = 0x1 | 0x4;
const REPLACE_OR_CREATE: u16 = 0x100 | 0x400;
const UP: u32 = 0x1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Nobody is asked whether somebody else has the address: there is nobody.
const IFA_F_NODAD: u8 = 0x02;
/// The kind of an answer that has an error in it, or 0 for none, behind the header.
const ERROR: u16 = 2;
const HEADER_BYTES: usize = 16;

/// Why there is no such network, or an address not in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// The machine does not allow it.
    #[error(
        "this machine gives a test no network of its own ({0}): it takes root's CAP_SYS_ADMIN, or namespaces of users \
         (kernel.unprivileged_userns_clone, user.max_user_namespaces, and a container that allows them)"
    )]
    Refused(Errno),
    #[error("the user in the network of the test cannot be set up: {0}")]
    User(io::Error),
    #[error("the network of the test cannot be set up: {0}")]
    SetUp(#[from] Errno),
}

/// Brings this process, which has one thread, into an empty network. Whoever is not root becomes the owner of a namespace of users, and stays
/// who it is in it.
pub(crate) fn enter() -> Result<(), NetworkError> {
    let (user, group) = (geteuid(), getegid());
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(NetworkError::Refused)?;
        let write = |file: &str, text: String| fs::write(format!("/proc/self/{file}"), text);
        write("setgroups", "deny".into())
            .and_then(|()| write("uid_map", format!("{user} {user} 1")))
            .and_then(|()| write("gid_map", format!("{group} {group} 1")))
            .map_err(NetworkError::User)?;
    }
    let mut up = vec![0; 4];
    up.extend(LOOPBACK.to_ne_bytes());
    up.extend(UP.to_ne_bytes());
    up.extend(UP.to_ne_bytes());
    Ok(ask(NEW_LINK, 0, &up)?)
}

/// Gives this network an address.
pub(crate) fn add(ip: IpAddr) -> Result<(), NetworkError> {
    // Some are there by themselves.
    Ok(ask(NEW_ADDRESS, REPLACE_OR_CREATE, &address(ip))?)
}

/// Takes an address away.
pub(crate) fn remove(ip: IpAddr) -> Result<(), NetworkError> {
    Ok(ask(DELETE_ADDRESS, 0, &address(ip))?)
}

/// An address of the loopback interface, with all its bits.
fn address(ip: IpAddr) -> Vec<u8> {
    let (family, bytes) = match ip {
        IpAddr::V4(ip) => (AddressFamily::Inet, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AddressFamily::Inet6, ip.octets().to_vec()),
    };
    let bits = u8::try_from(bytes.len() * 8).unwrap_or(u8::MAX);
    let mut message = vec![family as u8, bits, IFA_F_NODAD, 0];
    message.extend(LOOPBACK.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        let length = u16::try_from(4 + bytes.len()).unwrap_or(u16::MAX);
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(&bytes);
    }
    message
}

/// Sends the kernel a request, and waits for its answer.
fn ask(kind: u16, flags: u16, body: &[u8]) -> Result<(), Errno> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    bind(netlink.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    let length = u32::try_from(HEADER_BYTES + body.len()).map_err(|_| Errno::EMSGSIZE)?;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(kind.to_ne_bytes());
    request.extend((REQUEST_AND_ACKNOWLEDGE | flags).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    send(netlink.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    let word = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    match (answer.get(4..6), word(HEADER_BYTES).map(i32::from_ne_bytes)) {
        (Some(kind), Some(0)) if kind == ERROR.to_ne_bytes() => Ok(()),
        (Some(kind), Some(error)) if kind == ERROR.to_ne_bytes() => Err(Errno::from_raw(-error)),
        _ => Err(Errno::EPROTO),
    }
}
