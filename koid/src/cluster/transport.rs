//! Carries messages between the core and the network: seals and opens them, drops what is not for us and says so.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::task::Poll;
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::io::Destination;
use koi_core::message::{Body, Message, Obituary};
use koi_core::types::{NodeId, Session, Time};
use koi_proto::key::Keyring;
use koi_proto::parts::{Assembler, Opened};
use koi_proto::replay::{Filter, GUARDIAN_SEQ, Verdict};
use koi_proto::seal::{DATAGRAM_BYTES, SealError, Sealer};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::cluster::multicast::MulticastGroups;
use crate::cluster::peers::{self, Peers};
use crate::cluster::refusals::{RefusalNotices, RefusedDatagram, RefusedDatagrams};
use crate::reporting::throttle::Throttle;

/// How often the same complaint about the same source is made.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// How often the machine's addresses are looked at again.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// What the configuration says about the network, as far as it may change while the daemon runs.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    /// `cluster.id`.
    pub(crate) cluster_id: u32,
    /// The keys.
    pub(crate) keyring: Keyring,
    /// `cluster.transport`.
    pub(crate) entries: Vec<SocketAddr>,
}

/// Datagrams that were dropped, by reason.
pub(crate) type Dropped = BTreeMap<String, u64>;

/// The cluster's side of the network. Lives on the cluster thread; nothing in it blocks.
pub(crate) struct Transport {
    me: (NodeId, Session),
    sockets: Vec<AsyncFd<UdpSocket>>,
    groups: MulticastGroups,
    unicast: Vec<SocketAddr>,
    /// Addresses at which this node would talk to itself.
    own: BTreeSet<SocketAddr>,
    sealer: Sealer,
    filter: Filter,
    assembler: Assembler,
    peers: Peers,
    dropped: BTreeMap<&'static str, u64>,
    complaints: Throttle<Option<IpAddr>>,
    refusals: RefusedDatagrams,
    next_refresh: Time,
    /// Where this node is reached, as far as it knows.
    own_address: Option<SocketAddr>,
}

impl Transport {
    /// Over these sockets, none of which may block. Must be called within a tokio runtime.
    pub(crate) fn new(
        me: (NodeId, Session),
        sockets: Vec<UdpSocket>,
        wire: &Wire,
        now: Time,
    ) -> io::Result<Transport> {
        let sockets = sockets.into_iter().map(crate::os::sys::watch_socket).collect::<Result<_, _>>()?;
        let mut transport = Transport {
            me,
            sockets,
            groups: MulticastGroups::default(),
            unicast: Vec::new(),
            own: BTreeSet::new(),
            sealer: Sealer::new(wire.cluster_id, &wire.keyring),
            filter: Filter::new(),
            assembler: Assembler::new(),
            peers: Peers::default(),
            dropped: BTreeMap::new(),
            complaints: Throttle::new(COMPLAIN_EVERY),
            refusals: RefusedDatagrams::default(),
            next_refresh: now,
            own_address: None,
        };
        transport.configure(wire, now);
        Ok(transport)
    }

    /// Takes new addresses and keys.
    pub(crate) fn configure(&mut self, wire: &Wire, now: Time) {
        self.sealer = Sealer::new(wire.cluster_id, &wire.keyring);
        let (groups, unicast) = wire.entries.iter().partition(|entry| entry.ip().is_multicast());
        self.unicast = unicast;
        self.groups.configure(groups, &self.sockets);
        self.refresh(now);
    }

    /// Addresses of the machine come and go: looks at them again when it is time to.
    pub(crate) fn refresh_if_due(&mut self, now: Time) {
        if now >= self.next_refresh {
            self.refresh(now);
        }
    }

    fn refresh(&mut self, now: Time) {
        self.next_refresh = now + REFRESH_EVERY;
        let interfaces = crate::os::sys::interfaces().unwrap_or_default();
        self.own.clear();
        for local in self.sockets.iter().filter_map(|s| s.get_ref().local_addr().ok()) {
            if local.ip().is_unspecified() {
                let same_family = interfaces.iter().filter(|i| i.address.is_ipv4() == local.is_ipv4());
                self.own.extend(same_family.map(|i| SocketAddr::new(i.address, local.port())));
            } else {
                self.own.insert(local);
            }
        }
        self.groups.join(&interfaces, &self.sockets);
        self.own_address = self.find_own_address();
    }

    /// Where the others reach this node: the address that it is bound to, the one of its own that the configuration names, or the one from which it
    /// speaks to the first of the others.
    fn find_own_address(&self) -> Option<SocketAddr> {
        let bound: Vec<SocketAddr> =
            self.sockets.iter().filter_map(|s| s.get_ref().local_addr().ok()).collect();
        let named = || self.unicast.iter().find(|address| self.own.contains(address)).copied();
        let towards = || {
            let other = self.unicast.iter().find(|address| !self.own.contains(address)).copied();
            let local = bound.iter().find(|b| other.is_none_or(|o| o.is_ipv4() == b.is_ipv4()))?;
            let ip = crate::os::sys::address_towards(local.ip(), other)?;
            Some(SocketAddr::new(ip, local.port()))
        };
        bound.iter().find(|address| !address.ip().is_unspecified()).copied().or_else(named).or_else(towards)
    }

