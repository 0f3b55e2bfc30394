//! The words everything else is written in: identities, instants, numbers that only grow, and states.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

pub use koi_hook::{Hook, HookSet};
use minicbor::{Decode, Encode};

/// A machine's identity: a UUID drawn once, at its first start, and kept in its state folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u128);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            (x >> 96) as u32,
            (x >> 80) as u16,
            (x >> 64) as u16,
            (x >> 48) as u16,
            x & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// The text is not a UUID of 32 hexadecimal digits, with or without dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID: 32 hexadecimal digits are expected, with or without dashes")]
pub struct NotANodeId;

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotANodeId);
        }
        u128::from_str_radix(&digits, 16).map(NodeId).map_err(|_| NotANodeId)
    }
}

impl<C> Encode<C> for NodeId {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0.to_be_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for NodeId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes: [u8; 16] =
            d.bytes()?.try_into().map_err(|_| minicbor::decode::Error::message("a node id has 16 bytes"))?;
        Ok(NodeId(u128::from_be_bytes(bytes)))
    }
}

/// One run of a node's daemon. Sessions of one node are ordered: the count is persisted and grows with each start,
/// the random part tells apart two runs that a restored disk gave the same count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Session {
    /// How many times this node has been started.
    #[n(0)]
    pub count: u64,
    /// Drawn anew at each start.
    #[n(1)]
    pub random: u64,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.count, self.random as u32)
    }
}

/// An instant of this machine's CLOCK_BOOTTIME in microseconds. It never crosses the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// An instant that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(micros(d)))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(micros(d)))
    }
}

/// The microseconds of a duration, at most `u64::MAX`.
pub fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// `d(1+ρ)`, rounded up: how long another machine's clock may take, on ours, for what it counts as `d`.
pub fn stretched(d: Duration, drift_percent: u32) -> Duration {
    let us = micros(d) as u128;
    let more = (us * drift_percent as u128).div_ceil(100);
    Duration::from_micros(u64::try_from(us + more).unwrap_or(u64::MAX))
}

/// Durations on the wire: unsigned microseconds, elapsed or remaining, never instants.
pub(crate) mod span {
    use super::{Duration, micros};

    pub(crate) fn encode<C, W: minicbor::encode::Write>(
        d: &Duration,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u64(micros(*d))?.ok()
    }

    pub(crate) fn decode<C>(
        d: &mut minicbor::Decoder<'_>,
        _: &mut C,
    ) -> Result<Duration, minicbor::decode::Error> {
        Ok(Duration::from_micros(d.u64()?))
    }
}

/// Addresses on the wire: their text.
pub(crate) mod address {
    use std::fmt::Display;
    use std::str::FromStr;

    pub(crate) fn encode<T: Display, C, W: minicbor::encode::Write>(
        address: &Option<T>,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        match address {
            Some(address) => e.str(&address.to_string())?.ok(),
            None => e.null()?.ok(),
        }
    }

    pub(crate) fn decode<T: FromStr, C>(
        d: &mut minicbor::Decoder<'_>,
        _: &mut C,
    ) -> Result<Option<T>, minicbor::decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            d.null()?;
            return Ok(None);
        }
        d.str()?.parse().map(Some).map_err(|_| minicbor::decode::Error::message("not an address"))
    }
}

/// Fields that are left out where they say nothing: an older koi finds nothing new, and what is written is what it was.
pub(crate) mod sparse {
    use minicbor::data::Type;
    use minicbor::{Decode, Decoder, Encode, Encoder};

    pub(crate) fn encode<T: Encode<C>, C, W: minicbor::encode::Write>(
        value: &T,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        value.encode(e, context)
    }

    pub(crate) fn decode<'b, T: Decode<'b, C> + Default, C>(
        d: &mut Decoder<'b>,
        context: &mut C,
    ) -> Result<T, minicbor::decode::Error> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(T::default());
        }
        T::decode(d, context)
    }

    pub(crate) fn is_nil<T: Default + PartialEq>(value: &T) -> bool {
        *value == T::default()
    }

    pub(crate) fn nil<T: Default>() -> Option<T> {
        Some(T::default())
    }
}

