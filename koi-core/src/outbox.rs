//! What a node leaves to be done: effects for the caller, and messages.

use std::collections::VecDeque;

use crate::event::Event;
use crate::group::GroupName;
use crate::io::{Destination, Effect};
use crate::message::{Body, Message, Recipient};
use crate::types::{NodeId, Session};

/// Effects, in the order in which they are to be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    queue: VecDeque<Effect>,
    /// What events are about that are told now.
    group: GroupName,
}

impl Effects {
    pub(crate) fn push(&mut self, effect: Effect) {
        self.queue.push_back(effect);
    }

    pub(crate) fn event(&mut self, event: Event) {
        let group = self.group.clone();
        self.push(Effect::Event { group, event });
    }

    /// What is told by `tells` is about this group.
    pub(crate) fn about<T>(&mut self, group: &GroupName, tells: impl FnOnce(&mut Effects) -> T) -> T {
        let before = std::mem::replace(&mut self.group, group.clone());
        let told = tells(self);
        self.group = before;
        told
    }

    pub(crate) fn next(&mut self) -> Option<Effect> {
        self.queue.pop_front()
    }
}

/// The effects of a node, and its messages.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    id: NodeId,
    session: Session,
    /// The number of the last message.
    seq: u64,
    effects: Effects,
    /// Messages of this node to itself.
    local: VecDeque<Body>,
}

impl Outbox {
    /// Of this run of this node.
    pub(crate) fn new(id: NodeId, session: Session) -> Outbox {
        Outbox { id, session, seq: 0, effects: Effects::default(), local: VecDeque::new() }
    }

    /// Sends a message; `recipient`: the run that it is meant for. What is for this run itself is kept for [`Outbox::next_local`].
    pub(crate) fn send(&mut self, to: Destination, recipient: Option<Recipient>, body: Body) {
        if recipient.is_some_and(|r| r.node == self.id && r.session == self.session) {
            self.local.push_back(body);
            return;
        }
        self.seq += 1;
        let message =
            Box::new(Message { from: self.id, session: self.session, seq: self.seq, to: recipient, body });
        self.effects.push(Effect::Send { to, message });
    }

    /// The next message of this node to itself.
    pub(crate) fn next_local(&mut self) -> Option<Body> {
        self.local.pop_front()
    }

    /// Where parts that send no messages leave their effects.
    pub(crate) fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// How much is kept.
    pub(crate) fn backlog(&self) -> usize {
        self.effects.queue.len() + self.local.len()
    }
}
