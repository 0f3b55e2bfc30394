//! What a handler wants of the node, each with a line for the operator who decides. Texts may name keys of `[config]` in braces; a
//! key without a value makes no want.

use crate::{Capability, Program, Want};

/// To run a program: an absolute path, then a word for each argument. A `*` in a word stands for any text.
pub fn exec(words: &[&str], reason: &str) -> Want {
    let words = words.iter().map(|word| (*word).into()).collect();
    want(Capability::Exec(Program { words, user: None, keep: false }), reason)
}

/// To connect to "ip:port".
pub fn tcp(address: &str, reason: &str) -> Want {
    want(Capability::Tcp(address.into()), reason)
}

/// To send HTTP requests to "host:port".
pub fn http(address: &str, reason: &str) -> Want {
    want(Capability::Http(address.into()), reason)
}

/// To read a directory.
pub fn read(directory: &str, reason: &str) -> Want {
    want(Capability::Read(directory.into()), reason)
}

/// Anything else.
pub fn want(capability: Capability, reason: &str) -> Want {
    Want { capability, reason: reason.into() }
}
