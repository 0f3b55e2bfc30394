//! `[config]` of the service.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a server is sent to copy from when there is no master: nothing listens there, so it stays a replica without a link, which
/// takes no writes. The loopback refuses at once, and no packet leaves the machine.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// What the service is configured to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the server of this node listens.
    pub address: SocketAddr,
    /// The user to log in as; none: `default`.
    pub username: Option<String>,
    /// The password, or where it stands.
    pub password: Password,
    /// Where the servers of other nodes listen, at the address that koi knows of the node.
    pub master_port: u16,
    /// Servers that are listed: whom to compare with before a promotion.
    pub peers: Vec<Peer>,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The server asks for none.
    None,
    /// koid has read it from its file.
    Text(String),
    /// It is the first line of this file.
    File(String),
}

/// A server that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The name of its node, where that is listed too: `peers` has it, `servers` has not.
    pub node: Option<String>,
    /// Where the server listens.
    pub address: SocketAddr,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{node} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

impl Config {
    /// Reads the pairs.
    ///
    /// # Errors
    /// Names the key and says what to write.
    pub fn read(pairs: &[(String, String)]) -> Result<Config, ConfigError> {
        let get = |key: &str| {
            pairs.iter().find(|(k, _)| k == key).map(|(_, value)| value.trim()).filter(|v| !v.is_empty())
        };
        let address = socket_address("address", get("address").unwrap_or("127.0.0.1:6379"))?;
        let password = match (get("password"), get("password-file")) {
            (None, None) => Password::None,
            (Some(text), None) => Password::Text(text.to_owned()),
            (None, Some(file)) if file.starts_with('/') => Password::File(file.to_owned()),
            (None, Some(_)) => return Err(ConfigError::RelativePasswordFile),
            (Some(_), Some(_)) => return Err(ConfigError::TwoPasswords),
        };
        let master_port = match get("master-port") {
            None => address.port(),
            Some(text) => {
                let port = text.parse().ok().filter(|port| *port != 0);
                port.ok_or_else(|| ConfigError::Port { text: text.to_owned() })?
            }
        };
        let servers = pairs.iter().filter(|(key, _)| key == "servers").map(|(_, text)| server(text));
        let peers = get("peers").unwrap_or_default().split([',', ' ']).filter(|peer| !peer.is_empty());
        Ok(Config {
            address,
            username: get("username").map(str::to_owned),
            password,
            master_port,
            peers: peers.map(peer).chain(servers).collect::<Result<_, _>>()?,
        })
    }

    /// Where the server of node `name` listens, whose address koi knows to be `ip` (or does not: empty).
    pub fn server_of(&self, name: &str, ip: &str) -> Option<SocketAddr> {
        let ip: Option<IpAddr> = ip.parse().ok();
        let is_its = |peer: &&Peer| match &peer.node {
            Some(node) => node == name,
            None => Some(peer.address.ip()) == ip,
        };
        let listed = self.peers.iter().find(is_its).map(|peer| peer.address);
        listed.or_else(|| Some(SocketAddr::new(ip?, self.master_port)))
    }

    /// The servers that are listed, without that of the node `own`, which is this one.
    pub fn others<'c>(&'c self, own: &'c str) -> impl Iterator<Item = &'c Peer> {
        let is_own = move |peer: &Peer| match &peer.node {
            Some(node) => node == own,
            None => peer.address == self.address,
        };
        self.peers.iter().filter(move |peer| !is_own(peer))
    }
}

