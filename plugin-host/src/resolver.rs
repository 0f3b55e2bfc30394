//! Where the addresses of host names come from.

use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

/// Addresses of one name that are kept; a name with more is not one of a server.
const ADDRESSES: usize = 64;

type Find = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Finds the addresses of host names: by the system (`getaddrinfo`), unless it is told how.
#[derive(Clone, Default)]
pub struct Resolver(Option<Arc<Find>>);

impl Resolver {
    /// One that asks `find`, which may block.
    pub fn new(find: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Resolver {
        Resolver(Some(Arc::new(find)))
    }

    /// The addresses of a name, each once. An IPv4-mapped address comes as the IPv4 address that it is. Blocks for as long as a name
    /// server does not answer.
    ///
    /// # Errors
    /// The system's words. It does not tell a name that is not known from a name server that does not answer.
    pub(crate) fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = match &self.0 {
            Some(find) => find(name)?,
            None => (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect(),
        };
        let mut ips: Vec<IpAddr> = Vec::new();
        for ip in found.into_iter().map(|ip| ip.to_canonical()) {
            if ips.len() < ADDRESSES && !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        Ok(ips)
    }
}

/// Whether both ask the same.
impl PartialEq for Resolver {
    fn eq(&self, other: &Resolver) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Eq for Resolver {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Resolver(own)" } else { "Resolver(system)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_comes_once_and_not_without_end() {
        let twice = Resolver::new(|_| {
            Ok(["10.0.0.1", "::ffff:10.0.0.1", "::1"].map(|ip| ip.parse().unwrap()).into())
        });
        let expected: [IpAddr; 2] = ["10.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
        assert_eq!(twice.addresses("name").unwrap(), expected);
        let many = Resolver::new(|_| {
            Ok((0..1000).map(|n| IpAddr::from(std::net::Ipv4Addr::from_bits(n))).collect())
        });
        assert_eq!(many.addresses("name").unwrap().len(), ADDRESSES);
    }
}
