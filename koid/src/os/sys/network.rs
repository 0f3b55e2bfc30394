//! Sockets, interfaces and addresses of this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits for datagrams on a socket that does not block. Must be called within a tokio runtime.
pub(crate) fn watch_socket(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: the AsyncFd owns the socket, whose descriptor stays the same and open until both are dropped.
    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }.map_err(io::Error::from)
}

/// Whether the other end of a connection has closed it, or its sending half. It never blocks.
pub(crate) fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    let mut asked = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: there is one structure, it is ours, and the descriptor is borrowed while the call lasts.
    let found = unsafe { libc::poll(&raw mut asked, 1, 0) };
    // Of one that cannot be asked nothing is known: something was read from it a moment ago.
    found > 0 && asked.revents & (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) != 0
}

/// An address of a network interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interface {
    /// Its number.
    pub(crate) index: u32,
    /// One of its addresses.
    pub(crate) address: IpAddr,
    /// It is up, not the loopback, and carries multicast.
    pub(crate) multicast: bool,
}

/// The addresses of all interfaces that are up.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in getifaddrs()? {
        let Some(storage) = entry.address else { continue };
        let address = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            (None, None) => continue,
        };
        let up = entry.flags.contains(InterfaceFlags::IFF_UP);
        let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let multicast = up && !loopback && entry.flags.contains(InterfaceFlags::IFF_MULTICAST);
        let index = if_nametoindex(entry.interface_name.as_str()).unwrap_or(0);
        if up {
            found.push(Interface { index, address, multicast });
        }
    }
    Ok(found)
}

/// The address at which others reach this node: `bind`, or if that is any, the one that the kernel would take to reach
/// `peer`.
pub(crate) fn address_towards(bind: IpAddr, peer: Option<SocketAddr>) -> Option<IpAddr> {
    if !bind.is_unspecified() {
        return Some(bind);
    }
    let peer = peer?;
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Connecting a datagram socket sends nothing: it asks the routing table.
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_towards_a_peer_is_one_that_it_can_answer_to() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        assert_eq!(address_towards(any, Some((loopback, 9).into())), Some(loopback));
        assert_eq!(address_towards(loopback, None), Some(loopback));
        assert_eq!(address_towards(any, None), None);
    }

    #[test]
    fn the_loopback_interface_is_found_and_carries_no_multicast() {
        let all = interfaces().unwrap();
        let loopback = all.iter().find(|i| i.address == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert!(!loopback.multicast);
        assert!(loopback.index > 0);
    }
}
