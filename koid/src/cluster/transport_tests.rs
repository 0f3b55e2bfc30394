use std::net::Ipv4Addr;

use koi_core::message::{Body, Recipient, StaleTerm};
use koi_core::types::Term;
use koi_proto::key::Key;

use super::*;
use crate::cluster::sockets;
use crate::os::sys::now;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A node on loopback.
struct Peer {
    id: NodeId,
    port: u16,
    seq: u64,
    transport: Transport,
}

fn session(id: u128) -> Session {
    Session { count: 1, random: id as u64 }
}

fn wire(key: u8, entries: &[SocketAddr]) -> Wire {
    Wire { cluster_id: 13, keyring: Keyring::single(Key::new([key; 32])), entries: entries.to_vec() }
}

impl Peer {
    fn new(id: u128, addresses: &[IpAddr], wire: &Wire) -> Peer {
        let bound = sockets::bind(addresses, 0, 0, false).unwrap();
        let me = (NodeId(id), session(id));
        let transport = Transport::new(me, bound.udp, wire, now()).unwrap();
        Peer { id: NodeId(id), port: bound.port, seq: 0, transport }
    }

    fn address(&self) -> SocketAddr {
        (LOOPBACK, self.port).into()
    }

    fn next(&mut self, to: Option<NodeId>) -> Message {
        self.seq += 1;
        Message {
            from: self.id,
            session: session(self.id.0),
            seq: self.seq,
            to: to.map(|node| Recipient { node, session: session(node.0) }),
            body: Body::StaleTerm(StaleTerm { newest: Term(self.seq) }),
        }
    }

    fn send(&mut self, to: Destination) -> Message {
        let message = self.next(None);
        self.transport.send(to, &message, now());
        message
    }

    /// What comes until `count` messages did.
    async fn receive(&mut self, count: usize) -> Vec<Message> {
        let mut all = Vec::new();
        let collect = async {
            while all.len() < count {
                self.transport.readable().await;
                all.extend(self.transport.receive(64, now()).into_iter().map(|(message, _)| message));
            }
        };
        tokio::time::timeout(Duration::from_secs(10), collect).await.expect("the messages come");
        all
    }

    /// Takes what comes until the counter of this reason has got so far.
    async fn until_dropped(&mut self, reason: &str, count: u64) {
        let wait = async {
            while self.transport.dropped().get(reason).copied().unwrap_or(0) < count {
                self.transport.readable().await;
                assert_eq!(self.transport.receive(64, now()), []);
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("the datagrams are counted");
    }
}

#[tokio::test]
async fn an_answer_finds_its_way_to_a_node_that_the_configuration_does_not_name() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[b.address()]));
    let said = a.send(Destination::Everyone);
    assert_eq!(b.receive(1).await, [said]);
    let answer = b.send(Destination::Node(a.id));
    assert_eq!(a.receive(1).await, [answer]);
    let to_all = b.send(Destination::Everyone);
    assert_eq!(a.receive(1).await, [to_all], "learned addresses belong to everyone");
}

#[tokio::test]
async fn both_families_and_a_group_carry_each_message_and_it_arrives_once() {
    let both = [LOOPBACK, "::1".parse().unwrap()];
    let mut b = Peer::new(2, &both, &wire(1, &[]));
    let group = SocketAddr::from(([239, 0, 0, 14], b.port));
    let on_b = [SocketAddr::from((both[1], b.port)), b.address(), group];
    b.transport.configure(&wire(1, &on_b), now());
    let mut a = Peer::new(1, &both, &wire(1, &on_b));
    let on_a = [SocketAddr::from((both[1], a.port)), a.address()];
    b.transport.configure(&wire(1, &[&on_a[..], &on_b[2..]].concat()), now());
    let said = [a.send(Destination::Everyone), a.send(Destination::Everyone)];
    assert_eq!(b.receive(2).await, said);
    // Each came over IPv4, IPv6 and the group.
    b.until_dropped("duplicate", 4).await;
    assert_eq!(b.transport.peers.addresses(a.id, now()).count(), 2, "IPv4 and IPv6");
}

#[tokio::test]
async fn a_group_alone_is_enough() {
    // A group of this process's own: other runs of this test must not be heard.
    let [.., high, low] = std::process::id().to_be_bytes();
    let group = SocketAddr::from(([239, 77, high, low], 42_015));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[group]));
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[group]));
    let said = a.send(Destination::Everyone);
    assert_eq!(b.receive(1).await, [said]);
    a.until_dropped("own", 1).await;
    let answer = b.send(Destination::Node(a.id));
    assert_eq!(a.receive(1).await, [answer]);
}

#[tokio::test]
async fn scar_12_what_is_not_ours_is_counted_by_reason_and_never_handed_on() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let to_b = [b.address()];
    Peer::new(1, &[LOOPBACK], &wire(9, &to_b)).send(Destination::Everyone);
    b.until_dropped("unknown-key", 1).await;

    let other_cluster = Wire { cluster_id: 14, ..wire(1, &to_b) };
    Peer::new(3, &[LOOPBACK], &other_cluster).send(Destination::Everyone);
    b.until_dropped("other-cluster", 1).await;

    let noise = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    noise.send_to(b"hello", to_b[0]).unwrap();
    b.until_dropped("not-koi", 1).await;
    noise.send_to(&[0; 1400], to_b[0]).unwrap();
    let long = async {
        while b.transport.dropped().values().sum::<u64>() < 4 {
            b.transport.readable().await;
            assert_eq!(b.transport.receive(64, now()), []);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), long).await.expect("it is counted");

    let mut a = Peer::new(4, &[LOOPBACK], &wire(1, &to_b));
    let for_another = a.next(Some(NodeId(77)));
    a.transport.send(Destination::Everyone, &for_another, now());
    b.until_dropped("for-another", 1).await;
    let for_b = a.next(Some(b.id));
    a.transport.send(Destination::Everyone, &for_b, now());
    assert_eq!(b.receive(1).await, [for_b], "b still listens");
}

