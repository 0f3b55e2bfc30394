//! The peers and servers of a test: they listen at the very addresses that the handler goes to.

mod http;
mod tcp;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::scripted::file::Test;
use crate::scripted::file::world::{PeerScript, ServerAnswer, ServerScript};
use crate::scripted::finding::Findings;
use crate::scripted::network;
use crate::scripted::network::NetworkError;

/// How long the ends of connections are waited for once the handler is gone.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// Why a peer cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("the network of the test cannot have the address {ip}: {source}")]
    Address { ip: IpAddr, source: NetworkError },
    #[error("nobody can listen at {at}: {source}")]
    Listen { at: SocketAddr, source: io::Error },
}

/// What listens for one test.
pub(crate) struct Peers {
    addresses: Vec<IpAddr>,
    /// True: the handler is gone, and nothing comes any more.
    over: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Peers {
    /// Begins to listen. What is not as the scripts say goes to `findings`.
    pub(crate) fn begin(runtime: &Runtime, test: &Test, findings: &Findings) -> Result<Peers, PeerError> {
        let mut peers = Peers { addresses: Vec::new(), over: watch::channel(false).0, tasks: Vec::new() };
        match peers.listen(runtime, test, findings) {
            Ok(()) => Ok(peers),
            Err(error) => {
                peers.leave();
                Err(error)
            }
        }
    }

    fn listen(&mut self, runtime: &Runtime, test: &Test, findings: &Findings) -> Result<(), PeerError> {
        let _within = runtime.enter();
        for at in test.tcp.iter().chain(&test.udp).map(|peer| peer.at).chain(test.http.iter().map(|s| s.at)) {
            self.add_address(at.ip())?;
        }
        for (at, scripts) in by_address(&test.tcp, |peer| peer.at) {
            let scripts: Vec<PeerScript> = scripts.into_iter().filter(|script| !script.refuses).collect();
            if !scripts.is_empty() {
                let listener = listener(runtime, at)?;
                self.spawn(tcp::serve(listener, scripts, findings.clone(), self.over.subscribe()));
            }
        }
        for (at, scripts) in by_address(&test.http, |server| server.at) {
            let answers = |script: &ServerScript| !matches!(script.answer, ServerAnswer::Refuse);
            let scripts: Vec<ServerScript> = scripts.into_iter().filter(answers).collect();
            if !scripts.is_empty() {
                let listener = listener(runtime, at)?;
                self.spawn(http::serve(listener, scripts, findings.clone(), self.over.subscribe()));
            }
        }
        for script in &test.udp {
            let at = script.at;
            let socket = runtime.block_on(UdpSocket::bind(at));
            let socket = socket.map_err(|source| PeerError::Listen { at, source })?;
            self.spawn(udp::serve(socket, script.clone(), findings.clone(), self.over.subscribe()));
        }
        Ok(())
    }

    fn add_address(&mut self, ip: IpAddr) -> Result<(), PeerError> {
        // All of 127.0.0.0/8, and ::1, are there.
        if ip.is_loopback() || self.addresses.contains(&ip) {
            return Ok(());
        }
        network::add(ip).map_err(|source| PeerError::Address { ip, source })?;
        self.addresses.push(ip);
        Ok(())
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tokio::spawn(task));
    }

    /// The handler is gone: waits for what it has left, and ends.
    pub(crate) fn finish(mut self, runtime: &Runtime) {
        self.over.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        runtime.block_on(async {
            let all = async {
                for mut task in tasks {
                    if timeout(SETTLES_WITHIN, &mut task).await.is_err() {
                        task.abort();
                    }
                }
            };
            all.await;
        });
        self.leave();
    }

    fn leave(&mut self) {
        for ip in self.addresses.drain(..) {
            // The network goes with the process.
            let _ = network::remove(ip);
        }
    }
}

fn listener(runtime: &Runtime, at: SocketAddr) -> Result<TcpListener, PeerError> {
    runtime.block_on(TcpListener::bind(at)).map_err(|source| PeerError::Listen { at, source })
}

/// The scripts of each address, in the order of the file.
fn by_address<S: Clone>(scripts: &[S], at: impl Fn(&S) -> SocketAddr) -> BTreeMap<SocketAddr, Vec<S>> {
    let mut all: BTreeMap<SocketAddr, Vec<S>> = BTreeMap::new();
    for script in scripts {
        all.entry(at(script)).or_default().push(script.clone());
    }
    all
}
