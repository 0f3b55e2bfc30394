//! Stands between the handler and the servers that it is granted: listens at their addresses in the network of the recording, and connects to
//! them in that of the machine.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::scripted::network;
use crate::scripted::peers::PeerError;
use crate::scripted::record::http;
use crate::scripted::record::tape::Tape;

/// For connecting to a server.
const CONNECT: Duration = Duration::from_secs(10);
const CHUNK_BYTES: usize = 16 * 1024;
/// Pieces that wait for the other side.
const WAITING: usize = 16;

/// What is listened at. Clones share it.
#[derive(Clone)]
pub(super) struct Proxies {
    /// Where the handler's network is.
    pub(super) inside: Handle,
    /// Where the machine's is.
    pub(super) outside: Handle,
    pub(super) tape: Tape,
    known: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Proxies {
    pub(super) fn new(inside: Handle, outside: Handle, tape: Tape) -> Proxies {
        Proxies { inside, outside, tape, known: Arc::default() }
    }

    /// Stands in for a TCP server, if there is one. Blocks.
    pub(super) fn tcp(&self, at: SocketAddr) -> Result<(), PeerError> {
        if !self.is_new(at)? {
            return Ok(());
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        self.outside.spawn(async move {
            let _ =
                sender.send(timeout(CONNECT, TcpStream::connect(at)).await.is_ok_and(|tried| tried.is_ok()));
        });
        if !receiver.recv().unwrap_or_default() {
            self.tape.refused(at);
            return Ok(());
        }
        let listener = self.listener(at)?;
        let proxies = self.clone();
        self.inside.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(proxies.clone().relay(stream, at));
            }
        });
        Ok(())
    }

    /// Stands in for a web server. Blocks.
    pub(super) fn http(&self, at: SocketAddr) -> Result<(), PeerError> {
        if !self.is_new(at)? {
            return Ok(());
        }
        let listener = self.listener(at)?;
        self.inside.spawn(http::serve(listener, at, self.outside.clone(), self.tape.clone()));
        Ok(())
    }

    fn is_new(&self, at: SocketAddr) -> Result<bool, PeerError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&at) {
            return Ok(false);
        }
        let ip: IpAddr = at.ip();
        if !ip.is_loopback() && known.iter().all(|other| other.ip() != ip) {
            network::add(ip).map_err(|source| PeerError::Address { ip, source })?;
        }
        known.push(at);
        Ok(true)
    }

    fn listener(&self, at: SocketAddr) -> Result<TcpListener, PeerError> {
        let listen = || -> io::Result<TcpListener> {
            let listener = std::net::TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            let _within = self.inside.enter();
            TcpListener::from_std(listener)
        };
        listen().map_err(|source| PeerError::Listen { at, source })
    }

    /// One connection, to its end.
    async fn relay(self, stream: TcpStream, at: SocketAddr) {
        let number = self.tape.connected(at);
        let (to_peer, from_handler) = mpsc::channel::<Vec<u8>>(WAITING);
        let (to_handler, mut from_peer) = mpsc::channel::<Vec<u8>>(WAITING);
        self.outside.spawn(outside(at, from_handler, to_handler));
        let (mut read, mut write) = stream.into_split();
        let tape = self.tape.clone();
        // Who goes first is noted: what the other end does then follows from it.
        let handler_has_gone = AtomicBool::new(false);
        let sends = async {
            let mut chunk = vec![0; CHUNK_BYTES];
            while let Ok(length @ 1..) = read.read(&mut chunk).await {
                tape.said(number, false, &chunk[..length]);
                if to_peer.send(chunk[..length].to_vec()).await.is_err() {
                    break;
                }
            }
            handler_has_gone.store(true, Ordering::Relaxed);
            drop(to_peer);
            // The peer may still have something to say.
            std::future::pending::<()>().await;
        };
        let receives = async {
            while let Some(bytes) = from_peer.recv().await {
                self.tape.said(number, true, &bytes);
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            if !handler_has_gone.load(Ordering::Relaxed) {
                self.tape.closed(number);
            }
            let _ = write.shutdown().await;
        };
        tokio::select! {
            () = sends => {}
            () = receives => {}
        }
    }
}

/// The other half of a connection, in the machine's network.
async fn outside(
    at: SocketAddr,
    mut from_handler: mpsc::Receiver<Vec<u8>>,
    to_handler: mpsc::Sender<Vec<u8>>,
) {
    let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(at)).await else { return };
    let (mut read, mut write) = stream.into_split();
    let sends = async {
        while let Some(bytes) = from_handler.recv().await {
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    let receives = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(length @ 1..) = read.read(&mut chunk).await {
            if to_handler.send(chunk[..length].to_vec()).await.is_err() {
                return;
            }
        }
        drop(to_handler);
    };
    tokio::join!(sends, receives);
}
