//! What a script says: both streams, read side by side, line by line.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use koi_plugin_api::{CallLog, LineCutter, LogLevel, NamedProcess, for_people};

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;

/// Bytes of one stream that are still read when the script is gone: as much as a pipe holds. A background process that
/// goes on writing is not waited for.
const REST_BYTES: usize = 64 * 1024;

/// Characters of a line that stands in an outcome or an error.
const SAID_CHARS: usize = 200;

/// One stream of a script.
struct Stream {
    pipe: koi_child::Output,
    level: LogLevel,
    log: Arc<dyn CallLog>,
    lines: LineCutter,
    said: Said,
    buffer: Box<[u8]>,
}

/// What is kept of a stream's lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// The last line that is not empty and says nothing else of what stands here.
    pub(crate) last: String,
    /// What stands behind `score=` on the last line that begins so.
    pub(crate) score: Option<String>,
    /// The processes on lines that begin with `pid=` and `pidfile=`, in their order. One more than are of use says that there are too many.
    pub(crate) processes: Vec<NamedProcess>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let trimmed = line.trim();
        match trimmed.split_once('=') {
            Some(("score", score)) => self.score = Some(for_people(score, SAID_CHARS)),
            // As `pidof` prints them: several beside each other.
            Some(("pid", ids)) if !ids.trim().is_empty() => {
                ids.split_whitespace().for_each(|id| self.name(NamedProcess::Id(for_people(id, SAID_CHARS))));
            }
            Some(("pid", _)) => self.name(NamedProcess::Id(String::new())),
            Some(("pidfile", path)) => self.name(NamedProcess::File(path.trim().to_owned())),
            _ if !trimmed.is_empty() => self.last = for_people(line, SAID_CHARS),
            _ => {}
        }
    }

    fn name(&mut self, process: NamedProcess) {
        if self.processes.len() <= NamedProcess::MOST && !self.processes.contains(&process) {
            self.processes.push(process);
        }
    }
}

impl Stream {
    fn new(end: OwnedFd, level: LogLevel, log: Arc<dyn CallLog>) -> io::Result<Stream> {
        Ok(Stream {
            pipe: koi_child::Output::new(end)?,
            level,
            log,
            lines: LineCutter::default(),
            said: Said::default(),
            buffer: vec![0; CHUNK_BYTES].into(),
        })
    }

    /// Reads until the last writer has closed it. May be dropped and begun again at any time.
    async fn pump(&mut self) {
        while self.pipe.is_open() {
            match self.pipe.read(&mut self.buffer).await {
                0 => self.finish(),
                n => self.take(n),
            }
        }
    }

    /// Reads what lies in the pipe now, and waits for nothing.
    fn rest(&mut self) {
        let mut read = 0;
        while read < REST_BYTES {
            let Some(n) = self.pipe.read_now(&mut self.buffer) else { break };
            self.take(n);
            read += n;
        }
        self.finish();
    }

    fn take(&mut self, n: usize) {
        let Stream { lines, said, log, level, buffer, .. } = self;
        lines.push(&buffer[..n], |line| {
            said.hear(line);
            log.line(*level, line);
        });
    }

    fn finish(&mut self) {
        let Stream { lines, said, log, level, .. } = self;
        lines.finish(|line| {
            said.hear(line);
            log.line(*level, line);
        });
    }
}

/// Both streams of a script.
pub(crate) struct Output {
    out: Stream,
    err: Stream,
}

impl Output {
    /// Standard output becomes [`LogLevel::Info`], standard error [`LogLevel::Warn`].
    pub(crate) fn new(out: OwnedFd, err: OwnedFd, log: &Arc<dyn CallLog>) -> io::Result<Output> {
        Ok(Output {
            out: Stream::new(out, LogLevel::Info, log.clone())?,
            err: Stream::new(err, LogLevel::Warn, log.clone())?,
        })
    }

    /// Does `work`, and reads meanwhile: a script must never wait for its output to be read.
    pub(crate) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            // The end of the script comes first: one that floods its output cannot put it off.
            biased;
            done = work => done,
            never = self.pump() => match never {},
        }
    }

    async fn pump(&mut self) -> Infallible {
        tokio::join!(self.out.pump(), self.err.pump());
        std::future::pending().await
    }

    /// Reads what the script has left in the pipes.
    pub(crate) fn rest(&mut self) {
        self.out.rest();
        self.err.rest();
    }

    /// Whether processes in the background still hold an end.
    pub(crate) fn is_open(&self) -> bool {
        self.out.pipe.is_open() || self.err.pipe.is_open()
    }

    /// Reads on until everyone has closed their ends.
    pub(crate) async fn drain(mut self) {
        tokio::join!(self.out.pump(), self.err.pump());
    }

    /// What standard output said so far.
    pub(crate) fn out_said(&self) -> &Said {
        &self.out.said
    }

    /// The last word: of standard error, or else of standard output.
    pub(crate) fn last_word(&self) -> &str {
        match self.err.said.last.as_str() {
            "" => &self.out.said.last,
            last => last,
        }
    }
}
