//! Datagrams: every message comes through whole and fits; nothing else comes through.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod messages;
mod newer;

use koi_proto::PROTOCOL_VERSION;
use koi_proto::key::Key;
use koi_proto::seal::{DATAGRAM_BYTES, OpenError, SEAL_BYTES, SealError, Sealer};
use proptest::prelude::*;
use support::{CLUSTER, keyring};

fn sealer() -> Sealer {
    Sealer::new(CLUSTER, &keyring(1, &[]))
}

proptest! {
    #[test]
    fn every_message_comes_through_whole_and_fits(message in messages::any_message()) {
        let datagram = sealer().seal(&message).unwrap();
        prop_assert!(datagram.len() <= DATAGRAM_BYTES);
        prop_assert_eq!(sealer().open(&datagram), Ok(message));
    }

    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..1300)) {
        prop_assert!(sealer().open(&noise).is_err());
    }

    #[test]
    fn noise_behind_a_good_header_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..1184)) {
        let mut datagram = sealer().seal(&messages::smallest()).unwrap();
        datagram.truncate(16);
        datagram.extend_from_slice(&noise);
        prop_assert_eq!(sealer().open(&datagram), Err(OpenError::Forged));
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
        assert_eq!(sealer().open(&datagram), Ok(message));
    }
}

#[test]
fn a_message_that_does_not_fit_says_by_how_much() {
    let message = messages::hello_from("x".repeat(DATAGRAM_BYTES));
    let text = minicbor::to_vec(&message).unwrap();
    let Err(SealError::TooLong { bytes }) = sealer().seal(&message) else { panic!("it was sealed") };
    assert_eq!(bytes, text.len() + SEAL_BYTES);
}

#[test]
fn any_flipped_bit_is_noticed() {
    let datagram = sealer().seal(&messages::smallest()).unwrap();
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = sealer().open(&changed).unwrap_err();
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
        assert!(sealer().open(&datagram[..length]).is_err(), "{length} bytes");
    }
    let mut longer = datagram.clone();
    longer.push(0);
    assert_eq!(sealer().open(&longer), Err(OpenError::Forged));
    longer.resize(DATAGRAM_BYTES + 1, 0);
    assert_eq!(sealer().open(&longer), Err(OpenError::TooLong));
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
    assert_eq!(sealer().open(&there), Err(OpenError::OtherCluster(14)));
    let stranger = Sealer::new(CLUSTER, &keyring(2, &[])).seal(&message).unwrap();
    assert_eq!(sealer().open(&stranger), Err(OpenError::UnknownKey(Key::new([2; 32]).id())));
}

#[test]
fn another_version_is_named() {
    let mut datagram = sealer().seal(&messages::smallest()).unwrap();
    datagram[3] = PROTOCOL_VERSION + 1;
    let error = sealer().open(&datagram).unwrap_err();
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
        assert_eq!(ahead.open(&behind.seal(&message).unwrap()), Ok(message.clone()));
        assert_eq!(behind.open(&ahead.seal(&message).unwrap()), Ok(message.clone()));
    }
    assert!(Sealer::new(CLUSTER, &new).open(&Sealer::new(CLUSTER, &old).seal(&message).unwrap()).is_err());
}
