//! What a script is given to use the attributes of its group while its call lasts.

use std::fmt;
use std::path::PathBuf;

/// Where a script asks, and the secret by which koid knows its call.
#[derive(Clone, Debug)]
pub struct ScriptAccess {
    /// The socket of koid's API.
    pub socket: PathBuf,
    /// Stands for the call, and for nothing when the call is over.
    pub token: CallToken,
}

/// The secret of one call. It is never shown: whoever has it writes as the call does.
#[derive(Clone, PartialEq, Eq)]
pub struct CallToken(String);

impl CallToken {
    /// This text is one.
    pub fn new(secret: String) -> CallToken {
        CallToken(secret)
    }

    /// The secret itself, for whom it is meant for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CallToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallToken(…)")
    }
}
