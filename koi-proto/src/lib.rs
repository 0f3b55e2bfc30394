//! koi on the wire: sealed datagrams between nodes, the sealed stream for the API from afar, and the API's types and
//! client. No policy: what a message means is the core's business.

#![forbid(unsafe_code)]

pub mod api;
