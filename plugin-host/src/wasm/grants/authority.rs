//! Servers that a guest may send HTTP requests to: `api.example:443`, `10.0.0.1:8080`, `[::1]:80`.

use std::fmt;
use std::net::IpAddr;

use super::address;

/// A granted server. Its name is looked up by the host, at each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// In lower case; of an IPv6 address: in brackets.
    host: String,
    port: u16,
}

impl Authority {
    pub(super) fn parse(text: &str) -> Result<Authority, String> {
        let form = "write host and port, like \"api.example:443\"";
        if text.contains("//") {
            return Err(format!("it is no URL; {form}"));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("it has no port; {form}"))?;
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("`{port}` is not a port (1 to 65535); {form}")),
        };
        Ok(Authority { host: canonical(host).map_err(|why| format!("{why}; {form}"))?, port })
    }

    pub(super) fn allows(&self, host: &str, port: u16) -> bool {
        self.port == port && canonical(host).is_ok_and(|host| host == self.host)
    }
}

/// One text for each host, however it is written.
fn canonical(host: &str) -> Result<String, String> {
    let unbracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match unbracketed.unwrap_or(host).parse() {
        Ok(IpAddr::V6(ip)) if unbracketed.is_some() => Ok(format!("[{ip}]")),
        Ok(IpAddr::V4(ip)) if unbracketed.is_none() => Ok(ip.to_string()),
        Ok(_) => Err(format!("`{host}`: an IPv6 address stands in brackets, and no other does")),
        Err(_) => address::name(host),
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
