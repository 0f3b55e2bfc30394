//! The last events, numbered and stamped, for those who ask and those who follow.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use koi_core::event::{Event, Level};
use koi_core::group::GroupName;
use koi_proto::api;
use tokio::sync::broadcast;

/// Events that are kept; a follower that falls further behind than this misses some, and is told.
const KEPT: usize = 1024;

/// The kind of what is said of drills.
const DRILL: &str = "drill";
/// The kind of a write of an attribute that an operator has forced. All other kinds are the core's.
const FORCED: &str = "attribute-forced";

/// Where events go. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct EventHub {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug)]
struct Ring {
    kept: VecDeque<api::Event>,
    next: u64,
    followers: broadcast::Sender<api::Event>,
}

impl EventHub {
    /// Has no events yet.
    pub(crate) fn new() -> EventHub {
        let (followers, _) = broadcast::channel(KEPT);
        EventHub { ring: Arc::new(Mutex::new(Ring { kept: VecDeque::new(), next: 1, followers })) }
    }

    /// Keeps an event of the node called `node` about a group, tells the followers, and logs it. Routine is logged only: it would push
    /// out what people look for.
    pub(crate) fn push(&self, node: &str, group: &GroupName, event: &Event) {
        log(group, event);
        if event.is_routine() {
            return;
        }
        self.keep(api::Event {
            node: node.to_owned(),
            kind: event.kind().to_owned(),
            message: event.to_string(),
            level: crate::api::states::event_level(event.level()),
            group: group.into(),
            service: event.service().map(str::to_owned),
            state: match event {
                Event::ServiceChanged { to, .. } => Some(crate::api::states::service_state(*to)),
                _ => None,
            },
            ..api::Event::default()
        });
    }

    /// The same for what is said of a drill.
    pub(crate) fn push_drill(&self, node: &str, group: api::Group, message: &str, level: api::EventLevel) {
        match level {
            api::EventLevel::Warning | api::EventLevel::Error => tracing::warn!("{message}"),
            api::EventLevel::Info | api::EventLevel::Unknown(_) => tracing::info!("{message}"),
        }
        self.keep_own(DRILL, node, group, message, level);
    }

    /// The same for a write of an attribute that an operator has forced: who, and which, and never what it says.
    pub(crate) fn push_forced(&self, node: &str, group: api::Group, message: &str) {
        tracing::warn!(%group, "{message}");
        self.keep_own(FORCED, node, group, message, api::EventLevel::Warning);
    }

    fn keep_own(&self, kind: &str, node: &str, group: api::Group, message: &str, level: api::EventLevel) {
        self.keep(api::Event {
            node: node.to_owned(),
            kind: kind.to_owned(),
            message: message.to_owned(),
            level,
            group,
            ..api::Event::default()
        });
    }

    /// Numbers and stamps an event, keeps it, and tells the followers.
    fn keep(&self, event: api::Event) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let event = api::Event { number: ring.next, at_ms: unix_ms(), ..event };
        ring.next += 1;
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(event.clone());
        // Without followers there is nobody to tell.
        let _ = ring.followers.send(event);
    }

    /// The number of the newest event; zero: there is none yet.
    pub(crate) fn newest(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).next - 1
    }

    /// The events kept with a number of at least `since`, and those that come after them.
    pub(crate) fn follow(&self, since: u64) -> (Vec<api::Event>, broadcast::Receiver<api::Event>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = ring.kept.iter().filter(|e| e.number >= since).cloned().collect();
        (kept, ring.followers.subscribe())
    }
}

fn log(group: &GroupName, event: &Event) {
    let service = event.service();
    let group = (!group.is_main()).then(|| group.as_str());
    match event.level() {
        Level::Error => tracing::error!(service, group, "{event}"),
        Level::Warning => tracing::warn!(service, group, "{event}"),
        Level::Info if event.is_routine() => tracing::debug!(service, group, "{event}"),
        Level::Info => tracing::info!(service, group, "{event}"),
    }
}

/// Milliseconds since 1970 by the wall clock: for people, never for decisions.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_follower_gets_what_was_kept_and_then_what_comes() {
        let hub = EventHub::new();
        assert_eq!(hub.newest(), 0);
        for n in 0..KEPT + 5 {
            hub.push("a", &GroupName::MAIN, &Event::NodeSeen { node: format!("n{n}") });
        }
        let (kept, mut following) = hub.follow(0);
        assert_eq!(kept.len(), KEPT);
        assert_eq!((kept[0].number, kept[0].kind.as_str()), (6, "node-seen"));
        let (late, _) = hub.follow(KEPT as u64 + 5);
        assert_eq!((late.len(), late[0].number), (1, hub.newest()));
        hub.push("a", &GroupName::MAIN, &Event::Joined { votes: true });
        assert_eq!(following.recv().await.unwrap().number, KEPT as u64 + 6);
    }
}
