//! A rolling upgrade: newer nodes put fields into their messages that older ones do not know.

use koi_core::message::{Body, FENCES_RULE, MEMBERS_RULE, Message};
use koi_core::placing::GroupPlacement;
use koi_core::record::{Durable, Record};
use minicbor::{Decoder, Encoder};

/// No body has so many fields yet.
const BEHIND: u64 = 20;
/// None, in CBOR.
const NULL: u8 = 0xf6;

/// What an older node reads of a newer one's message: the same, with what it does not know skipped.
pub(crate) fn as_read_by_an_older(message: &Message) -> Message {
    let bytes = minicbor::to_vec(message).expect("a message can be encoded");
    let grown = grown(&bytes).expect("a message is an array whose last element is its body");
    minicbor::decode(&grown).expect("an older node skips the fields that it does not know")
}

/// What an older koi does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// Attributes (R16).
    Attributes,
    /// Groups (R14), fences of others (R12), and attributes.
    Groups,
}

impl Lacks {
    /// What such a koi reads of a state on disk, and writes.
    pub(crate) fn keeps(self, durable: &mut Durable) {
        self.forgets(&mut durable.record);
        self.forgets(&mut durable.applied);
        durable.attributes.clear();
        durable.rules = FENCES_RULE;
        if self == Lacks::Groups {
            durable.held_elsewhere.clear();
            durable.rules = 0;
        }
    }

    fn forgets(self, record: &mut Record) {
        record.known = 0;
        record.main.attributes = None;
        record.others.values_mut().for_each(|group| group.attributes = None);
        if self == Lacks::Groups {
            record.others.clear();
            record.needs = 0;
            record.whole = false;
            record.fence = None;
            record.main.master.iter_mut().for_each(|master| master.by_hand = false);
        }
    }

    /// What such a koi reads of a message; none: it knows no such message.
    pub(crate) fn reads(self, mut message: Message) -> Option<Message> {
        let record = match &mut message.body {
            Body::Heartbeat(heartbeat) => {
                if self == Lacks::Groups {
                    heartbeat.other_masters.clear();
                }
                Some(&mut heartbeat.record)
            }
            Body::Answer(answer) => {
                if self == Lacks::Groups {
                    answer.others.clear();
                }
                let others = answer.others.values_mut().filter_map(|verdict| verdict.lease.as_mut());
                others.chain(&mut answer.lease).for_each(|lease| lease.since = None);
                answer.record.as_mut()
            }
            Body::PreVoteAnswer(answer) => answer.record.as_mut(),
            Body::Vote(vote) => Some(&mut vote.record),
            Body::Report(report) => {
                report.picture = None;
                if self == Lacks::Groups {
                    report.others.clear();
                    report.runner.iter_mut().for_each(|main| main.placement = GroupPlacement::default());
                }
                None
            }
            Body::Farewell(farewell) if self == Lacks::Groups => {
                farewell.others.clear();
                None
            }
            Body::Obituary(obituary) if self == Lacks::Groups => {
                obituary.down.clear();
                None
            }
            Body::Attributes(_)
            | Body::AttributesWanted(_)
            | Body::AttributeWrite(_)
            | Body::WriteRefused(_)
            | Body::Roster(_) => return None,
            Body::Farewell(_)
            | Body::Obituary(_)
            | Body::Hello(_)
            | Body::PreVote(_)
            | Body::RequestVote(_)
            | Body::StaleTerm(_)
            | Body::Resign(_)
            | Body::OtherRun(_) => None,
        };
        record.into_iter().for_each(|record| self.forgets(record));
        Some(message)
    }

    /// What such a koi says where a newer one says this; none: nothing.
    pub(crate) fn says(self, message: Message) -> Option<Message> {
        let mut message = self.reads(message)?;
        let info = match &mut message.body {
            Body::Hello(hello) => &mut hello.info,
            Body::Heartbeat(heartbeat) => &mut heartbeat.info,
            Body::Report(report) => &mut report.info,
            Body::PreVote(poll) => &mut poll.info,
            Body::RequestVote(claim) => &mut claim.info,
            _ => return Some(message),
        };
        info.rules = match self {
            Lacks::Attributes => FENCES_RULE,
            Lacks::Groups => MEMBERS_RULE,
        };
        Some(message)
    }
}

/// The message with one field more, and its body with one field more.
fn grown(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Decoder::new(bytes);
    let fields = reader.array().ok()??;
    let head = reader.position();
    (0..fields - 1).try_for_each(|_| reader.skip()).ok()?;
    let head = &bytes[head..reader.position()];
    reader.array().ok()??;
    let kind = reader.position();
    reader.skip().ok()?;
    let kind = &bytes[kind..reader.position()];
    reader.array().ok()??;
    let known = reader.array().ok()??;
    let body = &bytes[reader.position()..];
    let mut grown = Vec::with_capacity(bytes.len() + 32);
    let mut header = |elements: u64, raw: &[u8]| {
        let mut writer = Encoder::new(Vec::new());
        // Writing to memory does not fail.
        let _ = writer.array(elements);
        grown.extend_from_slice(writer.writer());
        grown.extend_from_slice(raw);
    };
    header(fields + 1, head);
    header(2, kind);
    header(1, &[]);
    // Trailing fields that are none are not written; a later field's place is behind all that are known.
    header(BEHIND + 1, body);
    grown.extend(std::iter::repeat_n(NULL, usize::try_from(BEHIND.checked_sub(known)?).ok()?));
    grown.extend(minicbor::to_vec("a field of the next version").ok()?);
    grown.extend(minicbor::to_vec(("so", "is", "this")).ok()?);
    Some(grown)
}

#[cfg(test)]
mod tests {
    use koi_core::message::{Body, Resign, StaleTerm};
    use koi_core::types::{NodeId, Session, Term};

    use super::*;

    #[test]
    fn an_older_node_reads_what_it_knows() {
        for body in [Body::StaleTerm(StaleTerm { newest: Term(7) }), Body::Resign(Resign { term: Term(8) })] {
            let message =
                Message { from: NodeId(1), session: Session { count: 2, random: 3 }, seq: 4, to: None, body };
            assert_eq!(as_read_by_an_older(&message), message);
            let bytes = minicbor::to_vec(&message).unwrap();
            assert!(grown(&bytes).unwrap().len() > bytes.len() + 20, "there is more in it");
        }
    }
}
