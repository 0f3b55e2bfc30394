//! What several tests need.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use koi_proto::key::{Key, Keyring};
use koi_proto::stream::{self, SealedStream};
use tokio::net::{TcpListener, TcpStream};

/// The cluster that tests are in.
pub(crate) const CLUSTER: u32 = 13;

/// Long enough for any machine; nothing waits for it when all is well.
pub(crate) const PLENTY: Duration = Duration::from_secs(60);

/// A keyring with the key of bytes `n`, which accepts those of bytes `also` too.
pub(crate) fn keyring(n: u8, also: &[u8]) -> Keyring {
    Keyring { sealing: Key::new([n; 32]), accepted: also.iter().map(|n| Key::new([*n; 32])).collect() }
}

/// Both ends of a TCP connection over loopback.
pub(crate) async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Both ends of a sealed stream over loopback.
pub(crate) async fn sealed_pair() -> (SealedStream, SealedStream) {
    let (near, far) = tcp_pair().await;
    let ring = keyring(1, &[]);
    let (near, far) = tokio::join!(
        stream::connect(near, CLUSTER, &ring, PLENTY),
        stream::accept(far, CLUSTER, &ring, PLENTY)
    );
    (near.unwrap(), far.unwrap())
}
