//! IPv4, IPv6 and multicast, mixed at will.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use koi_cluster_tests::{Cluster, Service, free_ports, skip};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 13);

fn works(cluster: &Cluster) {
    cluster.wait_status("nothing is to be warned of", |s| s.cluster.warnings.is_empty());
    let first = cluster.wait_healthy();
    let next = cluster.others(&first).next().expect("there are three");
    cluster.node(&first).order(&["promote", &next.name]).exits(0);
    cluster.wait_master(&next.name);
    next.stop();
    cluster.wait_other_master(&next.name);
    next.start();
    let last = cluster.wait_healthy();
    cluster.hooks().assert_only(&last);
}

#[test]
fn nodes_that_know_each_other_by_addresses_of_both_families() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skip("there is no IPv6 on this machine's loopback");
        return;
    }
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded())
        .tune(|settings, _, ports| {
            // Both families are listened to only on "any".
            settings.set_text("node.bind", "0.0.0.0");
            let mixed = [
                format!("127.0.0.1:{}", ports[0]),
                format!("[::1]:{}", ports[1]),
                format!("[::1]:{}", ports[2]),
            ];
            settings.set("cluster.transport", format!("{mixed:?}"));
        })
        .start();
    works(&cluster);
    cluster.wait_status("some are heard over IPv6", |s| {
        s.nodes.iter().any(|n| n.address.as_ref().is_some_and(|address| address.starts_with("[::1]")))
    });
}

#[test]
fn nodes_that_meet_in_a_multicast_group_and_one_that_is_named() {
    if let Err(why) = multicast() {
        skip(&format!("multicast does not work on this machine's loopback: {why}"));
        return;
    }
    let group_port = free_ports(1)[0];
    let cluster = Cluster::builder()
        .nodes(3)
        .service("10-vip", Service::recorded())
        .tune(move |settings, _, ports| {
            let mixed = [format!("{GROUP}:{group_port}"), format!("127.0.0.1:{}", ports[2])];
            settings.set("cluster.transport", format!("{mixed:?}"));
        })
        .start();
    works(&cluster);
}

/// Whether what is sent to a group on 127.0.0.1 arrives there.
fn multicast() -> std::io::Result<()> {
    let receiver = UdpSocket::bind((GROUP, 0))?;
    receiver.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST)?;
    receiver.set_read_timeout(Some(Duration::from_secs(10)))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.send_to(b"koi", (GROUP, receiver.local_addr()?.port()))?;
    receiver.recv(&mut [0; 8]).map(drop)
}
