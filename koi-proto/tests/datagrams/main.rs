//! Datagrams: every message comes through whole and fits; nothing else comes through.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod messages;
mod newer;

use koi_core::message::Message;
use koi_proto::PROTOCOL_VERSION;
use koi_proto::key::Key;
use koi_proto::parts::{Assembler, Opened, PARTS, Part};
use koi_proto::seal::{DATAGRAM_BYTES, OpenError, SEAL_BYTES, SealError, Sealer};
use proptest::prelude::*;
use support::{CLUSTER, keyring};

fn sealer() -> Sealer {
    Sealer::new(CLUSTER, &keyring(1, &[]))
}

/// The message in this datagram.
fn open(datagram: &[u8]) -> Result<Message, OpenError> {
    open_with(&sealer(), datagram)
}

fn open_with(sealer: &Sealer, datagram: &[u8]) -> Result<Message, OpenError> {
    match sealer.open(datagram)? {
        Opened::Message(message) => Ok(*message),
        Opened::Part(part) => panic!("it is a part: {part:?}"),
    }
}

/// The message in these datagrams.
fn put_together(datagrams: &[Vec<u8>]) -> Option<Message> {
    let mut assembler = Assembler::new();
    datagrams.iter().fold(None, |_, datagram| match sealer().open(datagram).unwrap() {
        Opened::Message(message) => Some(*message),
        Opened::Part(part) => assembler.take(part).unwrap(),
    })
}

proptest! {
    #[test]
    fn every_message_comes_through_whole_and_fits(message in messages::any_message()) {
        let datagrams = sealer().seal_whole(&message).unwrap();
        prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM_BYTES));
        prop_assert_eq!(put_together(&datagrams), Some(message));
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..1300)) {
        prop_assert!(open(&noise).is_err());
    }

    #[test]
    fn noise_behind_a_good_header_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..1184)) {
        let mut datagram = sealer().seal(&messages::smallest()).unwrap();
        datagram.truncate(16);
        datagram.extend_from_slice(&noise);
        prop_assert_eq!(open(&datagram), Err(OpenError::Forged));
    }

    #[test]
    fn a_rightly_sealed_message_cut_short_or_changed_never_panics(
        message in messages::any_message(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut text = minicbor::to_vec(&message).unwrap();
        let at = at.index(text.len());
        prop_assert!(minicbor::decode::<koi_core::message::Message>(&text[..at]).is_err());
        text[at] = byte;
        let _ = minicbor::decode::<koi_core::message::Message>(&text);
    }
}

#[test]
fn the_largest_message_of_every_kind_fits() {
    for message in messages::largest() {
        let datagram = sealer().seal(&message).unwrap();
        println!("{:5} bytes: {:.30}", datagram.len(), format!("{:?}", message.body));
        assert!(datagram.len() <= DATAGRAM_BYTES);
        assert_eq!(open(&datagram), Ok(message));
    }
}

/// A fence is in the record for a minute, and all that is in it is at its longest here.
#[test]
fn while_a_node_is_fenced_the_largest_message_goes_in_two_parts_at_most() {
    let messages = messages::largest_while_fencing();
    assert_eq!(messages.len(), 4);
    for message in messages {
        let datagrams = sealer().seal_whole(&message).unwrap();
        assert!(datagrams.len() <= 2 && datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM_BYTES));
        assert_eq!(put_together(&datagrams), Some(message));
    }
}

/// The parts of this message, as they come out of its datagrams.
fn parts(message: &Message) -> Vec<Part> {
    let datagrams = sealer().seal_whole(message).unwrap();
    assert!(datagrams.iter().all(|datagram| datagram.len() <= DATAGRAM_BYTES));
    let part = |datagram: &Vec<u8>| match sealer().open(datagram).unwrap() {
        Opened::Part(part) => part,
        Opened::Message(message) => panic!("it is whole: {message:?}"),
    };
    datagrams.iter().map(part).collect()
}

/// Messages of a cluster with as many groups as there may be: more than a datagram takes.
fn of_many_groups() -> impl Iterator<Item = Message> {
    messages::largest_of_many_groups().into_iter()
}

#[test]
fn with_many_groups_the_largest_message_of_every_kind_goes_in_parts() {
    for message in of_many_groups() {
        let mut assembler = Assembler::new();
        let parts = parts(&message);
        println!("{:5} datagrams: {:.30}", parts.len(), format!("{:?}", message.body));
        let (last, others) = parts.split_last().unwrap();
        // Datagrams overtake one another, and come twice.
        for part in others.iter().rev().chain(others) {
            assert_eq!(assembler.take(part.clone()), Ok(None));
        }
        assert_eq!(assembler.take(last.clone()), Ok(Some(message)));
        assert_eq!(assembler.pending(), 0);
    }
}

#[test]
fn whoever_sends_parts_for_ever_fills_no_memory_and_keeps_no_newer_message_away() {
    let most = 8 * koi_proto::replay::NODES;
    let mut assembler = Assembler::new();
    let message = of_many_groups().next().unwrap();
    let of_number = |seq: u64| parts(&Message { seq, ..message.clone() });
    let part = &of_number(1)[0];
    for (sender, seq) in (0..200).flat_map(|sender| (0..50).map(move |seq| (sender, seq))) {
        let part = Part { from: koi_core::types::NodeId(sender), seq, ..part.clone() };
        assert_eq!(assembler.take(part), Ok(None));
        assert!(assembler.pending() <= most, "{}", assembler.pending());
    }
    let newest = of_number(1000);
    for new in &newest[1..] {
        assert_eq!(assembler.take(new.clone()), Ok(None));
        // Recordings of earlier messages, none of them whole.
        for seq in 0..100 {
            assert_eq!(assembler.take(Part { seq, ..part.clone() }), Ok(None));
        }
    }
    let whole = assembler.take(newest[0].clone()).unwrap();
    assert_eq!(whole, Some(Message { seq: 1000, ..message }));
    assert!(assembler.pending() <= most, "{}", assembler.pending());
}

