//! A rolling upgrade: newer nodes put fields into their messages that older ones do not know.

use koi_core::message::{Body, MEMBERS_RULE, Message};
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

/// What a koi that knows no groups reads of a state on disk, and writes.
pub(crate) fn state_without_groups(durable: &mut Durable) {
    forget_groups(&mut durable.record);
    forget_groups(&mut durable.applied);
    durable.held_elsewhere.clear();
    durable.rules = 0;
}

fn forget_groups(record: &mut Record) {
    record.others.clear();
    record.needs = 0;
    record.whole = false;
    record.main.master.iter_mut().for_each(|master| master.by_hand = false);
    record.fence = None;
}

/// What a koi that knows no groups reads of a message.
pub(crate) fn without_groups(mut message: Message) -> Message {
    let record = match &mut message.body {
        Body::Heartbeat(heartbeat) => {
            heartbeat.other_masters.clear();
            Some(&mut heartbeat.record)
        }
        Body::Report(report) => {
            report.others.clear();
            report.runner.iter_mut().for_each(|main| main.placement = GroupPlacement::default());
            None
        }
        Body::Answer(answer) => {
            answer.others.clear();
            answer.record.as_mut()
        }
        Body::PreVoteAnswer(answer) => answer.record.as_mut(),
        Body::Vote(vote) => Some(&mut vote.record),
        Body::Farewell(farewell) => {
            farewell.others.clear();
            None
        }
        Body::Obituary(obituary) => {
            obituary.down.clear();
            None
        }
        Body::Hello(_)
        | Body::PreVote(_)
        | Body::RequestVote(_)
        | Body::StaleTerm(_)
        | Body::Resign(_)
        | Body::OtherRun(_) => None,
    };
    record.into_iter().for_each(forget_groups);
    message
}

/// What a koi that knows no groups says where one that does says this.
pub(crate) fn said_without_groups(message: Message) -> Message {
    let mut message = without_groups(message);
    let info = match &mut message.body {
        Body::Hello(hello) => &mut hello.info,
        Body::Heartbeat(heartbeat) => &mut heartbeat.info,
        Body::Report(report) => &mut report.info,
        Body::PreVote(poll) => &mut poll.info,
        Body::RequestVote(claim) => &mut claim.info,
        _ => return message,
    };
    info.rules = MEMBERS_RULE;
    message
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
