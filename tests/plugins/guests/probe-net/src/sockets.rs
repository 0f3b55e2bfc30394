//! TCP, UDP and names, by the raw interfaces of WASI 0.2.

use std::net::{IpAddr, SocketAddr};

use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::{OutgoingDatagram, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

/// Connects, and says what the other side says first.
pub fn tcp(address: &str) -> Result<String, String> {
    let (family, address) = parse(address)?;
    tried(|| {
        let socket = create_tcp_socket(family)?;
        socket.start_connect(&instance_network(), address)?;
        let (input, _output) = settled(&socket, TcpSocket::finish_connect)?;
        let bytes = input.blocking_read(1024).unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    })
}

/// Binds only.
pub fn tcp_bind(address: &str) -> Result<String, String> {
    let (family, address) = parse(address)?;
    tried(|| bound(family, address).map(|_| "bound".into()))
}

/// Binds and listens.
pub fn listen(address: &str) -> Result<String, String> {
    let (family, address) = parse(address)?;
    tried(|| {
        let socket = bound(family, address)?;
        socket.start_listen()?;
        settled(&socket, TcpSocket::finish_listen)?;
        Ok("listening".into())
    })
}

/// Sends a datagram, and says what comes back.
pub fn udp(address: &str) -> Result<String, String> {
    let (family, address) = parse(address)?;
    tried(|| {
        let socket = bound_udp(family, wildcard(family))?;
        let (incoming, outgoing) = socket.stream(None)?;
        while outgoing.check_send()? == 0 {
            outgoing.subscribe().block();
        }
        outgoing
            .send(&[OutgoingDatagram { data: b"from the probe".to_vec(), remote_address: Some(address) }])?;
        let arrived = incoming.subscribe();
        loop {
            arrived.block();
            if let Some(datagram) = incoming.receive(1)?.pop() {
                return Ok(String::from_utf8_lossy(&datagram.data).into_owned());
            }
        }
    })
}

/// Binds only.
pub fn udp_bind(address: &str) -> Result<String, String> {
    let (family, address) = parse(address)?;
    tried(|| bound_udp(family, address).map(|_| "bound".into()))
}

/// All addresses of a name.
pub fn lookup(name: &str) -> Result<String, String> {
    tried(|| {
        let stream = resolve_addresses(&instance_network(), name)?;
        let mut found = Vec::new();
        loop {
            match stream.resolve_next_address() {
                Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => found.push(format!("{a}.{b}.{c}.{d}")),
                Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                    found.push(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string());
                }
                Ok(None) => return Ok(found.join(" ")),
                Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
                Err(error) => return Err(error),
            }
        }
    })
}

fn tried(work: impl FnOnce() -> Result<String, ErrorCode>) -> Result<String, String> {
    work().map_err(|error| error.name().to_owned())
}

fn bound(family: IpAddressFamily, address: IpSocketAddress) -> Result<TcpSocket, ErrorCode> {
    let socket = create_tcp_socket(family)?;
    socket.start_bind(&instance_network(), address)?;
    settled(&socket, TcpSocket::finish_bind)?;
    Ok(socket)
}

fn bound_udp(family: IpAddressFamily, address: IpSocketAddress) -> Result<UdpSocket, ErrorCode> {
    let socket = create_udp_socket(family)?;
    socket.start_bind(&instance_network(), address)?;
    while let Err(error) = socket.finish_bind() {
        match error {
            ErrorCode::WouldBlock => socket.subscribe().block(),
            error => return Err(error),
        }
    }
    Ok(socket)
}

fn settled<T>(
    socket: &TcpSocket,
    finish: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match finish(socket) {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

fn wildcard(family: IpAddressFamily) -> IpSocketAddress {
    of(match family {
        IpAddressFamily::Ipv4 => SocketAddr::from(([0, 0, 0, 0], 0)),
        IpAddressFamily::Ipv6 => SocketAddr::from(([0; 16], 0)),
    })
}

fn parse(text: &str) -> Result<(IpAddressFamily, IpSocketAddress), String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("{text} is not an address"))?;
    let family = if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
    Ok((family, of(address)))
}

fn of(address: SocketAddr) -> IpSocketAddress {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) })
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h] = ip.segments();
            let address = (a, b, c, d, e, f, g, h);
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}
