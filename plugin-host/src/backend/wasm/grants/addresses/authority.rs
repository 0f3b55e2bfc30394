//! Servers that a guest may send HTTP requests to: `api.example:443`, `10.0.0.1:8080`, `[::1]:80`, `10.1.0.0/16:443`.
//!
//! A name is looked up at each request, and whoever answers for it could send the guest anywhere. So a name stands for public addresses
//! alone, and others are granted by an entry of their own; `localhost` stands for this machine as well.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::addresses::address;
use crate::backend::wasm::grants::addresses::address::{AddressText, HostText};
use crate::backend::wasm::grants::addresses::public::is_public;
use crate::backend::wasm::grants::error::{AuthorityError, AuthorityFormError};

/// The name that every machine has for itself.
const LOCALHOST: &str = "localhost";

/// A granted server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend::wasm::grants) struct Authority {
    /// As it stands in `service.toml`, in lower case.
    written: String,
    address: AddressText,
}

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HttpHost {
    /// An IPv4-mapped address is the IPv4 address.
    Ip(IpAddr),
    /// In lower case.
    Name(String),
}

impl HttpHost {
    /// As it stands in a URL: an IPv6 address in brackets, and no other. None: nobody has such a name.
    pub(crate) fn parse(text: &str) -> Option<HttpHost> {
        let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match unbracketed.unwrap_or(text).parse() {
            Ok(IpAddr::V6(ip)) if unbracketed.is_some() => Some(HttpHost::Ip(ip.to_canonical())),
            Ok(ip @ IpAddr::V4(_)) if unbracketed.is_none() => Some(HttpHost::Ip(ip)),
            Ok(_) => None,
            Err(_) => Some(HttpHost::Name(address::name(text).ok()?)),
        }
    }
}

impl Authority {
    pub(in crate::backend::wasm::grants) fn parse(text: &str) -> Result<Authority, AuthorityError> {
        if text.contains("//") {
            return Err(AuthorityFormError::Url.into());
        }
        let address = AddressText::split(text).map_err(AuthorityFormError::from)?;
        Ok(Authority { written: text.to_ascii_lowercase(), address })
    }

    /// Whether requests may be sent to `host` at `port`, as far as it is known before it is looked up.
    pub(in crate::backend::wasm::grants) fn allows(&self, host: &HttpHost, port: u16) -> bool {
        match host {
            HttpHost::Ip(ip) => self.holds(SocketAddr::new(*ip, port)),
            HttpHost::Name(name) => self.names(name) && self.address.allows_port(Some(port)),
        }
    }

    /// Whether this name stands in it.
    pub(in crate::backend::wasm::grants) fn names(&self, name: &str) -> bool {
        matches!(&self.address.host, HostText::Name(own) if own == name)
    }

    /// Whether it names this address, alone or in a network.
    pub(in crate::backend::wasm::grants) fn holds(&self, address: SocketAddr) -> bool {
        self.address.holds(address)
    }

    /// Whether all that `wanted` may mean is granted. A name is granted by its name alone.
    pub(in crate::backend::wasm::grants) fn covers(&self, wanted: &AddressText) -> bool {
        self.address.holds_all(wanted) && self.address.allows_port(wanted.port)
    }

    /// Its port; none: any.
    pub(in crate::backend::wasm::grants) fn port(&self) -> Option<u16> {
        self.address.port
    }
}

/// Whether a granted name may stand for this address without an entry that holds it.
pub(in crate::backend::wasm::grants) fn may_mean(name: &str, ip: IpAddr) -> bool {
    is_public(ip) || name == LOCALHOST && ip.to_canonical().is_loopback()
}

/// As it is written, in lower case.
impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
