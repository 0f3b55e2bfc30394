//! Where the other nodes were heard from.

use std::collections::BTreeMap;
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

/// The addresses that nodes were heard from lately, the freshest first.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    nodes: BTreeMap<NodeId, Vec<(SocketAddr, Time)>>,
}

impl Peers {
    /// A message of `node` came from `source`. One that is no news (`fresh` is false: it came over another address
    /// before, or someone sends it again) never pushes out an address.
    pub(crate) fn heard(&mut self, node: NodeId, source: SocketAddr, fresh: bool, now: Time) {
        if !self.nodes.contains_key(&node) && self.nodes.len() >= NODES {
            self.forget_the_most_silent();
        }
        let addresses = self.nodes.entry(node).or_default();
        addresses.retain(|(_, at)| now.since(*at) < LATELY);
        let known = addresses.iter().position(|(address, _)| *address == source);
        match known {
            Some(at) => drop(addresses.remove(at)),
            None if addresses.len() >= ADDRESSES && !fresh => return,
            None => addresses.truncate(ADDRESSES - 1),
        }
        addresses.insert(0, (source, now));
    }

    /// The addresses that `node` was heard from lately.
    pub(crate) fn addresses(&self, node: NodeId, now: Time) -> impl Iterator<Item = SocketAddr> {
        let known = self.nodes.get(&node).map_or(&[][..], Vec::as_slice);
        known.iter().filter(move |(_, at)| now.since(*at) < LATELY).map(|(address, _)| *address)
    }

    /// The nodes that were ever heard from and are still remembered.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    fn forget_the_most_silent(&mut self) {
        let last = |addresses: &Vec<(SocketAddr, Time)>| addresses.first().map(|(_, at)| *at);
        let silent = self.nodes.iter().min_by_key(|(_, addresses)| last(addresses)).map(|(node, _)| *node);
        if let Some(node) = silent {
            self.nodes.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            peers.heard(NODE, at(n), true, Time(u64::from(n)));
        }
        assert_eq!(ports(&peers, Time(6)), [6, 5, 4, 3]);
        peers.heard(NODE, at(4), true, Time(7));
        assert_eq!(ports(&peers, Time(7)), [4, 6, 5, 3]);
        assert_eq!(ports(&peers, Time(6) + LATELY), [4]);
        assert_eq!(ports(&peers, Time(7) + LATELY), [] as [u16; 0]);
    }

    #[test]
    fn a_message_sent_again_pushes_out_no_address() {
        let mut peers = Peers::default();
        for n in 1..=4 {
            peers.heard(NODE, at(n), true, Time(u64::from(n)));
        }
        peers.heard(NODE, at(9), false, Time(5));
        assert_eq!(ports(&peers, Time(5)), [4, 3, 2, 1]);
        assert_eq!(peers.nodes().count(), 1);
    }
}
