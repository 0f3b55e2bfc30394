//! What can grow, and how far.

/// Nodes that a cluster may have; others are refused with a warning.
pub const NODES: usize = 32;
/// Nodes that may be stopped by hand at once: the record must fit a datagram.
pub const STOPPED: usize = 20;
/// Groups of services that a node may have, `main` included.
pub const GROUPS: usize = 8;
/// Bytes of a group's name.
pub const GROUP_NAME_BYTES: usize = 32;
pub use koi_hook::{ATTRIBUTE_KEY_BYTES, ATTRIBUTE_VALUE_BYTES, ATTRIBUTES};
/// Writes of a group's attributes that wait on the master's node.
pub const ATTRIBUTE_WRITES: usize = 16;
/// Electors that a cluster may have.
pub const MEMBERS: usize = 9;
/// Bytes of a node's name.
pub const NAME_BYTES: usize = 63;
/// Bytes of the reason for a failure that a report carries; the API has the whole of it.
pub const REASON_BYTES: usize = 200;
/// Bytes of why a node cannot become master now.
pub const UNFIT_BYTES: usize = 80;
/// Failures that are remembered for `koi failures`.
pub const FAILURES: usize = 10;
/// Masterships of which a node remembers when they began.
pub const MASTERSHIPS: usize = 64;
/// Operator commands that wait for their change to count.
pub const COMMANDS: usize = 64;
/// Heartbeats of which an acknowledgement still counts, and reports of which an answer does.
pub const IN_FLIGHT: usize = 64;
/// Services of one node.
pub const SERVICES: usize = 4096;

/// At most `bytes` of a text, cut between characters.
pub(crate) fn clip(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
