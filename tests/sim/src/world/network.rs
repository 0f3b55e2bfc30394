//! The network: datagrams are lost, late, doubled, and come again.

use koi_core::io::Destination;
use koi_core::message::{Body, Message, Recipient};

use super::queue::Happening;
use super::{MS, World, absurd, versions};

/// Old datagrams that are kept.
const ATTIC: usize = 4096;

/// What the network does to a datagram.
#[derive(Clone, Debug)]
pub struct Network {
    /// Percent of datagrams that are lost.
    pub loss: u64,
    /// Percent that arrive twice.
    pub duplicates: u64,
    /// The shortest delay, µs.
    pub soonest: u64,
    /// The longest delay, µs; no less than the shortest.
    pub delay: u64,
    /// From whom to whom everything takes so much longer, µs.
    pub slow: Vec<(usize, usize, u64)>,
    /// From whom to whom nothing passes.
    pub cut: Vec<(usize, usize)>,
}

impl Default for Network {
    fn default() -> Network {
        Network { loss: 0, duplicates: 0, soonest: 50, delay: 2 * MS, slow: Vec::new(), cut: Vec::new() }
    }
}

impl World {
    /// A datagram leaves a machine.
    pub fn send(&mut self, from: usize, to: Destination, mut message: Message) {
        if let Some(lacks) = self.machines[from].lacks {
            let Some(said) = lacks.says(message) else { return };
            message = said;
        }
        for target in 0..self.machines.len() {
            let id = self.machines[target].core.as_ref().map(koi_core::Node::id);
            let meant = match to {
                Destination::Everyone => true,
                Destination::Node(node) => id == Some(node),
            };
            if target == from || !meant {
                continue;
            }
            if self.rng.percent(2) || matches!(message.body, Body::Resign(_)) {
                // The oldest give way by turns: what an earlier run was told comes again too.
                let at = (self.rng.draw() % ATTIC as u64) as usize;
                match self.attic.get_mut(at) {
                    Some(kept) => *kept = (target, message.clone()),
                    None => self.attic.push((target, message.clone())),
                }
            }
            self.transmit(from, target, &message);
        }
    }

    pub(super) fn transmit(&mut self, from: usize, to: usize, message: &Message) {
        if self.network.cut.contains(&(from, to)) || self.rng.percent(self.network.loss) {
            return;
        }
        let older = self.machines[from].newer && !self.machines[to].newer;
        let copies = 1 + u64::from(self.rng.percent(self.network.duplicates));
        for _ in 0..copies {
            let slow =
                self.network.slow.iter().find(|(a, b, _)| (*a, *b) == (from, to)).map_or(0, |(_, _, d)| *d);
            let delay = slow + self.rng.between(self.network.soonest, self.network.delay);
            let copy = if older { versions::as_read_by_an_older(message) } else { message.clone() };
            self.deliver_later(to, copy, delay);
        }
    }

    /// A datagram arrives after so many µs.
    pub fn deliver_later(&mut self, to: usize, message: Message, delay: u64) {
        self.later(delay, Happening::Deliver { to, message: Box::new(message) });
    }

    /// An old datagram comes again.
    pub fn replay(&mut self) {
        if self.attic.is_empty() {
            return;
        }
        let at = (self.rng.draw() % self.attic.len() as u64) as usize;
        let (to, message) = self.attic[at].clone();
        self.deliver_later(to, message, 1);
    }

    /// Every old datagram for this machine comes again.
    pub fn replay_to(&mut self, machine: usize) {
        let recorded = self.attic.iter().filter(|(to, _)| *to == machine).cloned().collect::<Vec<_>>();
        for (to, message) in recorded {
            self.deliver_later(to, message, 1);
        }
    }

    /// Something authentic with an absurd number in it comes from a machine to all the others.
    pub fn say_absurd(&mut self, from: usize) {
        let (Some(core), Some(view)) = (&self.machines[from].core, self.view(from)) else { return };
        let (id, session) = (core.id(), core.session());
        let (term, record) = (view.term, core.applied().clone());
        let body = absurd::body(self.rng.draw(), term, record, &self.machines[from].settings);
        self.tell(format!("m{from} says something absurd: {body:?}"));
        for to in 0..self.machines.len() {
            let Some(target) = self.machines[to].core.as_ref().filter(|_| to != from) else { continue };
            let recipient = Some(Recipient { node: target.id(), session: target.session() });
            let mut message = Message { from: id, session, seq: 1 << 62, to: recipient, body: body.clone() };
            if let Some(lacks) = self.machines[from].lacks {
                let Some(said) = lacks.says(message) else { continue };
                message = said;
            }
            self.transmit(from, to, &message);
        }
    }

    /// Nothing passes between a machine and the others.
    pub fn isolate(&mut self, machine: usize) {
        self.tell(format!("m{machine} is cut off"));
        for other in (0..self.machines.len()).filter(|o| *o != machine) {
            self.network.cut.extend([(machine, other), (other, machine)]);
        }
    }

    /// Nothing is cut off any more.
    pub fn mend_network(&mut self) {
        self.tell("the network mends");
        self.network.cut.clear();
    }

    /// Nothing is lost, late or cut off any more.
    pub fn calm_network(&mut self) {
        self.network.cut.clear();
        self.network.slow.clear();
        (self.network.loss, self.network.delay, self.network.duplicates) = (0, 2 * MS, 0);
    }
}
