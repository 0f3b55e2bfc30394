//! When a node says that it is there. What it says is in `node::contact::greeting`.

use crate::types::Time;

/// When this node says that it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeting {
    due: Time,
}

impl Greeting {
    pub(crate) fn new(now: Time) -> Greeting {
        Greeting { due: now }
    }

    /// When the next hello is due.
    pub(crate) fn due(&self) -> Time {
        self.due
    }

    /// The next one is due then.
    pub(crate) fn put_off(&mut self, until: Time) {
        self.due = until;
    }

    /// It says so at once.
    pub(crate) fn hasten(&mut self, now: Time) {
        self.due = now;
    }
}
