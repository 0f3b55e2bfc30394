//! What a guest wants of koid, one question at a time, and the answers.

use minicbor::{Decode, Encode};

use super::programs::{ProgramExit, ProgramRequest, ProgramRunError};

/// What a guest wants of koid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum GuestQuestion {
    /// The newest epoch that this node has heard of.
    #[n(0)]
    Epoch,
    /// A value of the store.
    #[n(1)]
    Get(#[n(0)] String),
    /// To store a value.
    #[n(2)]
    Set(#[n(0)] String, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    /// To remove a value.
    #[n(3)]
    Delete(#[n(0)] String),
    /// All keys of the store.
    #[n(4)]
    Keys,
    /// To run a program. Its input follows.
    #[n(5)]
    Run(#[n(0)] ProgramRequest),
}

/// koid's answer to a question.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HostAnswer {
    #[n(0)]
    Epoch(#[n(0)] u64),
    #[n(1)]
    Value(#[cbor(n(0), with = "minicbor::bytes")] Option<Vec<u8>>),
    /// It is stored, or removed.
    #[n(2)]
    Stored,
    #[n(3)]
    Keys(#[n(0)] Vec<String>),
    #[n(4)]
    StoreRefused(#[n(0)] StoreError),
    #[n(5)]
    Exited(#[n(0)] ProgramExit),
    #[n(6)]
    ProgramRefused(#[n(0)] ProgramRunError),
}

/// Why the store does not do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StoreError {
    /// The key or the value is too long.
    #[n(0)]
    TooLarge,
    /// There is no room for it.
    #[n(1)]
    QuotaExceeded,
    /// The disk's fault.
    #[n(2)]
    Io(#[n(0)] String),
}
