//! What the examples look after: a network of their own, and a web server.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use koi_cluster_tests::{is_root, skip};
use nix::sched::{CloneFlags, unshare};

/// Where Debian has `ip`; a PATH of an ordinary user lacks it.
pub const IP: &str = "/usr/sbin/ip";

/// The interface of a node, a to d, in a [network of one's own](own_network).
pub fn interface(node: &str) -> String {
    format!("vip-{node}")
}

/// Puts this thread, and whatever it starts from now on, into a network with nothing but a loopback and an [`interface`] for each of
/// four nodes. It goes with the last process in it. False, and a word about it: that cannot be done.
pub fn own_network() -> bool {
    if !is_root() {
        skip("a network of the test's own: root makes one");
        return false;
    }
    if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
        skip(&format!("a network of the test's own: {error}"));
        return false;
    }
    let pairs = [
        "link set lo up",
        "link add vip-a type veth peer name vip-b",
        "link add vip-c type veth peer name vip-d",
    ];
    let up = ["a", "b", "c", "d"].map(|node| format!("link set {} up", interface(node)));
    let made = pairs.map(str::to_owned).iter().chain(&up).all(|args| {
        let status = Command::new(IP).args(args.split(' ')).stdin(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    });
    if !made {
        skip("a network of the test's own: `ip` could not set it up (apt-get install iproute2)");
    }
    made
}

/// Starts a web server on the loopback that answers everything with "ready" until the test ends; its port.
///
/// # Panics
/// If no port is free.
pub fn web_server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever asks may have gone.
            let _ = answer(&client);
        }
    });
    port
}

fn answer(mut client: &std::net::TcpStream) -> io::Result<()> {
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nready")
}