/// What is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `password-file` is no absolute path.
    RelativePasswordFile,
    /// Both `password` and `password-file` are written.
    TwoPasswords,
    /// `master-port` is no port.
    Port {
        /// What is written.
        text: String,
    },
    /// A word of `peers` is no pair.
    Peer {
        /// What is written.
        text: String,
    },
    /// An address is none.
    Address {
        /// The key.
        key: &'static str,
        /// What is written.
        text: String,
    },
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::RelativePasswordFile => f.write_str("password-file: write an absolute path"),
            ConfigError::TwoPasswords => {
                f.write_str("password and password-file: write one of them, not both")
            }
            ConfigError::Port { text } => {
                write!(f, "master-port: {text:?} is no port; write a number from 1 to 65535")
            }
            ConfigError::Peer { text } => write!(
                f,
                "peers: {text:?} is no NODE=IP:PORT; write for instance \"a=10.0.0.1:6379 b=10.0.0.2:6379\""
            ),
            ConfigError::Address { key, text } => write!(
                f,
                "{key}: {text:?} is no IP and port; write for instance 10.0.0.1:6379 or [fd00::1]:6379, not a name"
            ),
        }
    }
}

fn peer(text: &str) -> Result<Peer, ConfigError> {
    let Some((node, address)) = text.split_once('=') else {
        return Err(ConfigError::Peer { text: text.to_owned() });
    };
    Ok(Peer { node: Some(node.to_owned()), address: socket_address("peers", address)? })
}

fn server(text: &str) -> Result<Peer, ConfigError> {
    Ok(Peer { node: None, address: socket_address("servers", text.trim())? })
}

fn socket_address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    address.ok_or_else(|| ConfigError::Address { key, text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::read(&pairs).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_configured_is_the_server_of_this_machine() {
        let config = read(&[]).unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:6379");
        assert_eq!(config.password, Password::None);
        assert_eq!(config.server_of("b", "10.0.0.2").unwrap().to_string(), "10.0.0.2:6379");
        assert_eq!(config.server_of("b", "fd00::2").unwrap().to_string(), "[fd00::2]:6379");
        assert_eq!(config.server_of("b", ""), None);
    }

    #[test]
    fn a_listed_peer_goes_before_the_address_that_koi_knows() {
        let config =
            read(&[("master-port", "7000"), ("peers", "a=127.0.0.1:7001, b=127.0.0.1:7002")]).unwrap();
        assert_eq!(config.server_of("b", "10.0.0.2").unwrap().to_string(), "127.0.0.1:7002");
        assert_eq!(config.server_of("c", "10.0.0.3").unwrap().to_string(), "10.0.0.3:7000");
        assert_eq!(config.others("a").map(Peer::to_string).collect::<Vec<_>>(), ["b (127.0.0.1:7002)"]);
    }

    #[test]
    fn a_listed_server_is_that_of_the_node_with_its_address() {
        let servers = ["10.0.0.1:7001", "10.0.0.2:7002", "[fd00::3]:7003"].map(|server| ("servers", server));
        let config = read(&[&[("address", "10.0.0.1:7001")][..], &servers].concat()).unwrap();
        assert_eq!(config.server_of("b", "10.0.0.2").unwrap().to_string(), "10.0.0.2:7002");
        assert_eq!(config.server_of("c", "fd00::3").unwrap().to_string(), "[fd00::3]:7003");
        assert_eq!(config.server_of("d", "10.0.0.4").unwrap().to_string(), "10.0.0.4:7001", "not listed");
        let others: Vec<_> = config.others("a").map(Peer::to_string).collect();
        assert_eq!(others, ["10.0.0.2:7002", "[fd00::3]:7003"]);
    }

    #[test]
    fn mistakes_name_the_key_and_say_what_to_write() {
        for (pairs, words) in [
            (&[("address", "localhost:6379")][..], "address: \"localhost:6379\" is no IP and port"),
            (&[("address", "10.0.0.1")], "address: \"10.0.0.1\" is no IP and port"),
            (&[("master-port", "70000")], "master-port: \"70000\" is no port"),
            (&[("peers", "10.0.0.1:6379")], "peers: \"10.0.0.1:6379\" is no NODE=IP:PORT"),
            (&[("servers", "db.example:6379")], "servers: \"db.example:6379\" is no IP and port"),
            (&[("password-file", "secret")], "password-file: write an absolute path"),
            (&[("password", "x"), ("password-file", "/y")], "write one of them"),
        ] {
            let mistake = read(pairs).unwrap_err();
            assert!(mistake.contains(words), "{mistake}");
        }
    }
}
