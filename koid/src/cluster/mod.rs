//! The cluster thread and its network: datagrams in and out, and the loop that feeds the core.

pub(crate) mod event_loop;
pub(crate) mod handle;
pub(crate) mod multicast;
pub(crate) mod peers;
pub(crate) mod refusals;
pub(crate) mod requester;
pub(crate) mod sockets;
pub(crate) mod transport;
