use std::fs;

use koi_core::types::Term;

use super::super::state_file::{FORMAT, render};
use super::*;

fn durable(term: u64) -> Durable {
    Durable { term: Term(term), ..Durable::default() }
}

#[test]
fn a_first_start_draws_an_id_and_later_starts_keep_it_and_count() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/state");
    let (mut store, first) = Store::open(&dir).unwrap();
    assert_eq!((first.session.count, first.durable), (1, None));
    assert!(first.damaged.is_none());
    store.save(&durable(7)).unwrap();
    drop(store);

    let (_store, second) = Store::open(&dir).unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(second.session.count, 2);
    assert_ne!(second.session.random, first.session.random);
    assert_eq!(second.durable, Some(durable(7)));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&dir).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn two_daemons_never_share_a_folder_and_the_error_names_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let _held = Store::open(folder.path()).unwrap();
    let message = Store::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
}

#[test]
fn damage_of_any_kind_is_set_aside_and_said() {
    let whole = render(&StoredState { id: NodeId(5), starts: 3, durable: Some(durable(1)) });
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let kinds =
        [flipped, whole[..whole.len() - 1].to_vec(), whole[..10].to_vec(), b"hello".repeat(20), vec![]];
    let folder = tempfile::tempdir().unwrap();
    for (n, bytes) in kinds.iter().enumerate() {
        fs::write(folder.path().join("state"), bytes).unwrap();
        let _ = fs::remove_file(folder.path().join(FILE));
        let (_store, opened) = Store::open(folder.path()).unwrap();
        let (aside, why) = opened.damaged.expect("the damage is noticed");
        assert_eq!(aside, folder.path().join(format!("state.damaged-{}", n + 1)), "{why}");
        assert_eq!(&fs::read(&aside).unwrap(), bytes);
        assert_ne!(opened.id, NodeId(5), "without the identity's file it is another node");
        assert_eq!((opened.session.count, opened.durable), (1, None));
    }
}

#[test]
fn a_damaged_state_leaves_the_node_its_id_and_its_count() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = Store::open(folder.path()).unwrap();
    store.save(&durable(7)).unwrap();
    drop(store);
    fs::write(folder.path().join("state"), b"koistate, or not").unwrap();
    let (store, second) = Store::open(folder.path()).unwrap();
    assert!(second.damaged.is_some());
    assert_eq!((second.id, second.session.count, second.durable), (first.id, 2, None));
    assert_eq!(second.before.follows, Some(first.session), "it is the same machine");
    drop(store);
    fs::write(folder.path().join(FILE), b"spoilt").unwrap();
    let (_store, third) = Store::open(folder.path()).unwrap();
    assert_eq!((third.id, third.session.count), (first.id, 3), "the state knows it too");
}

#[test]
fn a_state_from_before_the_identity_had_a_file_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let old = StoredState { id: NodeId(5), starts: 3, durable: Some(durable(4)) };
    fs::write(folder.path().join("state"), render(&old)).unwrap();
    let (_store, opened) = Store::open(folder.path()).unwrap();
    assert_eq!((opened.id, opened.session.count, opened.durable), (NodeId(5), 4, Some(durable(4))));
    assert_eq!(opened.before, PreviousRun::default(), "nobody knows where it ran");
    assert!(folder.path().join(FILE).exists());
}

#[test]
fn an_old_state_beside_a_newer_identity_is_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path()).unwrap();
    store.save(&Durable { held: Some(koi_core::types::Epoch(3)), ..durable(4) }).unwrap();
    let backup = fs::read(folder.path().join("state")).unwrap();
    drop(store);
    drop(Store::open(folder.path()).unwrap());
    fs::write(folder.path().join("state"), backup).unwrap();
    let (_store, opened) = Store::open(folder.path()).unwrap();
    assert!(opened.restored);
    let durable = opened.durable.expect("what may still be promoted is remembered");
    assert_eq!(durable.term, Term(0), "what it has voted since is unknown");
    assert_eq!(durable.held, Some(koi_core::types::Epoch(3)));
}

#[test]
fn counting_up_goes_on_from_where_others_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = Store::open(folder.path()).unwrap();
    store.save(&durable(9)).unwrap();
    store.count_up(41).unwrap();
    drop(store);
    let (_store, second) = Store::open(folder.path()).unwrap();
    assert_eq!((second.id, second.session.count), (first.id, 42));
    assert_eq!(second.durable.map(|d| d.term), Some(Term(0)));
}

#[test]
fn a_state_of_a_newer_koid_is_refused_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = render(&StoredState { id: NodeId(5), starts: 3, durable: None });
    bytes[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&(FORMAT + 1).to_be_bytes());
    fs::write(folder.path().join("state"), &bytes).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found, .. } if found == FORMAT + 1), "{error}");
    assert_eq!(fs::read(folder.path().join("state")).unwrap(), bytes);
}

#[test]
fn a_crash_between_writing_and_renaming_leaves_the_old_state() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, first) = Store::open(folder.path()).unwrap();
    store.save(&durable(4)).unwrap();
    drop(store);
    // What a crash leaves behind: half a new file that was never renamed.
    fs::write(folder.path().join("state.new"), b"koist").unwrap();
    let (_store, second) = Store::open(folder.path()).unwrap();
    assert_eq!((second.id, second.durable), (first.id, Some(durable(4))));
    assert!(second.damaged.is_none());
}
