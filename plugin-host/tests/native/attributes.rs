//! A native plugin asks koid for attributes; what it asks ends with its call. `tests/plugins/tests/native_attributes.rs` has a real koid.

use std::future::{pending, ready};
use std::sync::{Arc, Mutex};

use koi_plugin_api::{
    Abort, AttributesAsked, AttributesError, AttributesRead, CallAttributes, Hook, HookError, NamedProcess,
    Outcome,
};

use crate::support::{PATIENCE, failed, misbehaving};

/// Answers writes so, and keeps them.
struct Answering(Result<(), AttributesError>, Mutex<Vec<(String, Option<String>)>>);

impl CallAttributes for Answering {
    fn read(&self, _: bool) -> AttributesAsked<'_, AttributesRead> {
        Box::pin(ready(Ok(AttributesRead::default())))
    }

    fn write(&self, key: String, value: Option<String>) -> AttributesAsked<'_, ()> {
        self.1.lock().expect("nobody panicked with it").push((key, value));
        Box::pin(ready(self.0.clone()))
    }
}

/// Answers nothing.
struct Silent;

impl CallAttributes for Silent {
    fn read(&self, _: bool) -> AttributesAsked<'_, AttributesRead> {
        Box::pin(pending())
    }

    fn write(&self, _: String, _: Option<String>) -> AttributesAsked<'_, ()> {
        Box::pin(pending())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_koids_and_a_refusal_reaches_the_plugin_with_its_text() {
    let Some((_bench, service)) = misbehaving(&[("promote", "set")]) else { return };
    let refused = AttributesError::NotMaster("another node is master".into());
    for (answer, is_well) in [(Ok(()), true), (Err(refused), false)] {
        let group = Arc::new(Answering(answer, Mutex::default()));
        let mut promote = service.prepare(Hook::Promote, PATIENCE);
        promote.call.attributes = group.clone();
        match promote.run().await {
            Ok(Outcome::Done) => assert!(is_well),
            ended => assert_eq!(failed(ended), "another node is master"),
        }
        assert_eq!(
            *group.1.lock().expect("nobody panicked with it"),
            [("k".to_owned(), Some("v".to_owned()))]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_answer_hears_that_the_call_is_to_end() {
    let Some((_bench, service)) = misbehaving(&[("promote", "set"), ("demote", "set")]) else { return };
    let mut promote = service.prepare(Hook::Promote, PATIENCE);
    promote.call.attributes = Arc::new(Silent);
    assert_eq!(promote.run_and_abort("asking", Abort::Gently).await, Err(HookError::Aborted));
    // The same process goes on, and no answer is taken for another's.
    let group = Arc::new(Answering(Ok(()), Mutex::default()));
    let mut demote = service.prepare(Hook::Demote, PATIENCE);
    demote.call.attributes = group.clone();
    assert_eq!(demote.run().await, Ok(Outcome::Done));
    assert_eq!(service.status().await.message, "call 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_names_a_process() {
    let Some((_bench, service)) = misbehaving(&[("start", "name")]) else { return };
    let named = vec![NamedProcess::Id("4711".into())];
    assert_eq!(service.call(Hook::Start).await, Ok(Outcome::Started(named)));
}
