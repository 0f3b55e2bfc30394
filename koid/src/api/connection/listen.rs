//! Where the API listens.

use std::io;
use std::net::{IpAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::time::Duration;

use koi_proto::stream;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::admission::Admission;
use super::local_listener::LocalListener;
use super::reopening::ReopeningListener;
use super::serve::ApiConnection;
use super::stream::Connection;
use crate::api::{Api, Caller};
use crate::os::sys;
use crate::reporting::throttle::Throttle;

/// For so long a machine at the other end may be silent before it counts as gone.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// How often the same complaint about the same address is made.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// A pause after a failed accept: it is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the socket until the runtime ends. Root is always let in: who mends a machine must not be locked out by whoever
/// else may use the socket.
pub(crate) async fn serve_local(api: Api, local: LocalListener) -> io::Result<()> {
    let mut listener = ReopeningListener::new(local)?;
    let (root, others) = (Arc::new(Admission::for_one()), Arc::new(Admission::for_many()));
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let uid = uid_of(&stream);
                let admission = if uid == 0 { root.clone() } else { others.clone() };
                let (connection, evicted) =
                    ApiConnection::begin(api.clone(), admission, Caller::Local { uid });
                tokio::spawn(async move {
                    let connected = Connection::new(stream);
                    let is_connected = connected.is_connected();
                    connection.last(evicted, connection.clone().serve(connected, is_connected)).await;
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

fn uid_of(stream: &UnixStream) -> u32 {
    // Without credentials it is nobody.
    stream.peer_cred().map_or(65_534, |c| c.uid())
}

async fn pause(error: &io::Error) {
    tracing::debug!("accepting an API connection failed: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Serves the sealed port, on all its addresses, until the runtime ends.
pub(crate) async fn serve_sealed(api: Api, listeners: Vec<StdTcpListener>) -> io::Result<()> {
    let admission = Arc::new(Admission::for_many());
    let complaints = Arc::new(std::sync::Mutex::new(Throttle::new(COMPLAIN_EVERY)));
    let mut all = JoinSet::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        all.spawn(serve_address(api.clone(), listener, admission.clone(), complaints.clone()));
    }
    all.join_all().await;
    Ok(())
}

async fn serve_address(
    api: Api,
    listener: TcpListener,
    admission: Arc<Admission>,
    complaints: Arc<Complaints>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                let (api, complaints) = (api.clone(), complaints.clone());
                let (connection, evicted) =
                    ApiConnection::begin(api.clone(), admission.clone(), Caller::Remote(from));
                tokio::spawn(async move {
                    let work = async {
                        if let Err(error) = serve_one(api, stream, connection.clone()).await {
                            complain(&complaints, from.ip(), &error);
                        }
                    };
                    connection.last(evicted, work).await;
                });
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn serve_one(
    api: Api,
    stream: TcpStream,
    connection: Arc<ApiConnection>,
) -> Result<(), stream::StreamError> {
    stream.set_nodelay(true)?;
    notice_the_dead(&stream)?;
    let current = api.shared.get();
    connection.serve_sealed(Connection::new(stream), (current.config.cluster.id, &current.keyring)).await
}

/// A machine that has lost its power closes no connection: the kernel asks whether it is there.
fn notice_the_dead(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(DEAD_AFTER / 2).with_interval(DEAD_AFTER / 6).with_retries(3),
    )?;
    socket.set_tcp_user_timeout(Some(DEAD_AFTER))
}

type Complaints = std::sync::Mutex<Throttle<IpAddr>>;

fn complain(complaints: &Complaints, from: IpAddr, error: &stream::StreamError) {
    let mut complaints = complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(unsaid) = complaints.allow(error.kind(), from, sys::now()) {
        tracing::warn!("an API connection from {from} was refused: {error}{unsaid}");
    }
}
