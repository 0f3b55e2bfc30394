//! How many may ask at once.
//!
//! Whoever comes waits in the hall until it has said what it wants; so many fit in, and a newcomer pushes out who has been
//! silent the longest. Only a request that was read whole takes a place, and those who follow, who look and who command have
//! places of their own: none of them can take another's. Root, the other users of this machine, and other machines each have
//! a hall and places of their own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who fit into a hall, and how many of one source. With all places taken there are some 700 connections: a process may have 1024
/// descriptors.
const HALL: Bounds = Bounds { all: 96, each: 32 };
/// Followers that are served at once.
const FOLLOWERS: Bounds = Bounds { all: 64, each: 48 };
/// Requests that look at something.
const LOOKS: Bounds = Bounds { all: 32, each: 24 };
/// Requests that change something.
const COMMANDS: Bounds = Bounds { all: 32, each: 24 };

/// The most at once.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    all: usize,
    /// From one source.
    each: usize,
}

impl Bounds {
    /// All of them may be one source's.
    fn for_one(self) -> Bounds {
        Bounds { each: self.all, ..self }
    }
}

/// Where somebody comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api) enum Source {
    /// This user, on this machine.
    User(u32),
    /// This address; of IPv6 the network, for who has one address of it has them all.
    Address(IpAddr),
}

impl From<SocketAddr> for Source {
    fn from(address: SocketAddr) -> Source {
        const NETWORK_BITS: u32 = 64;
        Source::Address(match address.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) if address.is_loopback() => address.into(),
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() >> NETWORK_BITS << NETWORK_BITS).into()
            }
        })
    }
}

/// What a request does to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Kind {
    /// It may last for ever.
    Follow,
    /// It changes nothing.
    Look,
    /// It changes something.
    Command,
}

/// A hall and its places.
#[derive(Debug)]
pub(in crate::api) struct Entrance {
    hall: Arc<Hall>,
    followers: Arc<Room>,
    looks: Arc<Room>,
    commands: Arc<Room>,
}

impl Entrance {
    /// For those who come from many places.
    pub(in crate::api) fn for_many() -> Entrance {
        Entrance::new(|bounds| bounds)
    }

    /// For one alone.
    pub(in crate::api) fn for_one() -> Entrance {
        Entrance::new(Bounds::for_one)
    }

    fn new(bounds: fn(Bounds) -> Bounds) -> Entrance {
        let room = |most| Arc::new(Room { bounds: bounds(most), taken: Mutex::default() });
        Entrance {
            hall: Arc::new(Hall { bounds: bounds(HALL), guests: Mutex::default() }),
            followers: room(FOLLOWERS),
            looks: room(LOOKS),
            commands: room(COMMANDS),
        }
    }

    /// Somebody comes, and may push out somebody else.
    pub(in crate::api) fn enter(&self, source: Source) -> (Ticket, Dismissed) {
        self.hall.enter(source)
    }

    /// A place for a request that was read; none: all are taken.
    pub(in crate::api) fn take(&self, kind: Kind, source: Source) -> Option<Place> {
        let room = match kind {
            Kind::Follow => &self.followers,
            Kind::Look => &self.looks,
            Kind::Command => &self.commands,
        };
        room.take(source)
    }
}

/// Those who have not said yet what they want.
#[derive(Debug)]
struct Hall {
    bounds: Bounds,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    /// By the order in which they came.
    waiting: BTreeMap<u64, Guest>,
}

#[derive(Debug)]
struct Guest {
    source: Source,
    known: Arc<AtomicU8>,
    /// Dropping it dismisses.
    _stays: oneshot::Sender<()>,
}

/// How much is known of a guest: the less, the sooner it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(in crate::api) enum Known {
    /// It has said nothing.
    Nothing,
    /// It has said what one says who has the key, and may be repeating another's words.
    Words,
    /// It has the key.
    Key,
}

/// Ends when the guest has to go, or has left the hall.
pub(in crate::api) struct Dismissed(oneshot::Receiver<()>);

/// A guest's stay in the hall; it leaves when this is dropped.
#[derive(Debug)]
pub(in crate::api) struct Ticket {
    hall: Arc<Hall>,
    number: u64,
    known: Arc<AtomicU8>,
}

