//! UDP peers: one datagram for each step.

use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::scripted::file::world::{PeerAct, PeerScript};
use crate::scripted::finding::{Finding, Findings, shown};

/// Bytes of the largest datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// Follows a script until the handler is gone.
pub(super) async fn serve(
    socket: UdpSocket,
    script: PeerScript,
    findings: Findings,
    mut over: watch::Receiver<bool>,
) {
    let mut datagram = vec![0; DATAGRAM_BYTES];
    let mut sender: Option<SocketAddr> = None;
    for step in &script.talk {
        match &step.does {
            PeerAct::ExpectAny(count) => {
                let received = receive(&socket, &mut datagram, &mut over).await;
                let seen = received.map_or("not at all".to_owned(), |(length, _)| format!("{length} bytes"));
                sender = received.map(|(_, from)| from);
                if received.is_none_or(|(length, _)| length != *count) {
                    let what = format!("{} was sent a datagram", script.at);
                    findings.add(Finding::other(step.line, what, format!("{count} bytes"), seen).following());
                }
            }
            PeerAct::Expect(wanted) => {
                let Some((length, from)) = receive(&socket, &mut datagram, &mut over).await else {
                    let what = format!("{} was sent a datagram", script.at);
                    return findings
                        .add(Finding::other(step.line, what, shown(wanted), "not at all").following());
                };
                sender = Some(from);
                if datagram[..length] != wanted[..] {
                    let what = format!("{} was sent another datagram than it expects", script.at);
                    findings.add(Finding::other_bytes(step.line, &what, wanted, &datagram[..length]));
                }
            }
            PeerAct::Say(bytes) => {
                let sent = match sender {
                    Some(to) => socket.send_to(bytes, to).await.is_ok(),
                    None => false,
                };
                if !sent {
                    let what = "nobody has sent a datagram before: there is nobody to answer";
                    findings.add(Finding::of(step.line, what));
                }
            }
            // It is always silent, and has no connection.
            PeerAct::Silence | PeerAct::Close | PeerAct::Reset => {}
        }
    }
    let line = script.talk.last().map_or(script.line, |step| step.line);
    let is_silent = matches!(script.talk.last().map(|step| &step.does), Some(PeerAct::Silence));
    while let Some((length, _)) = receive(&socket, &mut datagram, &mut over).await {
        if !is_silent {
            let what = format!("{} was sent more than the test has", script.at);
            findings.add(Finding::other(line, what, "nothing more", shown(&datagram[..length])));
        }
    }
}

/// The next datagram; none: the handler is gone.
async fn receive(
    socket: &UdpSocket,
    datagram: &mut [u8],
    over: &mut watch::Receiver<bool>,
) -> Option<(usize, SocketAddr)> {
    tokio::select! {
        biased;
        received = socket.recv_from(datagram) => received.ok(),
        _ = over.wait_for(|over| *over) => None,
    }
}