    /// Where this node is reached, as far as it knows.
    pub(crate) fn own_address(&self) -> Option<SocketAddr> {
        self.own_address
    }

    /// Seals a message and sends it to every address of its destination.
    pub(crate) fn send(&mut self, to: Destination, message: &Message, now: Time) {
        let datagrams = match self.sealer.seal_whole(message) {
            Ok(datagrams) => datagrams,
            Err(error @ SealError::TooLong { .. }) => {
                self.complain("too-long-to-send", None, now, || format!("a message was not sent: {error}"));
                return;
            }
            Err(error) => {
                self.complain("unsealed", None, now, || format!("a message was not sent: {error}"));
                return;
            }
        };
        let addresses = self.addresses_of(to, now);
        self.peers.sent(&addresses.unicast);
        for datagram in &datagrams {
            for address in &addresses.unicast {
                let result = self.send_from_own_family(datagram, *address);
                self.note_sent(result, *address, now);
            }
            if addresses.groups {
                for (group, result) in self.groups.send(datagram, &self.sockets) {
                    self.note_sent(result, group, now);
                }
            }
        }
    }

    fn addresses_of(&self, to: Destination, now: Time) -> Addresses {
        let mut unicast = BTreeSet::new();
        if let Destination::Node(node) = to {
            unicast.extend(self.peers.addresses(node, now).filter(|address| !self.own.contains(address)));
            if !unicast.is_empty() && self.peers.is_sure_of(node, now) {
                return Addresses { unicast, groups: false };
            }
            // Where it claims to be, and wherever the configuration says that somebody is.
        }
        unicast.extend(self.unicast.iter().copied());
        for node in self.peers.nodes() {
            // A node that the configuration does not name, or names by another address. One that has moved is heard from its new address while
            // the old one is still remembered.
            let freshest = self.peers.addresses(node, now).next();
            if freshest.is_some_and(|address| !self.unicast.contains(&address)) {
                unicast.extend(self.peers.addresses(node, now));
            }
        }
        unicast.retain(|address| !self.own.contains(address));
        Addresses { unicast, groups: true }
    }

