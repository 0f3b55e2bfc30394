//! Where the other nodes can be answered.
//!
//! A datagram's source is whatever its sender has written there. It is remembered only of a datagram that was sealed, is new, and
//! is meant for this run of this node, or for everyone; and for a while only. Whoever has not shown that it hears us, by
//! naming this run in its words, is answered sparingly: so that nobody sends one datagram here to have many sent
//! elsewhere. (The limit before an address is validated is that of QUIC, RFC 9000 §8.1.) What the configuration names
//! needs no proof.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use koi_core::limits;
use koi_core::types::{NodeId, Time};

/// Addresses that are kept of each node.
const ADDRESSES: usize = 4;
/// An address from which nothing came for so long is forgotten.
const LATELY: Duration = Duration::from_secs(30);
/// Nodes that are kept: those that were set up anew have a new id.
const NODES: usize = 2 * limits::NODES;
/// Datagrams that are sent to an unproven address for each one that came from there.
const CREDIT: u8 = 3;

/// How far a source is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SourceTrust {
    /// The configuration names it.
    Configured,
    /// Its words are for this very run of this node: it has heard from us.
    Proven,
    /// Its words are for everyone.
    Unproven,
}

/// The addresses that nodes were heard from lately, the freshest first.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    nodes: BTreeMap<NodeId, Vec<PeerAddress>>,
}

#[derive(Clone, Copy, Debug)]
struct PeerAddress {
    address: SocketAddr,
    at: Time,
    /// Datagrams that may yet be sent there; none: as many as there are.
    credit: Option<u8>,
}

impl Peers {
    /// A new message of `node` came from `address`.
    pub(crate) fn heard(&mut self, node: NodeId, address: SocketAddr, source: SourceTrust, now: Time) {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= NODES {
            self.forget_the_most_silent();
        }
        let addresses = self.nodes.entry(node).or_default();
        addresses.retain(|heard| now.since(heard.at) < LATELY);
        let known = addresses.iter().position(|heard| heard.address == address);
        let was_proven = known.is_some_and(|at| addresses[at].credit.is_none());
        match known {
            Some(at) => drop(addresses.remove(at)),
            None if addresses.len() < ADDRESSES => {}
            // The oldest of those that are the least believed: words for everyone push out no proven address.
            None => match (addresses.iter().rposition(|heard| heard.credit.is_some()), source) {
                (Some(at), _) => drop(addresses.remove(at)),
                (None, SourceTrust::Unproven) => return,
                (None, SourceTrust::Proven | SourceTrust::Configured) => addresses.truncate(ADDRESSES - 1),
            },
        }
        let credit = match source {
            SourceTrust::Unproven if !was_proven => Some(CREDIT),
            SourceTrust::Unproven | SourceTrust::Proven | SourceTrust::Configured => None,
        };
        addresses.insert(0, PeerAddress { address, at: now, credit });
    }

    /// The addresses at which `node` can be answered now.
    pub(crate) fn addresses(&self, node: NodeId, now: Time) -> impl Iterator<Item = SocketAddr> {
        let known = self.nodes.get(&node).map_or(&[][..], Vec::as_slice);
        let lately =
            known.iter().filter(move |heard| now.since(heard.at) < LATELY && heard.credit != Some(0));
        lately.map(|heard| heard.address)
    }

    /// Whether `node` can be answered at an address that is more than a claim.
    pub(crate) fn is_sure_of(&self, node: NodeId, now: Time) -> bool {
        let known = self.nodes.get(&node).map_or(&[][..], Vec::as_slice);
        known.iter().any(|heard| now.since(heard.at) < LATELY && heard.credit.is_none())
    }

    /// A datagram was sent to these addresses.
    pub(crate) fn sent(&mut self, to: &BTreeSet<SocketAddr>) {
        for heard in self.nodes.values_mut().flatten().filter(|heard| to.contains(&heard.address)) {
            heard.credit = heard.credit.map(|credit| credit.saturating_sub(1));
        }
    }

    /// The nodes that were ever heard from and are still remembered.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    fn forget_the_most_silent(&mut self) {
        let last = |addresses: &Vec<PeerAddress>| addresses.first().map(|heard| heard.at);
        let silent = self.nodes.iter().min_by_key(|(_, addresses)| last(addresses)).map(|(node, _)| *node);
        if let Some(node) = silent {
            self.nodes.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SourceTrust::{Configured, Proven, Unproven};

    const NODE: NodeId = NodeId(1);

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn ports(peers: &Peers, now: Time) -> Vec<u16> {
        peers.addresses(NODE, now).map(|a| a.port()).collect()
    }

    #[test]
    fn the_freshest_addresses_are_kept_and_old_ones_fade() {
        let mut peers = Peers::default();
        for n in 1..=6 {
            peers.heard(NODE, at(n), Proven, Time(u64::from(n)));
        }
        assert_eq!(ports(&peers, Time(6)), [6, 5, 4, 3]);
        peers.heard(NODE, at(4), Proven, Time(7));
        assert_eq!(ports(&peers, Time(7)), [4, 6, 5, 3]);
        assert_eq!(ports(&peers, Time(6) + LATELY), [4]);
        assert_eq!(ports(&peers, Time(7) + LATELY), [] as [u16; 0]);
    }

    #[test]
    fn words_for_everyone_push_out_no_proven_address() {
        let mut peers = Peers::default();
        for n in 1..=4 {
            peers.heard(NODE, at(n), if n == 2 { Configured } else { Proven }, Time(u64::from(n)));
        }
        peers.heard(NODE, at(9), Unproven, Time(5));
        assert_eq!(ports(&peers, Time(5)), [4, 3, 2, 1]);
        peers.heard(NODE, at(1), Unproven, Time(6));
        peers.sent(&[at(1)].into());
        peers.sent(&[at(1)].into());
        peers.sent(&[at(1)].into());
        assert_eq!(ports(&peers, Time(6)), [1, 4, 3, 2], "it stays proven");
        assert_eq!(peers.nodes().count(), 1);
    }

    #[test]
    fn an_unproven_address_gets_little_for_each_word() {
        let mut peers = Peers::default();
        for _ in 0..2 {
            peers.heard(NODE, at(1), Unproven, Time(1));
            for _ in 0..CREDIT {
                assert_eq!(ports(&peers, Time(1)), [1]);
                peers.sent(&[at(1)].into());
            }
            assert_eq!(ports(&peers, Time(1)), [] as [u16; 0]);
        }
        assert!(!peers.is_sure_of(NODE, Time(1)));
        peers.heard(NODE, at(1), Proven, Time(2));
        assert!(peers.is_sure_of(NODE, Time(2)) && !peers.is_sure_of(NODE, Time(2) + LATELY));
        for _ in 0..100 {
            peers.sent(&[at(1)].into());
        }
        assert_eq!(ports(&peers, Time(2)), [1]);
    }
}
