//! Composes the parts into the brain of one machine.

use crate::io::{Boot, Effect, Input};
use crate::settings::Settings;
use crate::types::Time;
use crate::view::View;

/// The brain of one machine.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
}

impl Node {
    /// A node that starts now.
    pub fn new(settings: Settings, boot: Boot) -> Node {
        let _ = boot;
        Node { settings }
    }

    /// Something happened at `now`. Afterwards drain [`Node::poll_effect`].
    pub fn handle(&mut self, now: Time, input: Input) {
        let _ = (now, input, &self.settings);
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When [`Input::Tick`] is due, unless something happens before.
    pub fn next_deadline(&self) -> Time {
        Time::NEVER
    }

    /// What this node knows.
    pub fn view(&self, now: Time) -> View {
        let _ = now;
        unreachable!("replaced by the first real core")
    }
}
