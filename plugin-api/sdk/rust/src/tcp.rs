//! TCP connections whose every wait ends at a deadline. `tcp` of `[grants]` says whereto.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wasip2::io::streams::{InputStream, OutputStream};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::HookError;
use crate::deadline::{Deadline, StreamEnd};

/// The longest line, in bytes.
const LINE_BYTES: usize = 64 * 1024;

/// How much is read at once, in bytes.
const READ_BYTES: u64 = 4096;

/// A connection.
pub struct Connection {
    // Streams must go before their socket: fields are dropped in this order.
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
    address: String,
    read: Vec<u8>,
    deadline: Deadline,
}

/// Connects to "ip:port" or "[ip]:port"; whatever is done with the connection is over within this time. Names are not looked up.
///
/// # Errors
/// Why there is no connection.
pub fn connect(address: &str, within: Duration) -> Result<Connection, TcpError> {
    let deadline = Deadline::after(within);
    let of = |why| TcpError { address: address.into(), why };
    let to: SocketAddr = address.parse().map_err(|_| of(Trouble::NotAnAddress))?;
    let failed = |code: ErrorCode| of(Trouble::from(code));
    let family = if to.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
    let socket = create_tcp_socket(family).map_err(failed)?;
    socket.start_connect(&instance_network(), to_wasi(to)).map_err(failed)?;
    let (input, output) = loop {
        match socket.finish_connect() {
            Ok(streams) => break streams,
            Err(ErrorCode::WouldBlock) if deadline.wait_for(&socket.subscribe()) => {}
            Err(ErrorCode::WouldBlock) => return Err(of(Trouble::Late)),
            Err(code) => return Err(failed(code)),
        }
    };
    Ok(Connection { input, output, _socket: socket, address: address.into(), read: Vec::new(), deadline })
}

impl Connection {
    /// Sends all of it.
    ///
    /// # Errors
    /// The connection is gone, or too slow.
    pub fn send(&mut self, text: &str) -> Result<(), TcpError> {
        self.deadline.write(&self.output, text.as_bytes()).map_err(|end| self.failed(end))
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// The connection is gone, or too slow; or the line is longer than 64 KiB.
    pub fn line(&mut self) -> Result<String, TcpError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.read.len() > LINE_BYTES {
                return Err(TcpError { address: self.address.clone(), why: Trouble::EndlessLine });
            }
            let more = self.deadline.read(&self.input, READ_BYTES).map_err(|end| self.failed(end))?;
            self.read.extend(more);
        }
    }

    fn failed(&self, end: StreamEnd) -> TcpError {
        let why = match end {
            StreamEnd::Late => Trouble::Late,
            StreamEnd::Closed => Trouble::Closed,
            StreamEnd::Broken(words) => Trouble::Broken(words),
        };
        TcpError { address: self.address.clone(), why }
    }
}

/// A connection did not come about, or broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpError {
    /// Whereto.
    pub address: String,
    /// What happened.
    pub why: Trouble,
}

/// What happened to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What is configured is no IP with a port.
    NotAnAddress,
    /// `[grants]` does not lead there.
    NotGranted,
    /// Nothing listens there.
    Refused,
    /// There was no answer in time.
    Late,
    /// The other side closed it.
    Closed,
    /// A line has no end.
    EndlessLine,
    /// Anything else, in words.
    Broken(String),
}

impl From<ErrorCode> for Trouble {
    fn from(code: ErrorCode) -> Trouble {
        match code {
            ErrorCode::ConnectionRefused => Trouble::Refused,
            ErrorCode::AccessDenied => Trouble::NotGranted,
            ErrorCode::Timeout => Trouble::Late,
            other => Trouble::Broken(other.name().to_owned()),
        }
    }
}

impl std::error::Error for TcpError {}

impl fmt::Display for TcpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.address)?;
        match &self.why {
            Trouble::NotAnAddress => {
                f.write_str("not an IP address with a port, such as 10.0.0.5:5432; names are not looked up")
            }
            Trouble::NotGranted => f.write_str("not granted; koid's log has the line for [grants]"),
            Trouble::Refused => f.write_str("connection refused; does it run?"),
            Trouble::Late => f.write_str("no answer in time"),
            Trouble::Closed => f.write_str("it closed the connection"),
            Trouble::EndlessLine => f.write_str("a line without an end"),
            Trouble::Broken(words) => f.write_str(words),
        }
    }
}

impl From<TcpError> for HookError {
    fn from(error: TcpError) -> HookError {
        match error.why {
            Trouble::NotAnAddress => HookError::Misconfigured(error.to_string()),
            _ => HookError::Retry(error.to_string()),
        }
    }
}

fn to_wasi(address: SocketAddr) -> IpSocketAddress {
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