    fn send_from_own_family(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        let family = |s: &&AsyncFd<UdpSocket>| {
            s.get_ref().local_addr().is_ok_and(|local| local.is_ipv4() == to.is_ipv4())
        };
        match self.sockets.iter().find(family) {
            Some(socket) => socket.get_ref().send_to(datagram, to),
            None => Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "node.bind has no address of this family; restart koid with one that has",
            )),
        }
    }

    fn note_sent(&mut self, result: io::Result<usize>, to: SocketAddr, now: Time) {
        if let Err(error) = result {
            self.refuse(RefusedDatagram::Unsent { to, error: error.to_string() }, to.ip(), now);
        }
    }

    /// What this node's guardian says in its name (R8), with a word for each of these groups.
    pub(crate) fn obituaries(&self, groups: &[GroupName]) -> Option<SealedObituaries> {
        let seal = |number: u64, obituary| {
            let (seq, body) = (GUARDIAN_SEQ + number, Body::Obituary(obituary));
            self.sealer.seal(&Message { from: self.me.0, session: self.me.1, seq, to: None, body }).ok()
        };
        let down = |(number, group): (u64, &GroupName)| {
            let down = [group.clone()].into();
            Some((group.clone(), seal(number, Obituary { all_down: false, down })?))
        };
        Some(SealedObituaries {
            dead: seal(0, Obituary::default())?,
            all_down: seal(1, Obituary { all_down: true, ..Obituary::default() })?,
            down: (2..).zip(groups).map(down).collect::<Option<_>>()?,
        })
    }

    /// Every address that a word to everyone goes to.
    pub(crate) fn everyone(&self, now: Time) -> Vec<SocketAddr> {
        let unicast = self.addresses_of(Destination::Everyone, now).unicast;
        unicast.into_iter().chain(self.groups.addresses()).collect()
    }

    /// Waits until something may have come. May be cancelled.
    pub(crate) async fn readable(&self) {
        std::future::poll_fn(|context| {
            let all = self.sockets.iter().chain(self.groups.sockets());
            // Every socket is asked, so that every one wakes this task.
            let ready = all.filter(|socket| socket.poll_read_ready(context).is_ready()).count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// What has come, and where from, as far as that is proven: at most `limit` datagrams are looked at, so that a flood does not
    /// keep timers waiting.
    pub(crate) fn receive(&mut self, limit: usize, now: Time) -> Vec<(Message, Option<SocketAddr>)> {
        let mut datagrams = Vec::new();
        let count = (self.sockets.len() + self.groups.sockets().count()).max(1);
        for socket in self.sockets.iter().chain(self.groups.sockets()) {
            read(socket, limit.div_ceil(count), &mut datagrams);
        }
        datagrams.into_iter().filter_map(|(bytes, source)| self.admit(&bytes, source, now)).collect()
    }

    /// Opens a datagram and decides whether the core is to see it, and its source.
    fn admit(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        now: Time,
    ) -> Option<(Message, Option<SocketAddr>)> {
        let opened = self.sealer.open(datagram).and_then(|opened| match opened {
            Opened::Message(message) => Ok(Some(*message)),
            Opened::Part(part) => self.assembler.take(part),
        });
        let message = match opened {
            Ok(Some(message)) => message,
            // Other parts of it are still to come.
            Ok(None) => return None,
            Err(error) => {
                // Every datagram that is dropped is counted and reported.
                self.refuse(RefusedDatagram::Unopened { source, error }, source.ip(), now);
                return None;
            }
        };
        if message.from == self.me.0 {
            // Multicast returns our own datagrams. Those of another run with our id are for the core: the state folder may have been copied.
            if message.session == self.me.1 {
                self.count("own");
                return None;
            }
            self.count("own-id");
        }
        if message.to.is_some_and(|to| to.node != self.me.0) {
            // A datagram for another node proves no address, and its sequence number is not checked here.
            self.count("for-another");
            return None;
        }
        let proves = message.to.is_some_and(|to| (to.node, to.session) == self.me);
        let verdict = self.filter.accept(message.from, message.session, message.seq, proves);
        let trust = self.trust_in(&message, verdict, source);
        if let Some(trust) = trust {
            self.peers.heard(message.from, source, trust, now);
        }
        if verdict != Verdict::Fresh {
            self.count(verdict.kind());
            if verdict == Verdict::OldSession {
                self.refusals.note(RefusedDatagram::OfOldRun { source }, now);
            }
            return None;
        }
        // Scripts and the API are told of addresses, and would connect there.
        let is_told = match trust {
            Some(peers::SourceTrust::Configured | peers::SourceTrust::Proven) => true,
            Some(peers::SourceTrust::Unproven) => self.finds_itself(),
            None => false,
        };
        Some((message, is_told.then_some(source)))
    }

    /// The configuration names groups and nobody's address: of most nodes nothing else is ever known.
    fn finds_itself(&self) -> bool {
        self.unicast.is_empty() && self.groups.addresses().next().is_some()
    }

    /// What a datagram proves of its source; none: nothing. Whoever repeats a datagram may write any source on it, but of a
    /// configured one: datagrams go there anyway, and the same word over a second path shows that the path is good.
    fn trust_in(
        &self,
        message: &Message,
        verdict: Verdict,
        source: SocketAddr,
    ) -> Option<peers::SourceTrust> {
        // A guardian speaks from an address of its own, at which nobody listens.
        if message.seq >= GUARDIAN_SEQ {
            return None;
        }
        match (verdict, message.to) {
            (Verdict::Fresh | Verdict::Duplicate, _) if self.unicast.contains(&source) => {
                Some(peers::SourceTrust::Configured)
            }
            (Verdict::Fresh, Some(to)) if to.session == self.me.1 => Some(peers::SourceTrust::Proven),
            // Words for an earlier run of this node may be as old as that.
            (Verdict::Fresh, Some(_)) => None,
            (Verdict::Fresh, None) => Some(peers::SourceTrust::Unproven),
            (Verdict::Duplicate | Verdict::Old | Verdict::OldSession, _) => None,
        }
    }

    /// Something did not come in or did not go out: it is logged now and then, and every status tells of it for a while.
    fn refuse(&mut self, refusal: RefusedDatagram, other: IpAddr, now: Time) {
        self.complain(refusal.kind(), Some(other), now, || refusal.sentence());
        self.refusals.note(refusal, now);
    }

    /// What was refused of late.
    pub(crate) fn refused(&self, now: Time) -> RefusalNotices {
        self.refusals.told(now)
    }

    fn count(&mut self, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    fn complain(
        &mut self,
        reason: &'static str,
        source: Option<IpAddr>,
        now: Time,
        sentence: impl FnOnce() -> String,
    ) {
        self.count(reason);
        if let Some(unsaid) = self.complaints.allow(reason, source, now) {
            tracing::warn!("{}{unsaid}", sentence());
        }
    }

    /// What was dropped so far.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
    }
}

/// What a guardian may have to say, sealed beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedObituaries {
    /// The daemon is dead.
    pub(crate) dead: Vec<u8>,
    /// Nothing is promoted here any more.
    pub(crate) all_down: Vec<u8>,
    /// Nothing of this group is.
    pub(crate) down: Vec<(GroupName, Vec<u8>)>,
}

struct Addresses {
    unicast: BTreeSet<SocketAddr>,
    groups: bool,
}

fn read(socket: &AsyncFd<UdpSocket>, limit: usize, into: &mut Vec<(Vec<u8>, SocketAddr)>) {
    // One byte more than a datagram may have, to see that it is longer.
    let mut buffer = [0; DATAGRAM_BYTES + 1];
    for _ in 0..limit {
        // Clears the readiness when there is no more.
        match socket.try_io(Interest::READABLE, |udp| udp.recv_from(&mut buffer)) {
            Ok((length, source)) => into.push((buffer[..length].to_vec(), source)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(e) => {
                tracing::debug!("receiving failed: {e}");
                return;
            }
        }
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
