//! Addresses that a guest may talk to: `10.0.0.5:6379`, `[::1]:80`, `db.example:5432`, `10.0.0.0/24:6379`, `10.0.0.5:*`.
//!
//! An IPv4-mapped IPv6 address (`::ffff:10.0.0.5`) counts as the IPv4 address, in grants and in what is checked against them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::error::{AddressError, AddressFormError, HostNameError};
use crate::backend::wasm::protocol::NAME_BYTES;
use crate::resolver::Resolver;

/// An address as it is written, not yet resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend::wasm::grants) struct AddressText {
    pub(in crate::backend::wasm::grants) host: HostText,
    /// None: any.
    pub(in crate::backend::wasm::grants) port: Option<u16>,
}

/// What stands before the port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend::wasm::grants) enum HostText {
    Network(Network),
    /// In lower case.
    Name(String),
}

/// Addresses that begin with the same bits; a single one when all bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend::wasm::grants) struct Network {
    ip: IpAddr,
    bits: u8,
}

/// A granted address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::backend::wasm::grants) struct AddressGrant {
    written: String,
    address: AddressText,
    /// The addresses that a name had when the service was loaded.
    pinned: Vec<IpAddr>,
}

impl AddressGrant {
    /// As it stands in `service.toml`.
    pub(in crate::backend::wasm::grants) fn written(&self) -> &str {
        &self.written
    }

    /// Blocks: a name is resolved by `resolver`, unless it is in `known`, where it then must be.
    pub(in crate::backend::wasm::grants) fn resolve(
        text: &str,
        known: Option<&BTreeMap<String, Vec<IpAddr>>>,
        resolver: &Resolver,
    ) -> Result<AddressGrant, AddressError> {
        let address = AddressText::parse(text)?;
        let pinned = match (&address.host, known) {
            (HostText::Name(name), None) => resolve(resolver, name)?,
            (HostText::Name(name), Some(known)) => known.get(name).cloned().unwrap_or_default(),
            (HostText::Network(_), _) => Vec::new(),
        };
        Ok(AddressGrant { written: text.to_owned(), address, pinned })
    }

    /// Its port; none: any.
    pub(in crate::backend::wasm::grants) fn port(&self) -> Option<u16> {
        self.address.port
    }

    /// The name that it grants, with its addresses.
    pub(in crate::backend::wasm::grants) fn resolved(&self) -> Option<(String, Vec<IpAddr>)> {
        match &self.address.host {
            HostText::Name(name) => Some((name.clone(), self.pinned.clone())),
            HostText::Network(_) => None,
        }
    }

    /// Whether it covers `address`.
    pub(in crate::backend::wasm::grants) fn allows(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let is_pinned = self.pinned.contains(&ip) && self.address.allows_port(Some(address.port()));
        self.address.holds(address) || is_pinned && !ip.is_unspecified()
    }

    /// Whether everything that `wanted` may mean is granted. Blocks: a name in it may have to be resolved.
    pub(in crate::backend::wasm::grants) fn covers(&self, wanted: &AddressText, resolver: &Resolver) -> bool {
        let host = match (&self.address.host, &wanted.host) {
            (HostText::Name(_), HostText::Name(_)) | (HostText::Network(_), HostText::Network(_)) => {
                self.address.holds_all(wanted)
            }
            (HostText::Name(_), HostText::Network(wanted)) => {
                wanted.is_single() && self.pinned.contains(&wanted.ip)
            }
            (HostText::Network(granted), HostText::Name(wanted)) => {
                resolve(resolver, wanted).is_ok_and(|ips| ips.iter().any(|ip| granted.contains(*ip)))
            }
        };
        host && self.address.allows_port(wanted.port)
    }
}

/// As it is written, and what a name was resolved to.
impl fmt::Display for AddressGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)?;
        let mut pinned = self.pinned.iter();
        let Some(first) = pinned.next() else { return Ok(()) };
        write!(f, " ({first}")?;
        pinned.try_for_each(|ip| write!(f, ", {ip}"))?;
        f.write_str(")")
    }
}

impl AddressText {
    pub(in crate::backend::wasm::grants) fn parse(text: &str) -> Result<AddressText, AddressError> {
        AddressText::split(text).map_err(AddressError::Form)
    }

    /// Whether it names this address, alone or in a network. What a name stands for it does not know.
    pub(in crate::backend::wasm::grants) fn holds(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let host = matches!(&self.host, HostText::Network(network) if network.contains(ip));
        // "Any address" is this machine to the kernel, whatever network was meant.
        host && self.allows_port(Some(address.port())) && !ip.is_unspecified()
    }

