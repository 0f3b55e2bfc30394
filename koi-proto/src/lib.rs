//! koi on the wire: sealed datagrams between nodes, the sealed stream for the API from afar, and the API's types and
//! client. No policy: what a message means is the core's business.
//!
//! | module | subject |
//! |---|---|
//! | [`key`] | the cluster's secret, and the keys derived from it |
//! | [`seal`] | a message into a datagram and back |
//! | [`replay`] | duplicates and old datagrams |
//! | [`stream`] | the sealed TCP stream |
//! | [`api`] | what is said over HTTP |
//! | [`client`] | who asks it |

#![forbid(unsafe_code)]

pub mod api;
pub mod client;
mod header;
pub mod key;
pub mod parts;
pub mod replay;
pub mod seal;
pub mod stream;

pub use header::PROTOCOL_VERSION;
