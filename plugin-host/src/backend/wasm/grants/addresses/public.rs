//! Which addresses anybody's are: a name may stand for them. All others lead to this machine, into its network, or nowhere, and whoever
//! answers for a name could send a handler there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::backend::wasm::grants::addresses::address::Network;

/// What of IPv4 is nobody's in particular (IANA's registry of special-purpose addresses).
const SPECIAL_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this machine
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared behind one address of a provider
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local; clouds keep their secrets there
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved
    (Ipv4Addr::new(255, 255, 255, 255), 32),
];

/// All that is anybody's of IPv6 lies in here, but for [`NAT64`]. Loopback, link-local, unique local and multicast addresses, and IPv4
/// addresses in most clothes, lie outside.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What in [`GLOBAL_V6`] is nobody's in particular.
const SPECIAL_V6: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocols, Teredo and benchmarks among them
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// The IPv4 address is in the last 32 bits.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// 6to4. The IPv4 address stands behind these bits.
const SIX_TO_FOUR: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);

/// Whether it is anybody's. An IPv6 address that leads to an IPv4 address is what that one is.
pub(in crate::backend::wasm::grants) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !SPECIAL_V4.iter().any(|network| lies_in(ip.into(), *network)),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(ip) => is_public(ip.into()),
            None => {
                let lies_in = |network| lies_in(ip.into(), network);
                lies_in(GLOBAL_V6) && !SPECIAL_V6.into_iter().any(lies_in)
            }
        },
    }
}

/// The IPv4 address that this one leads to.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = ip.to_bits();
    if lies_in(ip.into(), NAT64) {
        return Some(Ipv4Addr::from_bits(bits as u32));
    }
    lies_in(ip.into(), SIX_TO_FOUR).then(|| Ipv4Addr::from_bits((bits >> 80) as u32))
}

fn lies_in<T: Into<IpAddr>>(ip: IpAddr, (first, bits): (T, u8)) -> bool {
    Network::of(first.into(), bits).contains(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn anybodys_addresses_are_public() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2a00::1",
        ] {
            assert!(is(ip), "{ip}");
        }
    }

    #[test]
    fn what_leads_into_the_machine_or_its_network_is_not() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            "2001::1",
            "2001:2::1",
            "5f00::1",
        ] {
            assert!(!is(ip), "{ip}");
        }
    }

    #[test]
    fn ipv4_in_the_clothes_of_ipv6_is_what_it_is() {
        for private in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "100.64.0.1"] {
            let v4: Ipv4Addr = private.parse().unwrap();
            let [a, b, c, d] = v4.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for clothes in [
                v4.to_ipv6_mapped(),
                // IPv4-compatible, IPv4-translated, NAT64 with the well-known and the local prefix, 6to4.
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                assert!(!is_public(clothes.into()), "{clothes}");
            }
        }
        // A network of IPv6 alone reaches the rest of the world so.
        assert!(is("64:ff9b::1.1.1.1") && is("2002:101:101::1") && is("::ffff:1.1.1.1"));
    }
}
