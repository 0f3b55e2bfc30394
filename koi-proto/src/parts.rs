//! Messages that do not fit one datagram: they travel in parts, each sealed by itself, and are put together again.
//!
//! Only clusters with several groups have such messages. A part names its sender's session and the message's number: whether the message is new
//! is for [`crate::replay`] to say, as of any other.

use std::collections::BTreeMap;

use koi_core::message::Message;
use koi_core::types::{NodeId, Session};
use minicbor::{Decode, Encode};

use crate::replay::NODES;
use crate::seal::{DATAGRAM_BYTES, OpenError, SEAL_BYTES, decode};

/// Parts that a message may have.
pub const PARTS: usize = 8;

/// Messages of one sender that may be incomplete at once.
const PENDING: usize = 8;

/// Bytes of a part besides its piece of the message, at most: two integers of 16 bytes, three of 8, two of 1, and what tells them apart.
const PART_BYTES: usize = 72;

/// Bytes of a message that one part carries, but for the last, which may be shorter.
pub(crate) const PIECE_BYTES: usize = DATAGRAM_BYTES - SEAL_BYTES - PART_BYTES;

/// One part of a message. The tag tells it from a message, which is an array.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(tag(27_499))]
pub struct Part {
    /// Who sends the message.
    #[n(0)]
    pub from: NodeId,
    /// In which run.
    #[n(1)]
    pub session: Session,
    /// The message's number.
    #[n(2)]
    pub seq: u64,
    /// Which part: they count from zero.
    #[n(3)]
    pub index: u8,
    /// How many there are: 2 to [`PARTS`].
    #[n(4)]
    pub count: u8,
    /// Its piece of the message.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub piece: Vec<u8>,
}

impl Part {
    /// The parts of this message, whose text is `text`; none: it is too long for [`PARTS`] of them.
    pub(crate) fn of(message: &Message, text: &[u8]) -> Option<Vec<Part>> {
        let pieces = text.chunks(PIECE_BYTES);
        let count = u8::try_from(pieces.len()).ok().filter(|count| usize::from(*count) <= PARTS)?;
        let part = |(index, piece): (u8, &[u8])| Part {
            from: message.from,
            session: message.session,
            seq: message.seq,
            index,
            count,
            piece: piece.to_vec(),
        };
        Some((0..).zip(pieces).map(part).collect())
    }

    fn is_possible(&self) -> bool {
        (2..=PARTS).contains(&usize::from(self.count))
            && self.index < self.count
            && self.piece.len() <= PIECE_BYTES
    }
}

/// What came out of a datagram.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// A whole message.
    Message(Box<Message>),
    /// A part of one.
    Part(Part),
}

/// Puts parts together. Bounded, whatever comes.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    /// By sender. Of each the newest messages stay: recordings of older ones drive out nothing.
    pending: BTreeMap<NodeId, BTreeMap<(Session, u64), Pieces>>,
}

/// The pieces of a message that have come, in their places.
type Pieces = Vec<Option<Vec<u8>>>;

impl Assembler {
    /// Has no part yet.
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// Takes a part whose seal was good; the message, if it was the last that lacked.
    ///
    /// # Errors
    /// The part, or what the parts make together, is no message.
    pub fn take(&mut self, part: Part) -> Result<Option<Message>, OpenError> {
        if !part.is_possible() {
            return Err(OpenError::Malformed("a part that no message has".to_owned()));
        }
        if !self.pending.contains_key(&part.from) && self.pending.len() >= NODES {
            // More senders than a cluster can have: whoever has left does not come back for its parts.
            self.pending.clear();
        }
        let name = (part.session, part.seq);
        let of_sender = self.pending.entry(part.from).or_default();
        let pieces = of_sender.entry(name).or_insert_with(|| vec![None; usize::from(part.count)]);
        let fits = pieces.len() == usize::from(part.count);
        let Some(place) = pieces.get_mut(usize::from(part.index)).filter(|_| fits) else {
            of_sender.remove(&name);
            return Err(OpenError::Malformed("parts that do not belong together".to_owned()));
        };
        *place = Some(part.piece);
        if pieces.iter().any(Option::is_none) {
            if of_sender.len() > PENDING {
                of_sender.pop_first();
            }
            return Ok(None);
        }
        let text = pieces.iter().flatten().flatten().copied().collect::<Vec<u8>>();
        of_sender.remove(&name);
        let message: Message = decode(&text)?;
        match (message.from, message.session, message.seq) == (part.from, part.session, part.seq) {
            true => Ok(Some(message)),
            false => Err(OpenError::Malformed("parts of a message that calls itself otherwise".to_owned())),
        }
    }

    /// Messages that are incomplete.
    pub fn pending(&self) -> usize {
        self.pending.values().map(BTreeMap::len).sum()
    }
}