#[tokio::test]
async fn a_flood_is_taken_in_portions() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let to_b = [b.address()];
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &to_b));
    for _ in 0..100 {
        a.send(Destination::Everyone);
    }
    b.transport.readable().await;
    let portion = b.transport.receive(10, now());
    assert!(portion.len() <= 10, "{}", portion.len());
    assert_eq!(b.receive(100 - portion.len()).await.len(), 100 - portion.len());
}

#[tokio::test]
async fn a_new_key_is_accepted_beside_the_old_one_without_a_restart() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let to_b = [b.address()];
    let mut a = Peer::new(1, &[LOOPBACK], &wire(2, &to_b));
    a.send(Destination::Everyone);
    b.until_dropped("unknown-key", 1).await;
    let keyring = Keyring { sealing: Key::new([1; 32]), accepted: vec![Key::new([2; 32])] };
    b.transport.configure(&Wire { keyring, ..wire(1, &[]) }, now());
    let said = a.send(Destination::Everyone);
    assert_eq!(b.receive(1).await, [said]);
}

/// What comes to a socket at which nobody speaks koi, until nothing has come for a while.
fn came_to(socket: &UdpSocket) -> usize {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; DATAGRAM_BYTES];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
}

/// A datagram as it lies on the wire.
fn sealed(from: &Peer, message: &Message) -> Vec<u8> {
    from.transport.sealer.seal(message).unwrap()
}

#[tokio::test]
async fn a_datagram_that_is_sent_again_teaches_no_address() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[b.address()]));
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let to_b = Recipient { node: b.id, session: session(b.id.0) };
    let said = Message { to: Some(to_b), ..a.next(None) };
    a.transport.send(Destination::Everyone, &said, now());
    assert_eq!(b.receive(1).await, std::slice::from_ref(&said));
    // Somebody who has recorded it sends it again from an address of choice.
    let recorded = sealed(&a, &said);
    for _ in 0..3 {
        stranger.send_to(&recorded, b.address()).unwrap();
    }
    b.until_dropped("duplicate", 3).await;
    for _ in 0..10 {
        b.send(Destination::Node(a.id));
        b.send(Destination::Everyone);
    }
    assert_eq!(a.receive(20).await.len(), 20);
    assert_eq!(came_to(&stranger), 0);
}

#[tokio::test]
async fn what_was_meant_for_others_or_for_an_earlier_run_teaches_no_address() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[b.address()]));
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let for_another = a.next(Some(NodeId(77)));
    let earlier = Session { count: 0, random: 5 };
    let for_earlier = Message { to: Some(Recipient { node: b.id, session: earlier }), ..a.next(None) };
    for message in [&for_another, &for_earlier] {
        stranger.send_to(&sealed(&a, message), b.address()).unwrap();
    }
    // What it is worth is for the core to say.
    assert_eq!(b.receive(1).await, [for_earlier]);
    b.send(Destination::Node(a.id));
    b.send(Destination::Everyone);
    assert_eq!(came_to(&stranger), 0);
}

#[tokio::test]
async fn one_word_for_everyone_draws_few_to_where_it_claims_to_come_from() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[]));
    b.transport.configure(&wire(1, &[a.address()]), now());
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let hello = a.next(None);
    stranger.send_to(&sealed(&a, &hello), b.address()).unwrap();
    assert_eq!(b.receive(1).await, [hello]);
    for _ in 0..20 {
        b.send(Destination::Node(a.id));
    }
    assert_eq!(a.receive(20).await.len(), 20, "the configured address stays in use");
    let drawn = came_to(&stranger);
    assert!((1..=3).contains(&drawn), "{drawn} datagrams for one");
}

/// What the core is told of the next message's source.
async fn told_source(peer: &mut Peer) -> Option<SocketAddr> {
    let next = async {
        loop {
            peer.transport.readable().await;
            if let Some((_, source)) = peer.transport.receive(1, now()).pop() {
                return source;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), next).await.expect("the message comes")
}

#[tokio::test]
async fn only_a_proven_source_is_told_to_scripts_and_to_the_api() {
    let mut b = Peer::new(2, &[LOOPBACK], &wire(1, &[]));
    let mut a = Peer::new(1, &[LOOPBACK], &wire(1, &[b.address()]));
    let to_b = Recipient { node: b.id, session: session(b.id.0) };
    a.send(Destination::Everyone);
    assert_eq!(told_source(&mut b).await, None, "anybody may have sent it, and long ago");
    let answer = Message { to: Some(to_b), ..a.next(None) };
    a.transport.send(Destination::Everyone, &answer, now());
    assert_eq!(told_source(&mut b).await, Some(a.address()));
    b.transport.configure(&wire(1, &[a.address()]), now());
    a.send(Destination::Everyone);
    assert_eq!(told_source(&mut b).await, Some(a.address()), "the configuration names it");
    // Where nodes find one another by multicast, there is nothing else to go by.
    b.transport.configure(&wire(1, &[SocketAddr::from(([239, 0, 0, 14], b.port))]), now());
    a.send(Destination::Everyone);
    assert_eq!(told_source(&mut b).await, Some(a.address()));
}
