//! What koid and the helper of a component say to each other: frames of CBOR over a socket.
//!
//! ```text
//! frame = length of the rest (4 bytes, little-endian), CBOR of one message
//! ```
//!
//! The socket's first byte comes with a descriptor, the component's compiled code; with a second one where the component imports its
//! language's runtime. Then koid sends [`HostMessage::Setup`], and from
//! then on calls, one at a time. While a call runs the helper may ask; it has one question open at most, and beside it a bounded number
//! of look-ups of names, which have numbers.
//!
//! koid takes nothing of what a helper says on trust: a guest that broke out of its sandbox may be the one who speaks. Whatever cannot
//! be decoded, is too long, or comes at the wrong time ends the helper.

mod frames;
mod hook;
mod lookups;
mod programs;
mod questions;
mod setup;

use minicbor::{Decode, Encode};

pub(crate) use self::frames::{FrameReader, decode, encode};
pub(crate) use self::hook::{
    HookEnding, HookPeer, HookRequest, PATH_BYTES, ProcessName, SecretText, TestClock, hook_of, level_of,
    monotonic, number_of_level,
};
pub(crate) use self::lookups::{
    LOOKUPS_AT_ONCE, LOOKUPS_OPEN, LOOKUPS_WAITING, LookupAnswer, NAME_BYTES, may_be_looked_up,
};
pub(crate) use self::programs::{
    ARGUMENTS_BYTES, INPUT_BYTES, INPUT_CHUNK_BYTES, ProgramExit, ProgramRequest, ProgramRunError,
};
pub(crate) use self::questions::{AttributesRefusal, GuestQuestion, HostAnswer, StoreError};
pub(crate) use self::setup::{COMPILER, DescribedHandler, GuestSetup, NO_SERVICE, ServiceSetup, user_of};
use crate::backend::wasm::confine::Layers;

/// Bytes of a message from a helper.
pub(crate) const GUEST_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of a message from koid: `[config]` and `[grants]` of a service come with them.
pub(crate) const HOST_FRAME_BYTES: usize = 8 * 1024 * 1024;

/// From koid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HostMessage {
    /// What the helper is for: a [`GuestSetup`] as JSON.
    #[n(0)]
    Setup(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// Run a hook.
    #[n(1)]
    Call(#[n(0)] Box<HookRequest>),
    /// The call under way is to end: true: now.
    #[n(2)]
    Abort(#[n(0)] bool),
    /// The answer to the open question.
    #[n(3)]
    Answer(#[n(0)] HostAnswer),
    /// What came of the look-up of this number.
    #[n(4)]
    Found(#[n(0)] u64, #[n(1)] LookupAnswer),
}

/// From a helper.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum GuestMessage {
    /// Describing: the names of what the component imports and exports.
    #[n(0)]
    Interfaces {
        #[n(0)]
        imports: Vec<String>,
        #[n(1)]
        exports: Vec<String>,
    },
    /// Describing: what the component says of itself, a [`DescribedHandler`] as JSON.
    #[n(1)]
    Described(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The component cannot be run: why. Nothing comes after this.
    #[n(2)]
    Refused(#[n(0)] String),
    /// The component is loaded, and calls are taken. This confines the helper.
    #[n(3)]
    Ready(#[n(0)] Layers),
    /// A line for the log.
    #[n(4)]
    Line(#[n(0)] u8, #[n(1)] String),
    /// The guest broke off (0), or says that it does not have this hook (1).
    #[n(5)]
    Incident(#[n(0)] u8),
    /// Wants an answer.
    #[n(6)]
    Question(#[n(0)] GuestQuestion),
    /// A piece of the input of the program that was asked for last; an empty one is its end.
    #[n(7)]
    Input(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The call has ended. The bytes that the guest's memory had grown to by then.
    #[n(8)]
    Ended(#[n(0)] HookEnding, #[n(1)] u64),
    /// Wants the addresses of a name, in ASCII. The number is that of no look-up that has no answer yet.
    #[n(9)]
    LookUp(#[n(0)] u64, #[n(1)] String),
    /// The call has not begun: a granted folder is another one than when the helper was started, and it cannot reach it.
    #[n(10)]
    Stale,
}