/// An election's number. An elector votes once per term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Term(#[n(0)] pub u64);

/// The number of a mastership, greater than that of all before it: the term in which it was given times 65536 plus a
/// count. Handlers get it as their fencing token. Zero: none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Epoch(#[n(0)] pub u64);

impl Epoch {
    /// The first epoch of `term` that is greater than `self`.
    pub fn next_in(self, term: Term) -> Epoch {
        Epoch(self.0.saturating_add(1).max(term.0.saturating_mul(1 << 16) | 1))
    }
}

/// A version of the record: changes of a later term are newer, within a term they are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Version {
    /// The term of the leader that made this version.
    #[n(0)]
    pub term: Term,
    /// Grows by one with each change.
    #[n(1)]
    pub n: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term.0, self.n)
    }
}

/// Who wins an election when both could: the higher configured priority, then the higher id (rule R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// `node.priority`.
    pub priority: i32,
    /// The node.
    pub id: NodeId,
}

/// The state of a node, in the order that comparisons use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum NodeState {
    /// A service failed, is disabled, or cannot be stopped.
    #[n(0)]
    Failed,
    /// No leader is known.
    #[n(1)]
    Disconnected,
    /// Stopped by hand.
    #[n(2)]
    Stopped,
    /// The services run, or are being started, but not all of them are promotable.
    #[n(3)]
    Live,
    /// All services are promotable. People read `Standby`, scripts `Slave`.
    #[n(4)]
    Standby,
    /// The node is to be promoted, or is.
    #[n(5)]
    Master,
    /// Votes, runs nothing.
    #[n(6)]
    Elector,
}

impl NodeState {
    /// The word that people read and that the API carries.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeState::Failed => "Failed",
            NodeState::Disconnected => "Disconnected",
            NodeState::Stopped => "Stopped",
            NodeState::Live => "Live",
            NodeState::Standby => "Standby",
            NodeState::Master => "Master",
            NodeState::Elector => "Elector",
        }
    }

    /// The word in `KOI_STATE`, which classic scripts compare.
    pub fn as_classic_str(self) -> &'static str {
        match self {
            NodeState::Standby => "Slave",
            other => other.as_str(),
        }
    }
}

/// The state of a service, in the order that comparisons use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceState {
    /// Failed and taken down.
    Failed,
    /// Failed and being taken down: `failed`, then `stop`.
    Failing,
    /// Not running.
    Stopped,
    /// `stop` runs.
    Stopping,
    /// `start` runs.
    Starting,
    /// Running as standby.
    Started,
    /// `demote` runs.
    Demoting,
    /// `promote` runs.
    Promoting,
    /// Promoted.
    Promoted,
}

impl ServiceState {
    /// The word that people read and that the API carries.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceState::Failed => "Failed",
            ServiceState::Failing => "Failing",
            ServiceState::Stopped => "Stopped",
            ServiceState::Stopping => "Stopping",
            ServiceState::Starting => "Starting",
            ServiceState::Started => "Started",
            ServiceState::Demoting => "Demoting",
            ServiceState::Promoting => "Promoting",
            ServiceState::Promoted => "Promoted",
        }
    }
}

/// How far up a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceLevel {
    /// It runs, or is being started or stopped.
    Started,
    /// It is, or may be, promoted.
    Promoted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_reads_back_from_its_text() {
        let id = NodeId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("1234".parse::<NodeId>(), Err(NotANodeId));
    }

    #[test]
    fn an_epoch_grows_within_a_term_and_with_it() {
        let first = Epoch::default().next_in(Term(1));
        assert_eq!(first, Epoch(65537));
        assert_eq!(first.next_in(Term(1)), Epoch(65538));
        assert_eq!(first.next_in(Term(2)), Epoch(131_073));
    }

    #[test]
    fn stretching_rounds_against_oneself() {
        assert_eq!(stretched(Duration::from_micros(101), 1), Duration::from_micros(103));
        assert_eq!(stretched(Duration::ZERO, 1), Duration::ZERO);
    }
}
