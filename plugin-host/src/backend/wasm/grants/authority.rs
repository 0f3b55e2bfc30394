//! Servers that a guest may send HTTP requests to: `api.example:443`, `10.0.0.1:8080`, `[::1]:80`.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::address;
use crate::backend::wasm::grants::error::{AuthorityError, AuthorityFormError};

/// A granted server. Its name is looked up by the host, at each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Authority {
    /// In lower case; of an IPv6 address: in brackets.
    host: String,
    port: u16,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Authority, AuthorityError> {
        if text.contains("//") {
            return Err(AuthorityFormError::Url.into());
        }
        let (host, port) = text.rsplit_once(':').ok_or(AuthorityFormError::NoPort)?;
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(AuthorityFormError::Port(port.to_owned()).into()),
        };
        Ok(Authority { host: canonical(host)?, port })
    }

    /// Whether this name, in lower case, stands in it.
    pub(super) fn names(&self, name: &str) -> bool {
        self.host == name
    }

    pub(super) fn allows(&self, host: &str, port: u16) -> bool {
        self.port == port && canonical(host).is_ok_and(|host| host == self.host)
    }
}

/// One text for each host, however it is written.
fn canonical(host: &str) -> Result<String, AuthorityFormError> {
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match unbracketed.unwrap_or(host).parse() {
        Ok(IpAddr::V6(ip)) if unbracketed.is_some() => Ok(format!("[{ip}]")),
        Ok(IpAddr::V4(ip)) if unbracketed.is_none() => Ok(ip.to_string()),
        Ok(_) => Err(AuthorityFormError::Brackets(host.to_owned())),
        Err(_) => Ok(address::name(host)?),
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
