//! Writers that try every redis-server all the time, and what the servers have said to them.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use crate::redis::{Client, Reply, Server};

/// Between two writes: many come in the time of a fail-over, and the machine has other things to do.
const PAUSE: Duration = Duration::from_millis(5);

/// How long `WAIT` waits for a replica.
const REPLICA_MS: &str = "1000";

/// The key in which the handler keeps the epoch.
const EPOCH_KEY: &str = "koi:epoch";

/// Keys asked for at once.
const AT_ONCE: usize = 500;

/// A write that a server has accepted.
#[derive(Clone, Debug)]
pub struct Write {
    /// The server's port.
    pub server: u16,
    /// What was written: a key that nobody else writes.
    pub key: String,
    /// The mastership in which it was accepted: what `koi:epoch` held in the same transaction.
    pub epoch: u64,
    /// Before it was sent.
    pub begun: Instant,
    /// After it was answered.
    pub ended: Instant,
    /// A replica has it: `WAIT 1` said so.
    pub acknowledged: bool,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in epoch {} by the server of port {}", self.key, self.epoch, self.server)
    }
}

/// One writer for each server; they end when this is dropped.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    writes: Mutex<Vec<Write>>,
}

impl Shared {
    fn writes(&self) -> MutexGuard<'_, Vec<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// Writers begin, for servers that take writes or not.
    pub fn open<'s>(servers: impl IntoIterator<Item = &'s Server>) -> Ledger {
        let shared = Arc::<Shared>::default();
        let writer = |server: &Server| {
            let (shared, port) = (shared.clone(), server.port);
            spawn(move || keep_writing(port, &shared))
        };
        let writers = servers.into_iter().map(writer).collect();
        Ledger { shared, writers }
    }

    /// Everything so far, in the order of the answers.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.shared.writes().clone();
        writes.sort_by_key(|write| write.ended);
        writes
    }

    /// How many writes a server has accepted, and how many of them its replica has.
    pub fn count(&self, server: &Server) -> (usize, usize) {
        let all = self.shared.writes();
        let of = || all.iter().filter(|write| write.server == server.port);
        (of().count(), of().filter(|write| write.acknowledged).count())
    }

    /// At no instant two servers took writes: each mastership has one server, and a write that began after another one was
    /// accepted is not of an older mastership.
    ///
    /// # Panics
    /// If they did.
    #[track_caller]
    pub fn assert_one_server_at_a_time(&self) {
        if let Some(both) = two_at_once(&self.writes()) {
            panic!("two servers took writes at the same time: {both}");
        }
    }

    /// A server has all of these.
    ///
    /// # Panics
    /// If it lacks one, or does not answer.
    #[track_caller]
    pub fn assert_kept<'w>(server: &Server, what: &str, writes: impl IntoIterator<Item = &'w Write>) {
        let writes: Vec<&Write> = writes.into_iter().collect();
        let mut client = Client::connect(server.port).expect("it listens");
        let mut lost = Vec::new();
        for some in writes.chunks(AT_ONCE) {
            let mut command = vec!["MGET"];
            command.extend(some.iter().map(|write| write.key.as_str()));
            let mut replies = client.ask(&[&command]).expect("it answers");
            let Some(Reply::List(values)) = replies.pop() else {
                panic!("not what MGET answers: {replies:?}")
            };
            assert_eq!(values.len(), some.len());
            lost.extend(
                some.iter()
                    .zip(values)
                    .filter(|(_, value)| *value == Reply::Nothing)
                    .map(|(write, _)| *write),
            );
        }
        let Some(first) = lost.first() else { return };
        panic!(
            "port {} lacks {} of {} writes {what}, the first: {first}",
            server.port,
            lost.len(),
            writes.len()
        );
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            // It says itself why it panicked.
            let _ = writer.join();
        }
    }
}

fn keep_writing(port: u16, shared: &Shared) {
    let mut client = None;
    for number in 0_u64.. {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        let connected = client.take().map_or_else(|| Client::connect(port), Ok);
        // Whoever lost the connection while a write was under way does not know what became of it, and claims nothing.
        client =
            connected.and_then(|mut client| write(&mut client, port, number, shared).map(|()| client)).ok();
        sleep(PAUSE);
    }
}

