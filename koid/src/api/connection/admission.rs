//! How many may ask at once.
//!
//! A new connection is in the waiting room until its request was read whole. The room has a limit: when it is full, a new
//! connection evicts the one that has been silent the longest. A request takes a slot. There is a pool of slots for each kind
//! of request (followers, readers, commands), so that none of them can use up another's. Root, the other users of this
//! machine, and other machines each have a waiting room and pools of their own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Connections in a waiting room, and of one source. With every room and pool full there are some 700 connections: a process may
/// have 1024 descriptors.
const WAITING_ROOM: Limits = Limits { all: 96, each: 32 };
/// Followers that are served at once.
const FOLLOWERS: Limits = Limits { all: 64, each: 48 };
/// Requests that look at something.
const LOOKS: Limits = Limits { all: 32, each: 24 };
/// Requests that change something.
const COMMANDS: Limits = Limits { all: 32, each: 24 };

/// The most at once, of all sources and of one.
#[derive(Clone, Copy, Debug)]
struct Limits {
    all: usize,
    /// From one source.
    each: usize,
}

impl Limits {
    /// One source may have all of them.
    fn for_one(self) -> Limits {
        Limits { each: self.all, ..self }
    }
}

/// Where a client comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) enum ClientSource {
    /// This user, on this machine.
    User(u32),
    /// This address; of IPv6 the network, for who has one address of it has them all.
    Address(IpAddr),
}

impl From<SocketAddr> for ClientSource {
    fn from(address: SocketAddr) -> ClientSource {
        const NETWORK_BITS: u32 = 64;
        ClientSource::Address(match address.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) if address.is_loopback() => address.into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() >> NETWORK_BITS << NETWORK_BITS).into()
            }
        })
    }
}

/// What a request does, and so how long it keeps its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum RequestKind {
    /// It may last for ever.
    Follow,
    /// It changes nothing.
    Look,
    /// It changes something.
    Command,
}

/// A waiting room and its pools.
#[derive(Debug)]
pub(in crate::api) struct Admission {
    waiting_room: Arc<WaitingRoom>,
    followers: Arc<SlotPool>,
    looks: Arc<SlotPool>,
    commands: Arc<SlotPool>,
}

impl Admission {
    /// For clients of many sources.
    pub(in crate::api) fn for_many() -> Admission {
        Admission::new(|bounds| bounds)
    }

    /// For one source alone.
    pub(in crate::api) fn for_one() -> Admission {
        Admission::new(Limits::for_one)
    }

    fn new(bounds: fn(Limits) -> Limits) -> Admission {
        let room = |most| Arc::new(SlotPool { bounds: bounds(most), taken: Mutex::default() });
        Admission {
            waiting_room: Arc::new(WaitingRoom {
                bounds: bounds(WAITING_ROOM),
                connections: Mutex::default(),
            }),
            followers: room(FOLLOWERS),
            looks: room(LOOKS),
            commands: room(COMMANDS),
        }
    }

    /// Takes in a new connection, which may evict another one.
    pub(in crate::api) fn enter(&self, source: ClientSource) -> (WaitingTicket, Eviction) {
        self.waiting_room.enter(source)
    }

    /// A slot for a request that was read; none: all are taken.
    pub(in crate::api) fn take(&self, kind: RequestKind, source: ClientSource) -> Option<Slot> {
        let room = match kind {
            RequestKind::Follow => &self.followers,
            RequestKind::Look => &self.looks,
            RequestKind::Command => &self.commands,
        };
        room.take(source)
    }
}

/// Connections whose request was not read yet.
#[derive(Debug)]
struct WaitingRoom {
    bounds: Limits,
    connections: Mutex<WaitingConnections>,
}

#[derive(Debug, Default)]
struct WaitingConnections {
    next: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, WaitingConnection>,
}

#[derive(Debug)]
struct WaitingConnection {
    source: ClientSource,
    credibility: Arc<AtomicU8>,
    /// Dropping it evicts.
    _stays: oneshot::Sender<()>,
}

/// How much a client has shown of itself: the less, the sooner it is evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::api) enum Credibility {
    /// It has said nothing.
    Nothing,
    /// It has sent a whole opening of the handshake, which may be a copy of another client's.
    Words,
    /// It has the key.
    Key,
}

/// Ends when the connection is evicted, or has left the waiting room.
pub(in crate::api) struct Eviction(oneshot::Receiver<()>);

/// A connection's stay in the waiting room; it leaves when this is dropped.
#[derive(Debug)]
pub(in crate::api) struct WaitingTicket {
    waiting_room: Arc<WaitingRoom>,
    number: u64,
    credibility: Arc<AtomicU8>,
}

impl WaitingTicket {
    /// The client has shown this of itself.
    pub(in crate::api) fn credit(&self, shown: Credibility) {
        self.credibility.fetch_max(shown as u8, Ordering::Relaxed);
    }
}

impl Drop for WaitingTicket {
    fn drop(&mut self) {
        self.waiting_room.lock().waiting.remove(&self.number);
    }
}

impl Eviction {
    /// Until the connection is evicted: for ever, if it has left by itself. `holds_ticket` says whether it has not.
    pub(in crate::api) async fn when(self, holds_ticket: impl Fn() -> bool) {
        let _ = self.0.await;
        if !holds_ticket() {
            std::future::pending::<()>().await;
        }
    }
}

