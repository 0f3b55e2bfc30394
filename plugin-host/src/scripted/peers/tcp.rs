//! TCP peers: each connection follows a script.

use std::io;

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scripted::file::world::{PeerAct, PeerScript};
use crate::scripted::finding::{Finding, Findings, parting, shown};
use crate::scripted::machine::{is_left, unused};

/// Bytes read at once, and so beyond what a script expects.
const CHUNK_BYTES: usize = 16 * 1024;

/// Serves the connections to one address until the handler is gone; then what was never connected to is a finding.
pub(super) async fn serve(
    listener: TcpListener,
    scripts: Vec<PeerScript>,
    findings: Findings,
    mut over: watch::Receiver<bool>,
) {
    let mut used = vec![0; scripts.len()];
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            // Those that wait to be accepted were made before the end.
            biased;
            accepted = listener.accept() => accepted,
            _ = over.wait_for(|over| *over) => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        match scripts.iter().zip(&used).position(|(script, used)| is_left(script.times, *used)) {
            Some(at) => {
                used[at] += 1;
                connections.spawn(Connection::new(stream, findings.clone()).follow(scripts[at].clone()));
            }
            None => {
                let (line, at) = (scripts.last().map_or(0, |script| script.line), listener.local_addr());
                let at = at.map(|at| at.to_string()).unwrap_or_default();
                findings
                    .add(Finding::of(line, format!("{at} was connected to once more than the test has it")));
                reset(stream);
            }
        }
    }
    while connections.join_next().await.is_some() {}
    for (script, used) in scripts.iter().zip(used) {
        findings.extend(unused(script.line, script.times, used, &format!("{} was connected to", script.at)));
    }
}

/// One connection.
struct Connection {
    stream: TcpStream,
    /// What was received and not yet expected.
    received: Vec<u8>,
    findings: Findings,
}

/// The connection has taken another course than its script.
struct Astray;

impl Connection {
    fn new(stream: TcpStream, findings: Findings) -> Connection {
        Connection { stream, received: Vec::new(), findings }
    }

    async fn follow(mut self, script: PeerScript) {
        for step in &script.talk {
            let followed = match &step.does {
                PeerAct::Expect(wanted) => self.expect(step.line, wanted).await,
                PeerAct::ExpectAny(count) => self.expect_any(step.line, *count).await,
                PeerAct::Say(bytes) => self.say(step.line, bytes).await,
                PeerAct::Close => {
                    let _ = self.stream.shutdown().await;
                    return self.read_to_end().await;
                }
                PeerAct::Reset => return reset(self.stream),
                PeerAct::Silence => return self.read_to_end().await,
            };
            if followed.is_err() {
                // The handler is not to wait for what does not come.
                return reset(self.stream);
            }
        }
        let line = script.talk.last().map_or(script.line, |step| step.line);
        if self.received.is_empty() && self.read().await.unwrap_or(0) == 0 {
            return;
        }
        let what = format!("{} was sent more than the test has", script.at);
        self.findings.add(Finding::other(line, what, "nothing more", shown(&self.received)));
        reset(self.stream);
    }

    /// Takes these bytes.
    async fn expect(&mut self, line: usize, wanted: &[u8]) -> Result<(), Astray> {
        loop {
            let same = parting(wanted, &self.received);
            if same == wanted.len() {
                self.received.drain(..same);
                return Ok(());
            }
            let differs = same < self.received.len();
            if differs {
                let what = "other bytes were sent than the peer expects";
                self.findings.add(Finding::other_bytes(line, what, wanted, &self.received));
                return Err(Astray);
            }
            if self.read().await.unwrap_or(0) == 0 {
                let what = "the connection ended before the peer had what it expects";
                self.findings.add(Finding::other_bytes(line, what, wanted, &self.received).following());
                return Err(Astray);
            }
        }
    }

    /// Takes so many bytes.
    async fn expect_any(&mut self, line: usize, count: usize) -> Result<(), Astray> {
        while self.received.len() < count {
            if self.read().await.unwrap_or(0) == 0 {
                let (what, seen) =
                    ("the connection ended before the peer had what it expects", self.received.len());
                let finding = Finding::other(line, what, format!("{count} bytes"), format!("{seen} bytes"));
                self.findings.add(finding.following());
                return Err(Astray);
            }
        }
        self.received.drain(..count);
        Ok(())
    }

    async fn say(&mut self, line: usize, bytes: &[u8]) -> Result<(), Astray> {
        if self.stream.write_all(bytes).await.is_err() {
            let what = "the connection ended before the peer had said everything";
            self.findings.add(Finding::of(line, what).following());
            return Err(Astray);
        }
        Ok(())
    }

    /// Receives what there is; 0: the end.
    async fn read(&mut self) -> io::Result<usize> {
        self.received.reserve(CHUNK_BYTES);
        self.stream.read_buf(&mut self.received).await
    }

    /// Receives whatever comes, and forgets it.
    async fn read_to_end(&mut self) {
        while self.read().await.unwrap_or(0) > 0 {
            self.received.clear();
        }
    }
}

/// Breaks a connection off: the other end hears it at once.
fn reset(stream: TcpStream) {
    let now = linger { l_onoff: 1, l_linger: 0 };
    // Then it is closed like any other.
    let _ = setsockopt(&stream, sockopt::Linger, &now);
}
