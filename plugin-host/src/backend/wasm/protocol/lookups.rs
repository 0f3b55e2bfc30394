//! Names that a guest has looked up.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

/// Look-ups of names that go on at once for one call.
pub(crate) const LOOKUPS_AT_ONCE: usize = 4;
/// Look-ups that wait until others are done.
pub(crate) const LOOKUPS_WAITING: usize = 64;
/// Look-ups of one call that have no answer yet.
pub(crate) const LOOKUPS_OPEN: usize = LOOKUPS_AT_ONCE + LOOKUPS_WAITING;
/// Bytes of a name that is looked up (RFC 1035).
pub(crate) const NAME_BYTES: usize = 253;

/// What came of a look-up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum LookupAnswer {
    /// In the order in which they are to be tried; at least one, IPv4-mapped ones as IPv4.
    #[n(0)]
    Addresses(#[n(0)] Vec<IpAddr>),
    /// The name is not known, or the name server does not answer: the system does not tell which.
    #[n(1)]
    Unknown,
    /// There are too many look-ups already.
    #[n(2)]
    Busy,
}

/// Whether it may be looked up: what is left of a name when a helper has put it into ASCII.
pub(crate) fn may_be_looked_up(name: &str) -> bool {
    // An address is no name, nor is what has an address in it that a resolver might see.
    let is_of_a_name = |byte: u8| byte.is_ascii_graphic() && !b"#%/:<>?@[\\]^|".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_of_a_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_looked_up() {
        for name in ["db", "db.example.", "xn--bcher-kva.example", "_srv.db_1", &"a".repeat(NAME_BYTES)] {
            assert!(may_be_looked_up(name), "{name}");
        }
        for no in
            ["", "a b", "::1", "fe80::1%eth0", "a/b", "b\u{fc}cher", "a\0b", &"a".repeat(NAME_BYTES + 1)]
        {
            assert!(!may_be_looked_up(no), "{no}");
        }
    }
}