impl WaitingRoom {
    fn lock(&self) -> MutexGuard<'_, WaitingConnections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, source: ClientSource) -> (WaitingTicket, Eviction) {
        let mut connections = self.lock();
        if connections.waiting.values().filter(|connection| connection.source == source).count()
            >= self.bounds.each
        {
            connections.evict(|connection| connection.source == source);
        } else if connections.waiting.len() >= self.bounds.all {
            connections.evict(|_| true);
        }
        let number = connections.next;
        connections.next += 1;
        let credibility = Arc::new(AtomicU8::new(Credibility::Nothing as u8));
        let (stays, evicted) = oneshot::channel();
        connections
            .waiting
            .insert(number, WaitingConnection { source, credibility: credibility.clone(), _stays: stays });
        (WaitingTicket { waiting_room: self.clone(), number, credibility }, Eviction(evicted))
    }
}

impl WaitingConnections {
    /// Evicts the least credible one, and of several the one that has waited the longest.
    fn evict(&mut self, may_go: impl Fn(&WaitingConnection) -> bool) {
        let candidates = self.waiting.iter().filter(|(_, connection)| may_go(connection));
        let first = candidates
            .min_by_key(|(number, connection)| (connection.credibility.load(Ordering::Relaxed), **number));
        if let Some(number) = first.map(|(number, _)| *number) {
            self.waiting.remove(&number);
        }
    }
}

/// The slots of one kind of request.
#[derive(Debug)]
struct SlotPool {
    bounds: Limits,
    /// How many each source has.
    taken: Mutex<BTreeMap<ClientSource, usize>>,
}

/// A slot; it is free again when this is dropped.
#[derive(Debug)]
pub(in crate::api) struct Slot {
    room: Arc<SlotPool>,
    source: ClientSource,
}

impl SlotPool {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientSource, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, source: ClientSource) -> Option<Slot> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= self.bounds.all {
            return None;
        }
        let own = taken.get(&source).copied().unwrap_or_default();
        if own >= self.bounds.each {
            return None;
        }
        taken.insert(source, own + 1);
        Some(Slot { room: self.clone(), source })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        if let Some(own) = taken.get_mut(&self.source) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> ClientSource {
        SocketAddr::from(([10, 0, 0, last], 7)).into()
    }

    fn is_in(waiting_room: &WaitingRoom, ticket: &WaitingTicket) -> bool {
        waiting_room.lock().waiting.contains_key(&ticket.number)
    }

    #[test]
    fn a_newcomer_pushes_out_who_has_been_silent_the_longest() {
        let admission = Admission::for_many();
        let mut all: Vec<_> =
            (0..WAITING_ROOM.all).map(|n| admission.enter(at((n / WAITING_ROOM.each) as u8))).collect();
        all[0].0.credit(Credibility::Words);
        all[1].0.credit(Credibility::Key);
        let (newcomer, _) = admission.enter(at(99));
        let out: Vec<usize> =
            (0..all.len()).filter(|n| !is_in(&admission.waiting_room, &all[*n].0)).collect();
        assert_eq!(out, [2], "the first two have said something");
        assert!(all[2].1.0.try_recv().is_err() && is_in(&admission.waiting_room, &newcomer));
        drop(all);
        drop(newcomer);
        assert!(admission.waiting_room.lock().waiting.is_empty());
    }

    #[test]
    fn one_source_pushes_out_its_own_only() {
        let admission = Admission::for_many();
        let (other, _) = admission.enter(at(1));
        let greedy: Vec<_> = (0..100).map(|_| admission.enter(at(2))).collect();
        assert!(is_in(&admission.waiting_room, &other));
        assert_eq!(admission.waiting_room.lock().waiting.len(), 1 + WAITING_ROOM.each);
        drop(greedy);
    }

    #[test]
    fn followers_take_no_place_of_commands_and_no_user_takes_all() {
        let admission = Admission::for_many();
        let follow = |source| admission.take(RequestKind::Follow, source);
        let first: Vec<_> = std::iter::from_fn(|| follow(ClientSource::User(7))).collect();
        assert_eq!(first.len(), FOLLOWERS.each);
        let second: Vec<_> = std::iter::from_fn(|| follow(ClientSource::User(8))).collect();
        assert_eq!(first.len() + second.len(), FOLLOWERS.all);
        assert!(follow(ClientSource::User(9)).is_none());
        for kind in [RequestKind::Command, RequestKind::Look] {
            assert!(admission.take(kind, ClientSource::User(7)).is_some());
        }
        drop(second);
        assert!(follow(ClientSource::User(9)).is_some(), "a place that is left is free");
        let alone = Admission::for_one();
        let all: Vec<_> =
            std::iter::from_fn(|| alone.take(RequestKind::Command, ClientSource::User(0))).collect();
        assert_eq!(all.len(), COMMANDS.all);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| ClientSource::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(of("[fd00::1]:1"), of("[fd00::ffff:1]:2"));
        assert_ne!(of("[fd00::1]:1"), of("[fd00:1::1]:1"));
        assert_eq!(of("[::ffff:10.0.0.1]:1"), at(1));
    }
}