impl Ticket {
    /// Something has become known of the guest.
    pub(in crate::api) fn knows(&self, known: Known) {
        self.known.fetch_max(known as u8, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hall.lock().waiting.remove(&self.number);
    }
}

impl Dismissed {
    /// Until the guest has to go: for ever, if it has left by itself. `holds_ticket` says whether it has not.
    pub(in crate::api) async fn when(self, holds_ticket: impl Fn() -> bool) {
        let _ = self.0.await;
        if !holds_ticket() {
            std::future::pending::<()>().await;
        }
    }
}

impl Hall {
    fn lock(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, source: Source) -> (Ticket, Dismissed) {
        let mut guests = self.lock();
        if guests.waiting.values().filter(|guest| guest.source == source).count() >= self.bounds.each {
            guests.dismiss(|guest| guest.source == source);
        } else if guests.waiting.len() >= self.bounds.all {
            guests.dismiss(|_| true);
        }
        let number = guests.next;
        guests.next += 1;
        let known = Arc::new(AtomicU8::new(Known::Nothing as u8));
        let (stays, dismissed) = oneshot::channel();
        guests.waiting.insert(number, Guest { source, known: known.clone(), _stays: stays });
        (Ticket { hall: self.clone(), number, known }, Dismissed(dismissed))
    }
}

impl Guests {
    /// Sends away the one of whom the least is known, and of several the one that has been there the longest.
    fn dismiss(&mut self, may_go: impl Fn(&Guest) -> bool) {
        let candidates = self.waiting.iter().filter(|(_, guest)| may_go(guest));
        let first = candidates.min_by_key(|(number, guest)| (guest.known.load(Ordering::Relaxed), **number));
        if let Some(number) = first.map(|(number, _)| *number) {
            self.waiting.remove(&number);
        }
    }
}

/// The places of one kind.
#[derive(Debug)]
struct Room {
    bounds: Bounds,
    /// How many each source has.
    taken: Mutex<BTreeMap<Source, usize>>,
}

/// A place; it is free again when this is dropped.
#[derive(Debug)]
pub(in crate::api) struct Place {
    room: Arc<Room>,
    source: Source,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Source, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= self.bounds.all {
            return None;
        }
        let own = taken.get(&source).copied().unwrap_or_default();
        if own >= self.bounds.each {
            return None;
        }
        taken.insert(source, own + 1);
        Some(Place { room: self.clone(), source })
    }
}

impl Drop for Place {
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

    fn at(last: u8) -> Source {
        SocketAddr::from(([10, 0, 0, last], 7)).into()
    }

    fn is_in(hall: &Hall, ticket: &Ticket) -> bool {
        hall.lock().waiting.contains_key(&ticket.number)
    }

    #[test]
    fn a_newcomer_pushes_out_who_has_been_silent_the_longest() {
        let entrance = Entrance::for_many();
        let mut all: Vec<_> = (0..HALL.all).map(|n| entrance.enter(at((n / HALL.each) as u8))).collect();
        all[0].0.knows(Known::Words);
        all[1].0.knows(Known::Key);
        let (newcomer, _) = entrance.enter(at(99));
        let out: Vec<usize> = (0..all.len()).filter(|n| !is_in(&entrance.hall, &all[*n].0)).collect();
        assert_eq!(out, [2], "the first two have said something");
        assert!(all[2].1.0.try_recv().is_err() && is_in(&entrance.hall, &newcomer));
        drop(all);
        drop(newcomer);
        assert!(entrance.hall.lock().waiting.is_empty());
    }

    #[test]
    fn one_source_pushes_out_its_own_only() {
        let entrance = Entrance::for_many();
        let (other, _) = entrance.enter(at(1));
        let greedy: Vec<_> = (0..100).map(|_| entrance.enter(at(2))).collect();
        assert!(is_in(&entrance.hall, &other));
        assert_eq!(entrance.hall.lock().waiting.len(), 1 + HALL.each);
        drop(greedy);
    }

    #[test]
    fn followers_take_no_place_of_commands_and_no_user_takes_all() {
        let entrance = Entrance::for_many();
        let follow = |source| entrance.take(Kind::Follow, source);
        let first: Vec<_> = std::iter::from_fn(|| follow(Source::User(7))).collect();
        assert_eq!(first.len(), FOLLOWERS.each);
        let second: Vec<_> = std::iter::from_fn(|| follow(Source::User(8))).collect();
        assert_eq!(first.len() + second.len(), FOLLOWERS.all);
        assert!(follow(Source::User(9)).is_none());
        for kind in [Kind::Command, Kind::Look] {
            assert!(entrance.take(kind, Source::User(7)).is_some());
        }
        drop(second);
        assert!(follow(Source::User(9)).is_some(), "a place that is left is free");
        let alone = Entrance::for_one();
        let all: Vec<_> = std::iter::from_fn(|| alone.take(Kind::Command, Source::User(0))).collect();
        assert_eq!(all.len(), COMMANDS.all);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| Source::from(text.parse::<SocketAddr>().unwrap());
        assert_eq!(of("[fd00::1]:1"), of("[fd00::ffff:1]:2"));
        assert_ne!(of("[fd00::1]:1"), of("[fd00:1::1]:1"));
        assert_eq!(of("[::ffff:10.0.0.1]:1"), at(1));
    }
}