    /// Whether it names every host that `wanted` names, by name or by address.
    pub(in crate::backend::wasm::grants) fn holds_all(&self, wanted: &AddressText) -> bool {
        match (&self.host, &wanted.host) {
            (HostText::Name(granted), HostText::Name(wanted)) => granted == wanted,
            (HostText::Network(granted), HostText::Network(wanted)) => granted.holds_all(wanted),
            (HostText::Name(_), HostText::Network(_)) | (HostText::Network(_), HostText::Name(_)) => false,
        }
    }

    /// None as the port: any.
    pub(in crate::backend::wasm::grants) fn allows_port(&self, port: Option<u16>) -> bool {
        self.port.is_none() || self.port == port
    }

    pub(in crate::backend::wasm::grants) fn split(text: &str) -> Result<AddressText, AddressFormError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressFormError::NoPort)?;
        let port = match port {
            "*" => None,
            digits => match digits.parse() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(AddressFormError::Port(digits.to_owned())),
            },
        };
        Ok(AddressText { host: HostText::parse(host)?, port })
    }
}

impl HostText {
    fn parse(host: &str) -> Result<HostText, AddressFormError> {
        // `[fd00::]/8` and `[fd00::/8]` are the same.
        let plain: String = match host.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((inside, after)) => format!("{inside}{after}"),
                None => return Err(AddressFormError::NoBracket),
            },
            None if host.contains(':') => return Err(AddressFormError::BareIpv6),
            None => host.to_owned(),
        };
        if let Some((ip, bits)) = plain.split_once('/') {
            return Network::parse(ip, bits).map(HostText::Network);
        }
        match plain.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => Err(AddressFormError::Unspecified(ip)),
            Ok(ip) => Ok(HostText::Network(Network::single(ip))),
            Err(_) if host.starts_with('[') => Err(AddressFormError::NotIpv6(plain)),
            Err(_) => Ok(HostText::Name(name(&plain)?)),
        }
    }
}

impl Network {
    /// The addresses that begin with the same `bits` bits as `first`, of which the others are 0.
    pub(in crate::backend::wasm::grants) const fn of(first: IpAddr, bits: u8) -> Network {
        Network { ip: first, bits }
    }

    fn single(ip: IpAddr) -> Network {
        let ip = ip.to_canonical();
        Network { ip, bits: all_bits(ip) }
    }

    fn parse(ip: &str, bits: &str) -> Result<Network, AddressFormError> {
        let ip: IpAddr = ip.parse().map_err(|_| AddressFormError::NotAnIp(ip.to_owned()))?;
        if ip.to_canonical() != ip {
            return Err(AddressFormError::MappedNetwork(ip));
        }
        let most = all_bits(ip);
        let bits: u8 = match bits.parse() {
            Ok(bits) if bits <= most => bits,
            _ => return Err(AddressFormError::NetworkBits { most, bits: bits.to_owned() }),
        };
        let first = first_of(ip, bits);
        match first == ip {
            true => Ok(Network { ip, bits }),
            false => Err(AddressFormError::NetworkStart { ip, bits, first }),
        }
    }

    pub(in crate::backend::wasm::grants) fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && first_of(ip, self.bits) == self.ip
    }

    /// Whether every address of `other` is in it.
    fn holds_all(&self, other: &Network) -> bool {
        self.bits <= other.bits && self.contains(other.ip)
    }

    fn is_single(&self) -> bool {
        self.bits == all_bits(self.ip)
    }
}

fn all_bits(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The first address of the network that `ip` is in.
fn first_of(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// A host name, in lower case.
pub(in crate::backend::wasm::grants) fn name(text: &str) -> Result<String, HostNameError> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || text.len() > NAME_BYTES || !text.chars().all(is_name) {
        return Err(HostNameError::NotAName(text.to_owned()));
    }
    // What looks like an address and is none would be taken for one by some resolvers: 10.1 is 10.0.0.1 to them.
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(HostNameError::LooksLikeAnIp(text.to_owned()));
    }
    Ok(text.to_ascii_lowercase())
}

fn resolve(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, AddressError> {
    let ips = resolver.addresses(name).map_err(AddressError::Unresolved)?;
    match ips.is_empty() {
        true => Err(AddressError::NoAddress),
        false => Ok(ips),
    }
}
