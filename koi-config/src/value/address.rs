//! The entries of `cluster.transport`.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::error::ValueError;
use super::excerpt::excerpt;
use super::zone;

/// An entry as it was written; the port may yet be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The address; its port counts only if it was given.
    address: SocketAddr,
    /// Whether a port was given.
    port_given: bool,
}

impl Destination {
    /// Reads `IPv4`, `IPv4:port`, `IPv6`, `[IPv6]` or `[IPv6]:port`; IPv6 may carry a zone (`fe80::1%eth0`).
    pub(crate) fn parse(text: &str) -> Result<Destination, ValueError> {
        let written = text;
        let numbered = zone::numbered(text).map_err(|e| {
            ValueError::new(format!("holds {}, which {}", excerpt(written), e.message), e.hint)
        })?;
        let text = numbered.as_ref();
        let destination = if let Ok(address) = text.parse::<SocketAddr>() {
            Destination { address, port_given: true }
        } else if let Some(address) = without_port(text) {
            Destination { address, port_given: false }
        } else {
            let message = format!("holds {}, which is no IP address", excerpt(written));
            return Err(ValueError::new(message, advice(written)));
        };
        if destination.address.ip().is_unspecified() {
            let hint = "write the address at which the node is reached, or a multicast group";
            return Err(ValueError::new(format!("holds {text:?}, at which nobody can be reached"), hint));
        }
        if destination.port_given && destination.address.port() == 0 {
            return Err(ValueError::new(
                format!("holds {text:?}, and port 0 does not exist"),
                "a port is 1 to 65535",
            ));
        }
        Ok(destination)
    }

    /// The entry that becomes `address` on a node with this port.
    pub(crate) fn from_address(address: SocketAddr, node_port: u16) -> Destination {
        Destination { address, port_given: address.port() != node_port }
    }

    /// The address, with the node's own port where none was given.
    pub(crate) fn resolve(mut self, node_port: u16) -> SocketAddr {
        if !self.port_given {
            self.address.set_port(node_port);
        }
        self.address
    }

    /// As it is written in a file.
    pub(crate) fn show(self) -> String {
        match self.address {
            SocketAddr::V4(v4) if self.port_given => v4.to_string(),
            SocketAddr::V4(v4) => v4.ip().to_string(),
            SocketAddr::V6(v6) => {
                let address = zone::without_port(*v6.ip(), v6.scope_id());
                if self.port_given { format!("[{address}]:{}", v6.port()) } else { address }
            }
        }
    }
}

fn without_port(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 0));
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    format!("[{bare}]:0").parse::<SocketAddrV6>().ok().map(SocketAddr::V6)
}

fn advice(text: &str) -> String {
    if text.contains('%') {
        "the interface stands behind the address (`ip link` shows its name): [fe80::1%eth0]:42012".to_owned()
    } else if text.bytes().any(|b| b.is_ascii_alphabetic()) && !text.contains("::") {
        "koi resolves no host names, for a cluster must not depend on DNS: write the address".to_owned()
    } else {
        "write 10.0.0.1, 10.0.0.1:42012, fd00::3, [fd00::3]:42012, or a multicast address".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_gets_the_nodes_port_where_it_has_none() {
        let read = |text: &str| Destination::parse(text).unwrap().resolve(7).to_string();
        assert_eq!(read("10.0.0.1"), "10.0.0.1:7");
        assert_eq!(read("10.0.0.1:42"), "10.0.0.1:42");
        assert_eq!(read("fd00::3"), "[fd00::3]:7");
        assert_eq!(read("[fd00::3]"), "[fd00::3]:7");
        assert_eq!(read("[fd00::3]:42"), "[fd00::3]:42");
        assert_eq!(read("239.0.0.14"), "239.0.0.14:7");
        assert_eq!(read("ff02::1:42%2"), "[ff02::1:42%2]:7");
        assert_eq!(read("[fe80::1%2]:42"), "[fe80::1%2]:42");
        assert_eq!(read("[fe80::1%lo]:42"), "[fe80::1%1]:42", "the loopback is the first everywhere");
        assert_eq!(read("fe80::1%lo"), "[fe80::1%1]:7");
    }

    #[test]
    fn they_are_written_as_they_were() {
        for text in [
            "10.0.0.1",
            "10.0.0.1:42",
            "fd00::3",
            "[fd00::3]:42",
            "fe80::1%lo",
            "[fe80::1%lo]:42",
            "fe80::1%987654",
        ] {
            let address = Destination::parse(text).unwrap().resolve(7);
            assert_eq!(Destination::from_address(address, 7).show(), text);
        }
    }

    #[test]
    fn what_reaches_nobody_is_refused() {
        for text in
            ["", "node1", "0.0.0.0", "::", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.256", "fe80::1%no-such"]
        {
            assert!(Destination::parse(text).is_err(), "{text:?}");
        }
    }
}
