//! What can be wrong with an address, a name or a server.

use std::io;
use std::net::IpAddr;

/// Why a text is not an address that can be granted.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not written like one.
    #[error(
        "{0}; write it like \"10.0.0.5:6379\", \"[::1]:80\", \"db.example:5432\" or \"10.0.0.0/24:6379\""
    )]
    Form(AddressFormError),
    /// The name server does not answer, or has no such name.
    #[error(
        "the name cannot be resolved ({0}); correct it, mend the node's name resolution, or write an IP address, which needs none"
    )]
    Unresolved(io::Error),
    /// The name server knows the name, and no address for it.
    #[error(
        "the name has no address; correct it, mend the node's name resolution, or write an IP address, which needs none"
    )]
    NoAddress,
}

/// Which part of an address is written wrongly.
#[derive(Debug, thiserror::Error)]
pub enum AddressFormError {
    #[error("it has no port")]
    NoPort,
    #[error("`{0}` is not a port (1 to 65535, or * for any)")]
    Port(String),
    #[error("a `]` is missing")]
    NoBracket,
    #[error("an IPv6 address stands in brackets")]
    BareIpv6,
    #[error("{0} is nobody's address")]
    Unspecified(IpAddr),
    #[error("`{0}` is not an IPv6 address")]
    NotIpv6(String),
    #[error("`{0}` is not an IP address")]
    NotAnIp(String),
    #[error("write the network of {0} as one of IPv4")]
    MappedNetwork(IpAddr),
    #[error("a network has 0 to {most} bits, not `{bits}`")]
    NetworkBits { most: u8, bits: String },
    #[error("{ip} is not the first address of a network of {bits} bits, {first} is")]
    NetworkStart { ip: IpAddr, bits: u8, first: IpAddr },
    #[error(transparent)]
    Name(#[from] HostNameError),
}

/// Why a text is not a host name.
#[derive(Debug, thiserror::Error)]
pub enum HostNameError {
    /// It has other characters, or too many of them.
    #[error("`{0}` is neither an IP address nor a host name")]
    NotAName(String),
    /// Digits and dots alone.
    #[error("`{0}` is not an IP address")]
    LooksLikeAnIp(String),
}

/// Why a text is not a server that can be granted.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}; write host and port, like \"api.example:443\", or an address or a network, like \"10.1.0.0/16:443\""
)]
pub struct AuthorityError(#[from] pub AuthorityFormError);

/// Which part of a server is written wrongly.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFormError {
    #[error("it is no URL")]
    Url,
    #[error(transparent)]
    Address(#[from] AddressFormError),
}
