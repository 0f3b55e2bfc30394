//! What a guest wants of koid, one question at a time, and the answers.

use koi_plugin_api::AttributesError;
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
    /// All attributes of the service's group; true: as the leader knows them.
    #[n(6)]
    ReadAttributes(#[n(0)] bool),
    /// To write an attribute, or to remove it.
    #[n(7)]
    WriteAttribute(#[n(0)] String, #[n(1)] Option<String>),
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
    /// Their version, keys and values.
    #[n(7)]
    Attributes(#[n(0)] String, #[n(1)] Vec<(String, String)>),
    /// It is written, or removed.
    #[n(8)]
    AttributeWritten,
    #[n(9)]
    AttributesRefused(#[n(0)] AttributesRefusal),
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

/// Why attributes are neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum AttributesRefusal {
    #[n(0)]
    NotMaster(#[n(0)] String),
    #[n(1)]
    Invalid(#[n(0)] String),
    #[n(2)]
    Unavailable(#[n(0)] String),
    #[n(3)]
    Unknown(#[n(0)] String),
}

impl From<AttributesError> for AttributesRefusal {
    fn from(error: AttributesError) -> AttributesRefusal {
        match error {
            AttributesError::NotMaster(why) => AttributesRefusal::NotMaster(why),
            AttributesError::Invalid(why) => AttributesRefusal::Invalid(why),
            AttributesError::Unavailable(why) => AttributesRefusal::Unavailable(why),
            AttributesError::Unknown(why) => AttributesRefusal::Unknown(why),
        }
    }
}
