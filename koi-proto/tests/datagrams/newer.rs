//! Mixed versions work together: a message of a newer version, with fields that this one does not know, is read.

use koi_core::message::{Body, Farewell, Message, Report};
use koi_core::record::StateOrigin;
use koi_core::types::{Epoch, NodeId, Session, Term, Version};
use minicbor::Encoder;

type Writer = Encoder<Vec<u8>>;

fn bytes(e: Writer) -> Vec<u8> {
    e.into_writer()
}

/// A field of some later version: something nested, so that skipping it takes more than one step.
fn unknown(e: &mut Writer) {
    e.map(2).unwrap().str("why").unwrap().array(2).unwrap().u8(1).unwrap().null().unwrap();
    e.u8(7).unwrap().begin_array().unwrap().bytes(b"xyz").unwrap().bool(true).unwrap().end().unwrap();
}

/// `Message` up to its body: seven fields instead of five, a session of three instead of two, none for `to`.
fn begin_message(e: &mut Writer) {
    e.array(7).unwrap().bytes(&9u128.to_be_bytes()).unwrap();
    e.array(3).unwrap().u64(4).unwrap().u64(5).unwrap();
    unknown(e);
    e.u64(77).unwrap().null().unwrap();
}

fn end_message(e: &mut Writer) {
    unknown(e);
    e.str("a second one").unwrap();
}

fn message(body: Body) -> Message {
    Message { from: NodeId(9), session: Session { count: 4, random: 5 }, seq: 77, to: None, body }
}

#[test]
fn a_farewell_with_more_in_it_is_read() {
    let mut e = Encoder::new(Vec::new());
    begin_message(&mut e);
    // The body: its kind, and the kind's fields: what it carries, and one more.
    e.array(2).unwrap().u32(10).unwrap().array(2).unwrap();
    e.array(4).unwrap().u64(65_537).unwrap().map(0).unwrap();
    unknown(&mut e);
    unknown(&mut e);
    unknown(&mut e);
    end_message(&mut e);

    let read: Message = minicbor::decode(&bytes(e)).unwrap();
    assert_eq!(
        read,
        message(Body::Farewell(Farewell { released: Some(Epoch(65_537)), ..Farewell::default() }))
    );
}

/// A info with eleven fields instead of nine, its agreed settings with six instead of five.
fn info(e: &mut Writer) {
    e.array(11).unwrap().str("a").unwrap().str("9.0.0").unwrap().bool(true).unwrap().bool(false).unwrap();
    e.i32(-3).unwrap().u8(2).unwrap();
    e.array(6).unwrap();
    for n in [3, 2, 100_000, 500_000, 1_000_000] {
        e.u64(n).unwrap();
    }
    unknown(e);
    e.u16(13).unwrap().null().unwrap();
    unknown(e);
    unknown(e);
}

/// What a koid from before R13 says: it knows no membership, and its record has no members.
#[test]
fn a_poll_and_a_vote_of_an_older_koid_are_read() {
    let mut e = Encoder::new(Vec::new());
    begin_message(&mut e);
    e.array(2).unwrap().u32(4).unwrap().array(1).unwrap().array(2).unwrap();
    e.array(7).unwrap().str("a").unwrap().str("0.1.0").unwrap().bool(true).unwrap().bool(true).unwrap();
    e.i32(0).unwrap().u8(2).unwrap();
    e.array(5).unwrap();
    for n in [3, 2, 100_000, 500_000, 1_000_000] {
        e.u64(n).unwrap();
    }
    e.u64(8).unwrap();
    end_message(&mut e);
    let read: Message = minicbor::decode(&bytes(e)).unwrap();
    let Body::PreVote(poll) = read.body else { panic!("not a poll: {read:?}") };
    assert_eq!((poll.term, poll.info.rules, poll.info.follows), (Term(8), 0, None));
    assert!(poll.founding.is_empty());

    let mut e = Encoder::new(Vec::new());
    begin_message(&mut e);
    e.array(2).unwrap().u32(7).unwrap().array(1).unwrap().array(7).unwrap();
    e.u64(8).unwrap().bool(true).unwrap().u64(8).unwrap();
    e.array(7).unwrap().array(2).unwrap().u64(7).unwrap().u64(3).unwrap().null().unwrap().null().unwrap();
    e.bool(false).unwrap().bool(true).unwrap().array(0).unwrap().u64(65_537).unwrap();
    e.null().unwrap().bool(false).unwrap().u64(0).unwrap();
    end_message(&mut e);
    let read: Message = minicbor::decode(&bytes(e)).unwrap();
    let Body::Vote(vote) = read.body else { panic!("not a vote: {read:?}") };
    assert!(vote.record.members.is_empty() && vote.record.change.is_none());
    assert!(vote.record.maintenance);
}

#[test]
fn a_report_with_more_at_every_level_is_read() {
    let mut e = Encoder::new(Vec::new());
    begin_message(&mut e);
    e.array(2).unwrap().u32(2).unwrap().array(1).unwrap();
    e.array(15).unwrap();
    info(&mut e);
    e.u64(8).unwrap().u64(21).unwrap().null().unwrap();
    e.array(2).unwrap().u64(8).unwrap().u64(1).unwrap();
    e.array(3).unwrap().u64(7).unwrap().u64(6).unwrap();
    unknown(&mut e);
    e.null().unwrap().u64(1_000_000).unwrap();
    e.null().unwrap().null().unwrap().null().unwrap().null().unwrap().map(0).unwrap().null().unwrap();
    unknown(&mut e);
    end_message(&mut e);

    let read: Message = minicbor::decode(&bytes(e)).unwrap();
    assert_eq!((read.from, read.seq), (NodeId(9), 77));
    let Body::Report(report) = read.body else { panic!("not a report: {read:?}") };
    assert_eq!((report.info.name.as_str(), report.info.origin), ("a", StateOrigin::Member));
    assert_eq!(report.info.agreed.master_lease.as_secs(), 1);
    let Report { term, number, acknowledged, durable, applied, runner, uptime, .. } = report;
    assert_eq!((term, number, acknowledged, runner), (Term(8), 21, None, None));
    assert_eq!((durable, applied), (Version { term: Term(8), n: 1 }, Version { term: Term(7), n: 6 }));
    assert_eq!(uptime.as_secs(), 1);
}

#[test]
fn a_kind_of_message_that_this_version_does_not_know_is_an_error_and_no_more() {
    let mut e = Encoder::new(Vec::new());
    begin_message(&mut e);
    e.array(2).unwrap().u32(99).unwrap().array(1).unwrap().u8(0).unwrap();
    end_message(&mut e);
    let error = minicbor::decode::<Message>(&bytes(e)).unwrap_err();
    assert!(error.is_unknown_variant(), "{error}");
}
