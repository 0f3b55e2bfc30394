//! Ports that nobody uses.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which the kernel gives ports to outgoing connections.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

/// Ports that were free a moment ago, for UDP and TCP, and that no other call in this process gets.
pub fn free_ports(wanted: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(613) as u16;
    let candidates =
        std::iter::repeat_with(|| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let free: Vec<u16> =
        candidates.take(usize::from(COUNT)).filter(|port| is_free(*port)).take(wanted).collect();
    assert_eq!(free.len(), wanted, "this machine has no {wanted} free ports from {FIRST} on");
    free
}

fn is_free(port: u16) -> bool {
    let at = (Ipv4Addr::LOCALHOST, port);
    TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok()
}
