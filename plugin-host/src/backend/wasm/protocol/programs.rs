//! Programs of the node that a guest runs.

use minicbor::{Decode, Encode};

/// Bytes of a program's input that come with one message.
pub(crate) const INPUT_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a program's arguments and variables together.
pub(crate) const ARGUMENTS_BYTES: usize = 512 * 1024;
/// Bytes of a program's input.
pub(crate) const INPUT_BYTES: usize = 8 * 1024 * 1024;

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProgramRequest {
    #[n(0)]
    pub(crate) program: String,
    #[n(1)]
    pub(crate) args: Vec<String>,
    #[n(2)]
    pub(crate) env: Vec<(String, String)>,
    #[n(3)]
    pub(crate) timeout_ms: Option<u64>,
}

impl ProgramRequest {
    /// Bytes of what the program is given.
    pub(crate) fn arguments_bytes(&self) -> usize {
        let args: usize = self.args.iter().map(|arg| arg.len() + 1).sum();
        let env: usize = self.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        self.program.len() + args + env
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ProgramExit {
    /// None: a signal ended it.
    #[n(0)]
    pub(crate) code: Option<i32>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) stdout: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) stderr: Vec<u8>,
    /// More was written than is kept.
    #[n(3)]
    pub(crate) truncated: bool,
}

/// Why a program did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ProgramRunError {
    /// Nothing grants it.
    #[n(0)]
    Denied,
    /// There is no such program.
    #[n(1)]
    NotFound,
    /// It took too long and was ended.
    #[n(2)]
    TimedOut,
    /// Anything else.
    #[n(3)]
    Io(#[n(0)] String),
    /// There were more processes than `[limits]` allow, and all of them were killed. The hook fails by that.
    #[n(4)]
    TooManyProcesses,
}
