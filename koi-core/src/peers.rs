//! The other nodes, as far as they were heard.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::limits;
use crate::message::{Card, RunnerSummary};
use crate::types::{Epoch, NodeId, Session, Time, Version};

/// A node that is unheard for so long is forgotten (classic.md §4).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30 * 60);

/// Another node.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) card: Card,
    pub(crate) heard: Time,
    pub(crate) address: Option<SocketAddr>,
    /// Its latest hello named this run of this node: it is no old one (R10).
    pub(crate) knows_us: bool,
    pub(crate) summary: Option<RunnerSummary>,
    pub(crate) applied: Version,
    /// Its daemon's start, on our clock.
    pub(crate) since: Time,
    pub(crate) gone: Option<Gone>,
    /// Its silence has been told.
    pub(crate) told_lost: bool,
}

/// A session that is over, by its own word or its guardian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It said farewell; up to which epoch it holds nothing, if it could say that.
    Left(Option<Epoch>),
    /// Its daemon is dead; whether everything is down.
    Dead { all_down: bool },
}

impl Gone {
    /// What is known after `later` was heard too: datagrams come in any order, and the end of a session is final.
    fn and(self, later: Gone) -> Gone {
        match (self, later) {
            (Gone::Dead { all_down: true }, _) | (_, Gone::Dead { all_down: true }) => {
                Gone::Dead { all_down: true }
            }
            (Gone::Left(a), Gone::Left(b)) => Gone::Left(a.max(b)),
            (Gone::Left(epoch), Gone::Dead { .. }) | (Gone::Dead { .. }, Gone::Left(epoch)) => {
                Gone::Left(epoch)
            }
            (Gone::Dead { .. }, Gone::Dead { .. }) => Gone::Dead { all_down: false },
        }
    }
}

impl Peer {
    /// Its session is over; true if that is news.
    pub(crate) fn ends(&mut self, gone: Gone) -> bool {
        let before = self.gone.replace(self.gone.map_or(gone, |before| before.and(gone)));
        before.is_none()
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    map: BTreeMap<NodeId, Peer>,
}

/// What a message tells of its sender's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The same run as before.
    Again,
    /// Not known before.
    First,
    /// A new run: the earlier one is over.
    Restarted,
    /// An earlier run, or one node too many: not to be listened to.
    Ignored,
}

impl Peers {
    pub(crate) fn get(&self, id: NodeId) -> Option<&Peer> {
        self.map.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.map.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Peer)> {
        self.map.iter().map(|(id, peer)| (*id, peer))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Peer)> {
        self.map.iter_mut().map(|(id, peer)| (*id, peer))
    }

    /// A message came from this run of this node.
    pub(crate) fn hear(
        &mut self,
        id: NodeId,
        session: Session,
        source: Option<SocketAddr>,
        now: Time,
    ) -> Heard {
        if self.map.len() >= limits::NODES {
            self.forget_old(now);
        }
        let full = self.map.len() >= limits::NODES;
        let fresh = || Peer {
            session,
            card: Card::default(),
            heard: now,
            address: source,
            knows_us: false,
            summary: None,
            applied: Version::default(),
            since: now,
            gone: None,
            told_lost: false,
        };
        let Some(peer) = self.map.get_mut(&id) else {
            if full {
                return Heard::Ignored;
            }
            self.map.insert(id, fresh());
            return Heard::First;
        };
        if session < peer.session {
            return Heard::Ignored;
        }
        if session > peer.session {
            let card = peer.card.clone();
            // That one is back whose end was told is told too.
            let told_lost = peer.told_lost || peer.gone.is_some();
            *peer = Peer { card, told_lost, ..fresh() };
            return Heard::Restarted;
        }
        peer.heard = now;
        peer.address = source.or(peer.address);
        Heard::Again
    }

    /// Forgets who has not been heard for half an hour.
    pub(crate) fn forget_old(&mut self, now: Time) {
        self.map.retain(|_, peer| now.since(peer.heard) < FORGOTTEN_AFTER);
    }
}
