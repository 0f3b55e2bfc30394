//! Opens the node's port: UDP for the cluster, TCP for the API from afar.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// How many ports are tried when `node.increment_port` is set.
const PORTS_TRIED: u16 = 20;
/// Connections that wait for the API to take them: a burst of strangers is not to push out who comes after it.
const TCP_BACKLOG: i32 = 1024;
/// A burst of every node's messages fits; the kernel may give less.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    #[error(
        "port {port} ({protocol}) is in use on {address}: another koid, or another program. End it, or set another \
         node.port (`ss -lnp | grep {port}` shows who it is)"
    )]
    InUse { address: IpAddr, port: u16, protocol: &'static str },
    #[error("ports {first} to {last} are all in use on {address}; set another node.port")]
    AllInUse { address: IpAddr, first: u16, last: u16 },
    #[error(
        "{address} is no address of this machine; set node.bind to one that is (`ip address` shows them)"
    )]
    NotOurs { address: IpAddr },
    #[error("cannot open port {port} ({protocol}) on {address}: {source}")]
    Other { address: IpAddr, port: u16, protocol: &'static str, source: io::Error },
}

/// The open sockets, none of which blocks.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The port of all of them.
    pub(crate) port: u16,
    /// One per address.
    pub(crate) udp: Vec<UdpSocket>,
    /// One per address.
    pub(crate) tcp: Vec<TcpListener>,
}

/// The addresses to listen on: `bind`, and the other family's "any" when `bind` is one and the transport needs both.
pub(crate) fn addresses(bind: IpAddr, transport: &[SocketAddr]) -> Vec<IpAddr> {
    let mut all = vec![bind];
    if bind.is_unspecified() {
        if bind.is_ipv4() && transport.iter().any(SocketAddr::is_ipv6) {
            all.push(Ipv6Addr::UNSPECIFIED.into());
        }
        if bind.is_ipv6() && transport.iter().any(SocketAddr::is_ipv4) {
            all.push(Ipv4Addr::UNSPECIFIED.into());
        }
    }
    all
}

/// Opens UDP and TCP on one port of all `addresses`, link-local ones on the interface number `zone`. A port of zero is chosen by the
/// kernel.
pub(crate) fn bind(addresses: &[IpAddr], zone: u32, port: u16, increment: bool) -> Result<Bound, BindError> {
    let last = port.saturating_add(if increment { PORTS_TRIED - 1 } else { 0 });
    for candidate in port..=last {
        match bind_all(addresses, zone, candidate) {
            Err(BindError::InUse { .. }) if candidate < last => {}
            Err(BindError::InUse { address, .. }) if increment => {
                return Err(BindError::AllInUse { address, first: port, last });
            }
            result => return result,
        }
    }
    unreachable!("the last candidate returns")
}

fn bind_all(addresses: &[IpAddr], zone: u32, wanted: u16) -> Result<Bound, BindError> {
    let mut bound = Bound { port: wanted, udp: Vec::new(), tcp: Vec::new() };
    for address in addresses {
        // TCP first: a listener there tells of another koid even where datagram sockets could be shared.
        let at = socket_address(*address, zone, bound.port);
        let tcp: TcpListener = open(at, Type::STREAM).map_err(|e| explain(at, "TCP", e))?.into();
        bound.port = tcp.local_addr().map_err(|e| explain(at, "TCP", e))?.port();
        let at = socket_address(*address, zone, bound.port);
        bound.udp.push(open(at, Type::DGRAM).map_err(|e| explain(at, "UDP", e))?.into());
        bound.tcp.push(tcp);
    }
    Ok(bound)
}

fn socket_address(ip: IpAddr, zone: u32, port: u16) -> SocketAddr {
    match ip {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, zone).into(),
        ip => SocketAddr::new(ip, port),
    }
}

fn explain(at: SocketAddr, protocol: &'static str, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address: at.ip(), port: at.port(), protocol },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs { address: at.ip() },
        _ => BindError::Other { address: at.ip(), port: at.port(), protocol, source },
    }
}

fn open(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        // IPv4 has a socket of its own.
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // A restart must not wait for connections of the last run to fade away.
        socket.set_reuse_address(true)?;
    } else {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    if kind == Type::STREAM {
        socket.listen(TCP_BACKLOG)?;
    }
    Ok(socket)
}

/// A socket that only receives what is sent to a multicast group; several on one machine may share it.
pub(crate) fn open_group(group: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&group.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_in_use_is_named_with_the_key_to_change() {
        let held = bind(&[LOOPBACK], 0, 0, false).unwrap();
        let message = bind(&[LOOPBACK], 0, held.port, false).unwrap_err().to_string();
        assert!(
            message.contains(&format!("port {}", held.port)) && message.contains("node.port"),
            "{message}"
        );
    }

    #[test]
    fn increment_port_takes_the_next_free_one() {
        let held = bind(&[LOOPBACK], 0, 0, false).unwrap();
        let next = bind(&[LOOPBACK], 0, held.port, true).unwrap();
        assert!(next.port > held.port && next.port < held.port + PORTS_TRIED);
    }

    #[test]
    fn an_address_of_another_machine_is_refused_clearly() {
        let elsewhere: IpAddr = "192.0.2.1".parse().unwrap();
        let message = bind(&[elsewhere], 0, 0, false).unwrap_err().to_string();
        assert!(message.contains("192.0.2.1") && message.contains("node.bind"), "{message}");
    }

    #[test]
    fn both_families_are_opened_only_where_the_transport_needs_them() {
        let v4: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let v6: SocketAddr = "[::1]:1".parse().unwrap();
        let any4: IpAddr = Ipv4Addr::UNSPECIFIED.into();
        let any6: IpAddr = Ipv6Addr::UNSPECIFIED.into();
        assert_eq!(addresses(any4, &[v4]), [any4]);
        assert_eq!(addresses(any4, &[v4, v6]), [any4, any6]);
        assert_eq!(addresses(any6, &[v4, v6]), [any6, any4]);
        assert_eq!(addresses(LOOPBACK, &[v4, v6]), [LOOPBACK]);
    }
}
