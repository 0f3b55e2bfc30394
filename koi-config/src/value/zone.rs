//! The zone of a link-local IPv6 address: the interface that it belongs to, by name or by number.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use nix::net::if_::{if_indextoname, if_nametoindex};

use super::error::ValueError;

/// `text` with the number of the interface in the place of its name.
pub(crate) fn numbered(text: &str) -> Result<Cow<'_, str>, ValueError> {
    let Some((address, rest)) = text.split_once('%') else { return Ok(text.into()) };
    let (zone, behind) = rest.find(']').map_or((rest, ""), |at| rest.split_at(at));
    if zone.is_empty() || zone.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.into());
    }
    match if_nametoindex(zone) {
        Ok(number) => Ok(format!("{address}%{number}{behind}").into()),
        Err(_) => Err(ValueError::new(
            format!("names the interface {zone:?}, and there is none of that name"),
            "`ip link` shows the interfaces of this machine; it must be there when koid starts",
        )),
    }
}

/// A zone as people write it; zero: none.
pub(crate) fn show(zone: u32) -> String {
    let name = if_indextoname(zone).ok().and_then(|name| name.into_string().ok());
    let name = name.filter(|name| !name.is_empty());
    match (zone, name) {
        (0, _) => String::new(),
        (_, Some(name)) => format!("%{name}"),
        (number, None) => format!("%{number}"),
    }
}

/// `node.bind`: an address of this machine, and the number of its interface if it is a link-local one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) ip: IpAddr,
    pub(crate) zone: u32,
}

impl Bind {
    /// None: it is no address.
    pub(crate) fn parse(text: &str) -> Result<Option<Bind>, ValueError> {
        let text = numbered(text)?;
        let plain = text.parse::<IpAddr>().ok().map(|ip| Bind { ip, zone: 0 });
        let zoned = || format!("[{text}]:0").parse::<SocketAddrV6>().ok();
        let bind = plain.or_else(|| zoned().map(|v6| Bind { ip: (*v6.ip()).into(), zone: v6.scope_id() }));
        match bind {
            // Without its interface there may be many of that address.
            Some(Bind { ip: IpAddr::V6(v6), zone: 0 }) if v6.is_unicast_link_local() => Err(ValueError::new(
                format!("is the link-local address {v6} without its interface"),
                format!("write {v6}%eth0, with the interface that it is on"),
            )),
            bind => Ok(bind),
        }
    }

    /// As it is written in a file.
    pub(crate) fn show(self) -> String {
        format!("{}{}", self.ip, show(self.zone))
    }

    /// Every address of every interface.
    pub(crate) fn any() -> Bind {
        Bind { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), zone: 0 }
    }
}

/// An address and its zone as they are written without a port.
pub(crate) fn without_port(ip: Ipv6Addr, zone: u32) -> String {
    format!("{ip}{}", show(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_may_name_its_interface() {
        let read = |text: &str| Bind::parse(text).unwrap().unwrap();
        let (named, numbered) = (read("fe80::1%lo"), read("fe80::1%1"));
        assert_eq!((named, named.zone, named.show()), (numbered, 1, "fe80::1%lo".to_owned()));
        assert_eq!(read("10.0.0.1").show(), "10.0.0.1");
        assert!(matches!(Bind::parse("eth0"), Ok(None)));
        let ValueError { message, hint, .. } = Bind::parse("fe80::1%no-such").unwrap_err();
        assert!(message.contains("\"no-such\"") && hint.contains("ip link"), "{message}; {hint}");
        assert!(Bind::parse("fe80::1").unwrap_err().message.contains("without its interface"));
    }
}
