//! What koid and a broker say to each other: frames of CBOR over a socket, as with a helper.
//!
//! The socket's first byte comes with a descriptor, a second socket. Standard input, standard output and standard error of each program
//! come over that one, before the program is asked for.

use minicbor::{Decode, Encode};

use crate::plugin::RunAs;

/// Bytes of a message to a broker: arguments and variables of a program come with it.
pub(crate) const REQUEST_BYTES: usize = 1024 * 1024;
/// Bytes of a message from a broker.
pub(crate) const REPLY_BYTES: usize = 16 * 1024;
/// The word that the second socket comes with.
pub(crate) const DESCRIPTORS: u8 = b'd';
/// The word that the ends of a program's pipes come with.
pub(crate) const STREAMS: u8 = b's';
/// Processes that are named of those that were left.
pub(crate) const NAMED: usize = 8;

/// From koid.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum BrokerRequest {
    /// Run a program. The answer is [`BrokerReply::Started`], [`BrokerReply::Failed`] or [`BrokerReply::TooMany`].
    #[n(0)]
    Run(#[n(0)] RunRequest),
    /// End the program that runs, and all that is left of it and of those before. False: its group gets SIGTERM first, and a second's time;
    /// true: SIGKILL at once. The answer is [`BrokerReply::Ended`].
    #[n(1)]
    End(#[n(0)] bool),
    /// Keep what the program, which has exited, has left, whatever becomes of koid: to be ended by SIGTERM alone. The answer is
    /// [`BrokerReply::Released`], and nothing is asked after that.
    #[n(2)]
    Release,
}

/// A program to run. koid has checked that it may be.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RunRequest {
    #[n(0)]
    pub(crate) program: String,
    #[n(1)]
    pub(crate) args: Vec<String>,
    /// All of its variables.
    #[n(2)]
    pub(crate) env: Vec<(String, String)>,
    /// So many processes there may be at a time, of this and of programs before.
    #[n(3)]
    pub(crate) processes: u64,
    /// As whom it runs; none: as koid.
    #[n(4)]
    pub(crate) user: Option<RunAs>,
}

/// From a broker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum BrokerReply {
    /// The program runs. It leads the process group of this number.
    #[n(0)]
    Started(#[n(0)] i32),
    /// The program could not be started: the system's number of why.
    #[n(1)]
    Failed(#[n(0)] i32),
    /// The program exited with this code; none: a signal ended it.
    #[n(2)]
    Exited(#[n(0)] Option<i32>),
    /// Nothing runs any more.
    #[n(3)]
    Ended(#[n(0)] Remains),
    /// There were more processes than there may be, or would be with this program. None of them runs any more.
    #[n(4)]
    TooMany,
    /// It keeps what there is; false: there is nothing, and it ends.
    #[n(5)]
    Released(#[n(0)] bool),
}

/// What still ran when it was ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Remains {
    /// The names of some, with their ids.
    #[n(0)]
    pub(crate) some: Vec<(String, i32)>,
    /// How many there were.
    #[n(1)]
    pub(crate) count: u64,
    /// Something of it hangs in the kernel and cannot be killed.
    #[n(2)]
    pub(crate) hangs: bool,
    /// There were more processes than there may be, since the last program was asked for.
    #[n(3)]
    pub(crate) exceeded: bool,
}