/// One attempt, noted if it was accepted.
fn write(client: &mut Client, port: u16, number: u64, shared: &Shared) -> io::Result<()> {
    let (key, begun) = (format!("write:{port}:{number}"), Instant::now());
    let number = number.to_string();
    let replies = client.ask(&[&["MULTI"], &["GET", EPOCH_KEY], &["SET", &key, &number], &["EXEC"]])?;
    // A server that takes no writes refuses SET, and so all of it.
    let Some(Reply::List(done)) = replies.last() else { return Ok(()) };
    let ended = Instant::now();
    let [epoch, Reply::Text(_)] = done.as_slice() else { return Ok(()) };
    let epoch = match epoch {
        Reply::Text(epoch) => epoch.parse().expect("koi:epoch is a number"),
        Reply::Nothing => 0,
        other => panic!("not what GET answers: {other:?}"),
    };
    let waited = client.ask(&[&["WAIT", "1", REPLICA_MS]]);
    let acknowledged = matches!(waited.as_deref(), Ok([Reply::Integer(replicas)]) if *replicas >= 1);
    shared.writes().push(Write { server: port, key, epoch, begun, ended, acknowledged });
    waited.map(drop)
}

/// A sentence about two writes that cannot both have been accepted by the only server that takes any. They are in the order of
/// their answers.
fn two_at_once(writes: &[Write]) -> Option<String> {
    let mut begun: Vec<&Write> = writes.iter().collect();
    begun.sort_by_key(|write| write.begun);
    let mut over = writes.iter().peekable();
    // The one of the newest epoch that was answered before the one that is looked at began.
    let mut newest: Option<&Write> = None;
    for write in begun {
        while let Some(before) = over.next_if(|before| before.ended < write.begun) {
            newest = newest.filter(|newest| newest.epoch > before.epoch).or(Some(before));
        }
        if let Some(newest) = newest.filter(|newest| newest.epoch > write.epoch) {
            return Some(format!("{write}, after {newest}"));
        }
    }
    let mut by_epoch: Vec<&Write> = writes.iter().collect();
    by_epoch.sort_by_key(|write| (write.epoch, write.server));
    let shared = by_epoch
        .windows(2)
        .find(|pair| pair[0].epoch == pair[1].epoch && pair[0].server != pair[1].server)?;
    Some(format!("{}, and {}", shared[0], shared[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Server, epoch, and the milliseconds of beginning and answer.
    fn writes(all: &[(u16, u64, u64, u64)]) -> Vec<Write> {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let write = |(number, &(server, epoch, begun, ended)): (usize, &(u16, u64, u64, u64))| Write {
            server,
            key: format!("write:{server}:{number}"),
            epoch,
            begun: at(begun),
            ended: at(ended),
            acknowledged: false,
        };
        let mut writes: Vec<Write> = all.iter().enumerate().map(write).collect();
        writes.sort_by_key(|write| write.ended);
        writes
    }

    #[test]
    fn one_server_after_the_other_is_well() {
        assert_eq!(two_at_once(&writes(&[(1, 5, 0, 1), (1, 5, 2, 3), (2, 6, 4, 5), (1, 7, 6, 7)])), None);
        assert_eq!(
            two_at_once(&writes(&[(2, 6, 3, 5), (1, 5, 0, 9)])),
            None,
            "its answer was late, and tells nothing"
        );
    }

    #[test]
    fn two_at_once_are_found() {
        let found = two_at_once(&writes(&[(1, 5, 0, 1), (2, 6, 2, 3), (1, 5, 4, 5), (2, 6, 6, 7)]));
        assert_eq!(
            found.unwrap(),
            "write:1:2 in epoch 5 by the server of port 1, after write:2:1 in epoch 6 by the server of port 2"
        );
        let found = two_at_once(&writes(&[(1, 5, 0, 1), (2, 5, 0, 1)]));
        assert!(found.unwrap().contains("and write:2:1 in epoch 5"));
    }
}
