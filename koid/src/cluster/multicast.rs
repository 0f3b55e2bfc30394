//! Multicast groups of the transport: joined on every interface that carries multicast, and sent to over each.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::SockRef;
use tokio::io::unix::AsyncFd;

use crate::cluster::sockets::open_group;
use crate::os::sys::{self, Interface};

type WatchedSocket = AsyncFd<UdpSocket>;

/// The groups of the transport.
#[derive(Debug, Default)]
pub(crate) struct MulticastGroups {
    groups: Vec<MulticastGroup>,
    /// Where to send from: one interface's address for IPv4, its number for IPv6.
    interfaces: Vec<Interface>,
}

#[derive(Debug)]
struct MulticastGroup {
    address: SocketAddr,
    /// Receives for the group; none: the node's own socket does.
    socket: Option<WatchedSocket>,
    joined: BTreeSet<(u32, IpAddr)>,
}

impl MulticastGroups {
    /// Replaces the groups. Those that cannot be opened are said and left out. [`MulticastGroups::join`] comes next.
    pub(crate) fn configure(&mut self, wanted: Vec<SocketAddr>, own: &[WatchedSocket]) {
        for gone in self.groups.extract_if(.., |g| !wanted.contains(&g.address)) {
            gone.leave(own);
        }
        for address in wanted {
            if self.groups.iter().any(|g| g.address == address) {
                continue;
            }
            match MulticastGroup::open(address, own) {
                Ok(group) => self.groups.push(group),
                Err(e) => tracing::error!(
                    "cannot listen to the multicast group {address} of cluster.transport: {e}"
                ),
            }
        }
    }

    /// Joins the groups on interfaces that have come.
    pub(crate) fn join(&mut self, interfaces: &[Interface], own: &[WatchedSocket]) {
        if self.groups.is_empty() {
            return;
        }
        self.interfaces = suitable(interfaces, own);
        for group in &mut self.groups {
            group.join(&self.interfaces, own);
        }
    }

    /// The groups' addresses.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.groups.iter().map(|g| g.address)
    }

    /// The sockets that receive for groups.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = &WatchedSocket> {
        self.groups.iter().filter_map(|g| g.socket.as_ref())
    }

    /// Sends to every group over every interface, from the node's own sockets: so that answers find their way.
    pub(crate) fn send(
        &self,
        datagram: &[u8],
        own: &[WatchedSocket],
    ) -> Vec<(SocketAddr, io::Result<usize>)> {
        let mut results = Vec::new();
        for group in &self.groups {
            let Some(socket) = socket_of_family(own, group.address) else { continue };
            let over: Vec<_> = self.interfaces_for(group.address).collect();
            if over.is_empty() {
                results.push((group.address, socket.send_to(datagram, group.address)));
            }
            for interface in over {
                results.push((group.address, send_over(socket, interface, datagram, group.address)));
            }
        }
        results
    }

    fn interfaces_for(&self, group: SocketAddr) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(move |i| i.address.is_ipv4() == group.is_ipv4())
    }
}

impl MulticastGroup {
    fn open(address: SocketAddr, own: &[WatchedSocket]) -> io::Result<MulticastGroup> {
        let Some(unicast) = socket_of_family(own, address) else {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "node.bind has no address of this family; restart koid with one that has",
            ));
        };
        // A socket that is bound to "any" receives for the group too, if the port is the same; a second one there would
        // be a clash.
        let local = unicast.local_addr()?;
        let shares = local.ip().is_unspecified() && local.port() == address.port();
        let socket = match shares {
            true => None,
            false => Some(sys::watch_socket(open_group(address)?)?),
        };
        Ok(MulticastGroup { address, socket, joined: BTreeSet::new() })
    }

    fn receiver<'a>(&'a self, own: &'a [WatchedSocket]) -> Option<&'a UdpSocket> {
        self.socket.as_ref().map(AsyncFd::get_ref).or_else(|| socket_of_family(own, self.address))
    }

    fn join(&mut self, interfaces: &[Interface], own: &[WatchedSocket]) {
        let now: BTreeSet<_> =
            interfaces.iter().filter(|i| i.address.is_ipv4() == self.address.is_ipv4()).map(key).collect();
        // An interface that went takes its membership with it.
        self.joined.retain(|known| now.contains(known));
        let mut joined = Vec::new();
        for place in now.difference(&self.joined) {
            let result = match self.receiver(own) {
                Some(socket) => membership(socket, self.address.ip(), *place, true),
                None => return,
            };
            match result {
                Ok(()) => joined.push(*place),
                // A second address of an interface that is joined already.
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => joined.push(*place),
                Err(e) => {
                    tracing::warn!("cannot join the multicast group {} on {}: {e}", self.address, place.1)
                }
            }
        }
        self.joined.extend(joined);
    }

    fn leave(self, own: &[WatchedSocket]) {
        // A socket of its own leaves by closing.
        if let (None, Some(socket)) = (&self.socket, socket_of_family(own, self.address)) {
            for place in &self.joined {
                let _ = membership(socket, self.address.ip(), *place, false);
            }
        }
    }
}

fn key(interface: &Interface) -> (u32, IpAddr) {
    (interface.index, interface.address)
}

fn socket_of_family(own: &[WatchedSocket], address: SocketAddr) -> Option<&UdpSocket> {
    own.iter()
        .map(AsyncFd::get_ref)
        .find(|s| s.local_addr().is_ok_and(|local| local.is_ipv4() == address.is_ipv4()))
}

/// The interfaces that a socket's address allows: all that carry multicast for "any", its own one otherwise.
fn suitable(interfaces: &[Interface], own: &[WatchedSocket]) -> Vec<Interface> {
    let locals: Vec<_> = own.iter().filter_map(|s| s.get_ref().local_addr().ok()).map(|a| a.ip()).collect();
    let fits = |i: &&Interface| {
        locals.iter().any(|local| match local.is_unspecified() {
            true => i.multicast && local.is_ipv4() == i.address.is_ipv4(),
            false => i.address == *local,
        })
    };
    let mut found: Vec<Interface> = interfaces.iter().filter(fits).cloned().collect();
    // IPv6 knows interfaces by number alone: one address of each is enough.
    found.sort();
    found.dedup_by(|a, b| a.index == b.index && a.address.is_ipv6() && b.address.is_ipv6());
    found
}

fn membership(
    socket: &UdpSocket,
    group: IpAddr,
    (index, address): (u32, IpAddr),
    join: bool,
) -> io::Result<()> {
    match (group, address, join) {
        (IpAddr::V4(group), IpAddr::V4(address), true) => socket.join_multicast_v4(&group, &address),
        (IpAddr::V4(group), IpAddr::V4(address), false) => socket.leave_multicast_v4(&group, &address),
        (IpAddr::V6(group), _, true) => socket.join_multicast_v6(&group, index),
        (IpAddr::V6(group), _, false) => socket.leave_multicast_v6(&group, index),
        (IpAddr::V4(group), IpAddr::V6(_), true) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
        (IpAddr::V4(group), IpAddr::V6(_), false) => {
            socket.leave_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)
        }
    }
}

fn send_over(socket: &UdpSocket, over: &Interface, datagram: &[u8], group: SocketAddr) -> io::Result<usize> {
    let mut to = group;
    match (over.address, &mut to) {
        (IpAddr::V4(address), _) => SockRef::from(socket).set_multicast_if_v4(&address)?,
        (IpAddr::V6(_), SocketAddr::V6(v6)) => v6.set_scope_id(over.index),
        (IpAddr::V6(_), SocketAddr::V4(_)) => {}
    }
    socket.send_to(datagram, to)
}
