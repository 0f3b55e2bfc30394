//! What a recording has heard of the world.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::wasm::script::{ProgramExit, ProgramRequest, ProgramRunError};

/// All of it. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Tape(Arc<Mutex<Heard>>);

/// What was heard, in its order.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    pub(super) connections: Vec<Connection>,
    pub(super) requests: Vec<Exchange>,
    pub(super) programs: Vec<(ProgramRequest, Vec<u8>, Result<ProgramExit, ProgramRunError>)>,
}

/// A connection to a TCP peer.
pub(super) struct Connection {
    pub(super) at: SocketAddr,
    /// Nobody listened there.
    pub(super) refused: bool,
    /// True: the peer said it.
    pub(super) talk: Vec<(bool, Vec<u8>)>,
    /// The peer has ended it.
    pub(super) closed: bool,
}

/// A request by HTTP, and its answer; none: there was none.
pub(super) struct Exchange {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) body: Vec<u8>,
    pub(super) answer: Option<Answer>,
}

/// An answer by HTTP.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Tape {
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins: its number.
    pub(super) fn connected(&self, at: SocketAddr) -> usize {
        let mut heard = self.heard();
        heard.connections.push(Connection { at, refused: false, talk: Vec::new(), closed: false });
        heard.connections.len() - 1
    }

    /// Something was said in a connection.
    pub(super) fn said(&self, connection: usize, by_peer: bool, bytes: &[u8]) {
        let mut heard = self.heard();
        let Some(connection) = heard.connections.get_mut(connection) else { return };
        match connection.talk.last_mut() {
            Some((who, said)) if *who == by_peer => said.extend_from_slice(bytes),
            _ => connection.talk.push((by_peer, bytes.to_vec())),
        }
    }

    /// The peer has ended a connection.
    pub(super) fn closed(&self, connection: usize) {
        if let Some(connection) = self.heard().connections.get_mut(connection) {
            connection.closed = true;
        }
    }

    /// Nobody listens there.
    pub(super) fn refused(&self, at: SocketAddr) {
        self.heard().connections.push(Connection { at, refused: true, talk: Vec::new(), closed: false });
    }
}
