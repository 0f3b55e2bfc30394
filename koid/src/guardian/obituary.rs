//! Tells the other nodes that the daemon is dead, and when all is down.

use std::net::UdpSocket;

use koi_core::group::GroupName;

use crate::guardian_client::protocol::Route;

/// Says what was sealed beforehand.
pub(super) struct ObituarySender<'a> {
    route: Option<&'a Route>,
    sockets: [Option<UdpSocket>; 2],
}

impl<'a> ObituarySender<'a> {
    pub(super) fn new(route: Option<&'a Route>) -> ObituarySender<'a> {
        ObituarySender { route, sockets: [UdpSocket::bind("0.0.0.0:0").ok(), UdpSocket::bind("[::]:0").ok()] }
    }

    pub(super) fn send_dead(&self) {
        for _ in 0..3 {
            self.say(|route| Some(&route.dead));
        }
    }

    pub(super) fn send_all_down(&self) {
        self.say(|route| Some(&route.all_down));
    }

    /// Nothing of this group is promoted any more.
    pub(super) fn send_down(&self, group: &GroupName) {
        self.say(|route| Some(&route.down.iter().find(|down| down.group == *group)?.sealed));
    }

    fn say(&self, which: impl Fn(&Route) -> Option<&Vec<u8>>) {
        let Some(route) = self.route else { return };
        let Some(word) = which(route) else { return };
        for address in route.addresses() {
            if let Some(socket) = &self.sockets[usize::from(address.is_ipv6())] {
                // What is lost costs the others a time-out.
                let _ = socket.send_to(word, address);
            }
        }
    }
}
