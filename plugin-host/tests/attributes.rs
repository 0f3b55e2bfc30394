//! What a component is told of the attributes of its service's group, and what it may write.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{
    AttributesAsked, AttributesError, AttributesRead, CallAttributes, Handler, Hook, HookError, Outcome,
};

/// A group whose attributes lie in memory; each refusal has a key of its own.
#[derive(Default)]
struct Group(Mutex<BTreeMap<String, String>>);

impl CallAttributes for Group {
    fn read(&self, fresh: bool) -> AttributesAsked<'_, AttributesRead> {
        let values = self.0.lock().unwrap().clone().into_iter().collect();
        let version = if fresh { "7.2" } else { "7.1" }.to_owned();
        Box::pin(ready(Ok(AttributesRead { version, values })))
    }

    fn write(&self, key: String, value: Option<String>) -> AttributesAsked<'_, ()> {
        let why = key.clone();
        let refused = match key.as_str() {
            "not-master" => AttributesError::NotMaster(why),
            "invalid" => AttributesError::Invalid(why),
            "unavailable" => AttributesError::Unavailable(why),
            "unknown" => AttributesError::Unknown(why),
            "for-ever" => return Box::pin(pending()),
            _ => {
                let mut values = self.0.lock().unwrap();
                match value {
                    Some(value) => values.insert(key, value),
                    None => values.remove(&key),
                };
                return Box::pin(ready(Ok(())));
            }
        };
        Box::pin(ready(Err(refused)))
    }
}

/// Fails with the text of a refusal; how it is refused is the level of a line before: 0 not-master to 3 unknown.
const OR_SAY: &str = "(if (i32.load8_u (i32.const 2048)) (then
    (call $log (i32.load8_u (i32.const 2052)) (i32.load (i32.const 2056)) (i32.load (i32.const 2060)))
    (return (call $error (i32.const 0) (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))))";

fn failed(text: &str) -> Result<Outcome, HookError> {
    Err(HookError::Failed(text.into()))
}

fn handler(node: &Node, guest: Guest) -> Arc<dyn Handler> {
    node.handler("attributes", &guest.with_attributes().build(), "")
}

/// Writes `key`, and tells of a refusal.
fn writes(key: &str) -> String {
    format!("(call $write %{{{key}}} %{{value}} (i32.const 2048)) {OR_SAY} (call $done)")
}

#[tokio::test]
async fn what_is_written_is_read_and_removed() {
    let node = Node::new();
    // Says the version, the first key and its value.
    let read = format!(
        "(call $read (i32.const 1) (i32.const 2048)) {OR_SAY}
        (call $log (i32.const 2) (i32.load (i32.const 2052)) (i32.load (i32.const 2056)))
        (call $log (i32.const 2) (i32.load (i32.load (i32.const 2060))) (i32.load offset=4 (i32.load (i32.const 2060))))
        (call $log (i32.const 2) (i32.load offset=8 (i32.load (i32.const 2060)))
            (i32.load offset=12 (i32.load (i32.const 2060))))
        (call $done)"
    );
    let removes = format!("(call $remove %{{primary}} (i32.const 2048)) {OR_SAY} (call $done)");
    let guest = Guest::new("attributes")
        .hook("promote", &writes("primary"))
        .hook("start", &read)
        .hook("stop", &removes);
    let group = Arc::new(Group::default());
    let ask = Ask::new(&handler(&node, guest)).with_attributes(group.clone());
    assert_eq!(ask.hook(Hook::Promote).await, Ok(Outcome::Done));
    assert_eq!(ask.hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(ask.log.lines(), ["Info 7.2", "Info primary", "Info value"]);
    assert_eq!(ask.hook(Hook::Stop).await, Ok(Outcome::Done));
    assert!(group.0.lock().unwrap().is_empty());
}

#[tokio::test]
async fn each_refusal_reaches_the_guest_with_its_text() {
    let node = Node::new();
    let guest = Guest::new("attributes")
        .hook("start", &writes("not-master"))
        .hook("promote", &writes("invalid"))
        .hook("demote", &writes("unavailable"))
        .hook("failed", &writes("unknown"));
    let ask = Ask::new(&handler(&node, guest)).with_attributes(Arc::new(Group::default()));
    assert_eq!(ask.hook(Hook::Start).await, failed("not-master"));
    assert_eq!(ask.hook(Hook::Promote).await, failed("invalid"));
    assert_eq!(ask.hook(Hook::Demote).await, failed("unavailable"));
    assert_eq!(ask.hook(Hook::Failed).await, failed("unknown"));
    let said = ["Debug not-master", "Debug invalid", "Info unavailable", "Warn unknown"];
    assert_eq!(ask.log.lines(), said);
}

#[tokio::test]
async fn where_there_is_no_cluster_nothing_is_written() {
    let node = Node::new();
    let ask = Ask::new(&handler(&node, Guest::new("attributes").hook("promote", &writes("primary"))));
    let refused = "there is no cluster here, and so no master that could write attributes";
    assert_eq!(ask.hook(Hook::Promote).await, failed(refused));
}

#[tokio::test]
async fn a_write_without_an_answer_ends_with_its_call_and_harms_no_later_one() {
    let node = Node::new();
    let guest =
        Guest::new("attributes").hook("promote", &writes("for-ever")).hook("demote", &writes("primary"));
    let ask = Ask::new(&handler(&node, guest)).with_attributes(Arc::new(Group::default()));
    let cut = ask.with_timeout(Duration::from_millis(500)).hook(Hook::Promote).await;
    assert!(matches!(cut, Err(HookError::TimedOut(_))), "{cut:?}");
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
}

#[tokio::test]
async fn what_is_longer_than_any_attribute_is_not_even_sent() {
    let node = Node::new();
    // From the beginning of its memory.
    let long = format!(
        "(drop (memory.grow (i32.const 8)))
        (call $write %{{primary}} (i32.const 131072) (i32.const 262144) (i32.const 2048)) {OR_SAY} (call $done)"
    );
    let group = Arc::new(Group::default());
    let guest = Guest::new("attributes").hook("promote", &long);
    let ask = Ask::new(&handler(&node, guest)).with_attributes(group.clone());
    let refused = "key and value have 262151 bytes, and no attribute has so many; make them shorter";
    assert_eq!(ask.hook(Hook::Promote).await, failed(refused));
    assert!(group.0.lock().unwrap().is_empty());
}