#[test]
fn parts_that_make_no_message_are_refused() {
    let message = of_many_groups().next().unwrap();
    let good = parts(&message);
    let malformed = |part: Part| {
        let mut assembler = Assembler::new();
        let mut all = good.clone();
        all[0] = part;
        let results: Vec<_> = all.into_iter().map(|part| assembler.take(part)).collect();
        let refused =
            results.iter().filter_map(|result| result.as_ref().err()).all(|e| e.kind() == "malformed");
        refused && results.iter().all(|result| !matches!(result, Ok(Some(_))))
    };
    let first = || good[0].clone();
    let changed = [
        Part { count: 0, ..first() },
        Part { count: 1, ..first() },
        Part { count: 200, ..first() },
        Part { index: 200, ..first() },
        Part { count: first().count + 1, ..first() },
        Part { piece: vec![0; 5000], ..first() },
        Part { piece: Vec::new(), ..first() },
        Part { piece: vec![0xff; 100], ..first() },
    ];
    for part in changed {
        assert!(malformed(part.clone()), "{part:?}");
    }
    // Of a message that calls itself otherwise.
    let mut assembler = Assembler::new();
    let other: Vec<_> = good.iter().map(|part| assembler.take(Part { seq: 1, ..part.clone() })).collect();
    assert_eq!(other.last().unwrap().as_ref().unwrap_err().kind(), "malformed");
}

#[test]
fn a_message_that_fits_is_one_datagram_as_ever() {
    for message in messages::largest() {
        let datagrams = sealer().seal_whole(&message).unwrap();
        assert_eq!((datagrams.len(), open(&datagrams[0])), (1, Ok(message)));
    }
}

#[test]
fn a_message_that_does_not_fit_says_by_how_much() {
    let message = messages::hello_from("x".repeat(DATAGRAM_BYTES));
    let text = minicbor::to_vec(&message).unwrap();
    let Err(SealError::TooLong { bytes }) = sealer().seal(&message) else { panic!("it was sealed") };
    assert_eq!(bytes, text.len() + SEAL_BYTES);
    let message = messages::hello_from("x".repeat(PARTS * DATAGRAM_BYTES));
    assert!(matches!(sealer().seal_whole(&message), Err(SealError::TooLong { .. })));
}

#[test]
fn any_flipped_bit_is_noticed() {
    let datagram = sealer().seal(&messages::smallest()).unwrap();
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = open(&changed).unwrap_err();
        let expected = match bit / 8 {
            0..3 => "not-koi",
            3 => "version",
            4..8 => "other-cluster",
            8..16 => "unknown-key",
            _ => "forged",
        };
        assert_eq!(error.kind(), expected, "bit {bit}");
        assert!(OpenError::KINDS.contains(&error.kind()));
    }
}

#[test]
fn any_truncation_or_addition_is_noticed() {
    let datagram = sealer().seal(&messages::smallest()).unwrap();
    for length in 0..datagram.len() {
        assert!(open(&datagram[..length]).is_err(), "{length} bytes");
    }
    let mut longer = datagram.clone();
    longer.push(0);
    assert_eq!(open(&longer), Err(OpenError::Forged));
    longer.resize(DATAGRAM_BYTES + 1, 0);
    assert_eq!(open(&longer), Err(OpenError::TooLong));
}

#[test]
fn the_same_message_never_looks_the_same() {
    let message = messages::smallest();
    assert_ne!(sealer().seal(&message).unwrap(), sealer().seal(&message).unwrap());
}

#[test]
fn another_cluster_is_told_from_another_key() {
    let message = messages::smallest();
    let there = Sealer::new(14, &keyring(1, &[])).seal(&message).unwrap();
    assert_eq!(open(&there), Err(OpenError::OtherCluster(14)));
    let stranger = Sealer::new(CLUSTER, &keyring(2, &[])).seal(&message).unwrap();
    assert_eq!(open(&stranger), Err(OpenError::UnknownKey(Key::new([2; 32]).id())));
}

#[test]
fn another_version_is_named() {
    let mut datagram = sealer().seal(&messages::smallest()).unwrap();
    datagram[3] = PROTOCOL_VERSION + 1;
    let error = open(&datagram).unwrap_err();
    assert_eq!(error, OpenError::Version(PROTOCOL_VERSION + 1));
    assert!(
        error.to_string().contains(&format!("{}, not {PROTOCOL_VERSION}", PROTOCOL_VERSION + 1)),
        "{error}"
    );
}

#[test]
fn a_key_is_rotated_without_a_message_lost() {
    let message = messages::smallest();
    let (old, new) = (keyring(1, &[]), keyring(2, &[]));
    // Step by step, one node ahead of the other: accept the new key, seal with it, drop the old one.
    let steps = [
        (old.clone(), keyring(1, &[2])),
        (keyring(1, &[2]), keyring(2, &[1])),
        (keyring(2, &[1]), new.clone()),
    ];
    for (behind, ahead) in steps {
        let (behind, ahead) = (Sealer::new(CLUSTER, &behind), Sealer::new(CLUSTER, &ahead));
        assert_eq!(open_with(&ahead, &behind.seal(&message).unwrap()), Ok(message.clone()));
        assert_eq!(open_with(&behind, &ahead.seal(&message).unwrap()), Ok(message.clone()));
    }
    assert!(Sealer::new(CLUSTER, &new).open(&Sealer::new(CLUSTER, &old).seal(&message).unwrap()).is_err());
}
