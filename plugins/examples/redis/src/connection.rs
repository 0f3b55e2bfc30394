//! A TCP connection to a redis-server, by `wasi:sockets`: every wait ends at a deadline.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use wasip2::clocks::monotonic_clock::{self, Instant};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp::TcpSocket;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;

use crate::resp::{Reply, command, parse};

/// Until when something may take.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after_ms(ms: u64) -> Deadline {
        Deadline(monotonic_clock::now().saturating_add(ms.saturating_mul(1_000_000)))
    }

    pub(crate) fn is_over(self) -> bool {
        monotonic_clock::now() >= self.0
    }

    /// Waits until something happens; false when the time is over first.
    fn wait_for(self, something: &Pollable) -> bool {
        let end = monotonic_clock::subscribe_instant(self.0);
        poll(&[something, &end]).contains(&0)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum RequestError {
    /// Nothing listens there.
    Refused,
    /// `[grants]` does not let us go there.
    NotGranted(SocketAddr),
    /// It took too long.
    Late,
    /// The server answered with an error: its words.
    Answered(String),
    /// `[config]` is wrong, in words.
    Misconfigured(String),
    /// Anything else, in words.
    Broken(String),
}

impl RequestError {
    /// Whether only somebody who changes `service.toml`, or the server's users, can mend it.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            RequestError::Misconfigured(_) | RequestError::NotGranted(_) => true,
            RequestError::Answered(words) => {
                ["WRONGPASS", "NOPERM", "ERR AUTH"].iter().any(|w| words.starts_with(w))
            }
            RequestError::Refused | RequestError::Late | RequestError::Broken(_) => false,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Refused => f.write_str("nothing listens there; is redis-server running?"),
            RequestError::NotGranted(address) => {
                write!(f, "not granted: add tcp = [\"{address}\"] to [grants]")
            }
            RequestError::Late => f.write_str("no answer in time; does redis-server hang?"),
            RequestError::Answered(words) => write!(f, "it said {words:?}"),
            RequestError::Misconfigured(words) | RequestError::Broken(words) => f.write_str(words),
        }
    }
}

/// A connection. The fields are dropped in this order: streams must go before their socket.
pub(crate) struct Connection {
    input: InputStream,
    output: OutputStream,
    _socket: TcpSocket,
    read: Vec<u8>,
    deadline: Deadline,
}

impl Connection {
    /// Connects. Everything on this connection has to be over by the deadline.
    pub(crate) fn open(address: SocketAddr, deadline: Deadline) -> Result<Connection, RequestError> {
        let broken = |code: ErrorCode| match code {
            ErrorCode::ConnectionRefused => RequestError::Refused,
            ErrorCode::AccessDenied => RequestError::NotGranted(address),
            ErrorCode::Timeout => RequestError::Late,
            other => RequestError::Broken(format!("cannot connect: {}", other.name())),
        };
        let family = if address.is_ipv4() { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
        let socket = create_tcp_socket(family).map_err(broken)?;
        socket.start_connect(&instance_network(), to_wasi(address)).map_err(broken)?;
        let (input, output) = loop {
            match socket.finish_connect() {
                Ok(streams) => break streams,
                Err(ErrorCode::WouldBlock) if deadline.wait_for(&socket.subscribe()) => {}
                Err(ErrorCode::WouldBlock) => return Err(RequestError::Late),
                Err(code) => return Err(broken(code)),
            }
        };
        Ok(Connection { input, output, _socket: socket, read: Vec::new(), deadline })
    }

    /// Sends a command and waits for its reply. An error reply is [`RequestError::Answered`].
    pub(crate) fn ask(&mut self, words: &[&str]) -> Result<Reply, RequestError> {
        self.ask_all(&[words])
    }

    /// Sends commands at once, so that nothing of others comes between them, and gives the last reply, or the first error.
    pub(crate) fn ask_all(&mut self, commands: &[&[&str]]) -> Result<Reply, RequestError> {
        self.send(&commands.iter().flat_map(|words| command(words)).collect::<Vec<u8>>())?;
        let mut replies = Vec::new();
        for _ in commands {
            replies.push(self.reply()?);
        }
        let error = replies.iter().find_map(|reply| match reply {
            Reply::Error(words) => Some(words.clone()),
            _ => None,
        });
        match (error, replies.pop()) {
            (Some(words), _) if words.starts_with("NOAUTH") => Err(RequestError::Misconfigured(
                "it wants a password; put it into a file, and write password = { file = \"…\" } under [config]".into(),
            )),
            (Some(words), _) => Err(RequestError::Answered(words)),
            (None, Some(reply)) => Ok(reply),
            (None, None) => Err(RequestError::Broken("nothing was asked".into())),
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), RequestError> {
        while !bytes.is_empty() {
            let room = self.output.check_write().map_err(closed)? as usize;
            if room == 0 {
                self.wait(&self.output.subscribe())?;
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.output.write(now).map_err(closed)?;
            bytes = later;
        }
        self.output.flush().map_err(closed)
    }

    fn reply(&mut self) -> Result<Reply, RequestError> {
        loop {
            let parsed =
                parse(&self.read).map_err(|malformed| RequestError::Broken(malformed.to_string()))?;
            if let Some((reply, used)) = parsed {
                self.read.drain(..used);
                return Ok(reply);
            }
            let more = self.input.read(16 * 1024).map_err(closed)?;
            if more.is_empty() {
                self.wait(&self.input.subscribe())?;
            }
            self.read.extend(more);
        }
    }

    fn wait(&self, something: &Pollable) -> Result<(), RequestError> {
        if self.deadline.wait_for(something) { Ok(()) } else { Err(RequestError::Late) }
    }
}

fn closed(error: StreamError) -> RequestError {
    match error {
        StreamError::Closed => RequestError::Broken("it closed the connection".into()),
        StreamError::LastOperationFailed(error) => RequestError::Broken(error.to_debug_string()),
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
