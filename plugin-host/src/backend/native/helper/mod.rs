//! A helper, as koid sees it.

mod lines;
pub(crate) mod output;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod talk;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use koi_plugin_api::{Hook, LogLevel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::backend::native::helper::lines::Lines;
use crate::backend::native::helper::output::Output;
use crate::backend::native::helper::process::Process;
use crate::backend::native::helper::protocol::{END_GRACE, FRAME_BYTES, HelperReply, HelperRequest, encode};
use crate::backend::native::source::LibrarySource;

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Between looks at a helper that is ending.
const PAUSE: Duration = Duration::from_millis(10);
/// Lines of output that are logged while a helper is ending: no call's limit counts them.
const LAST_LINES: usize = 100;

/// What a helper is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Loading,
    Creating,
    Calling(Hook),
    Idle,
}

impl Phase {
    /// As the end of a sentence about its process.
    pub(crate) fn words(self) -> String {
        match self {
            Phase::Loading => "while the plugin was loaded".to_owned(),
            Phase::Creating => "in create".to_owned(),
            Phase::Calling(hook) => format!("in {}", hook.as_str()),
            Phase::Idle => "between two calls".to_owned(),
        }
    }
}

/// A process that serves one service. Dropped, it is killed with its group.
pub(crate) struct Helper {
    // Dropped first.
    pub(crate) process: Process,
    pub(crate) requests: RequestSender,
    pub(crate) replies: ReplyReader,
    pub(crate) output: Output,
    pub(crate) phase: Phase,
}

impl Helper {
    /// Starts one. Blocks a little; must be called in a runtime.
    pub(crate) fn start(source: &LibrarySource, service: &str, workdir: &Path) -> io::Result<Helper> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let ((out, out_end), (err, err_end)) = (io::pipe()?, io::pipe()?);
        let ends = [Stdio::from(out_end), Stdio::from(err_end)];
        let process = Process::start(source, service, workdir, theirs, ends)?;
        let (from, to) = UnixStream::from_std(ours)?.into_split();
        Ok(Helper {
            process,
            requests: RequestSender { to, waiting: VecDeque::new() },
            replies: ReplyReader::new(from),
            output: Output::new(out.into(), err.into())?,
            phase: Phase::Loading,
        })
    }

    /// Ends one that is idle in order: the plugin's `destroy` is called and has a second. Returns at once.
    pub(crate) fn end(self, service: String) {
        let Helper { process, requests, replies, output, .. } = self;
        let socket = replies.from.reunite(requests.to).ok().and_then(|socket| socket.into_std().ok());
        let Some(socket) = socket else { return };
        let ending = move || end(process, socket, output, &service);
        if let Err(error) = std::thread::Builder::new().name("koi-native-end".into()).spawn(ending) {
            tracing::warn!("no thread to end a native plugin in order, it was killed: {error}");
        }
    }
}

fn end(mut process: Process, mut socket: StdStream, mut output: Output, service: &str) {
    let until = Instant::now() + END_GRACE;
    let left = std::sync::atomic::AtomicUsize::new(LAST_LINES);
    let log = |level: LogLevel, line: &str| {
        let one_less = |left: usize| left.checked_sub(1);
        let ordering = std::sync::atomic::Ordering::Relaxed;
        if left.fetch_update(ordering, ordering, one_less).is_ok() {
            match level {
                LogLevel::Debug | LogLevel::Info => tracing::info!(service, "{line}"),
                LogLevel::Warn | LogLevel::Error => tracing::warn!(service, "{line}"),
            }
        }
    };
    // It is idle and reads: the socket has room for a short line.
    let told = socket.write_all(&encode(&HelperRequest::End)).is_ok();
    while told && !process.has_ended() && Instant::now() < until {
        output.rest(&log);
        std::thread::sleep(PAUSE);
    }
    output.rest(&log);
    if process.has_ended() {
        // It has ended by itself: its background processes stay.
        process.reap();
    } else {
        tracing::warn!(
            service,
            "the plugin's destroy did not end within {END_GRACE:?}: its process is killed"
        );
    }
}

/// The way to a helper. Requests wait here until they are sent, so that nobody ever waits for a helper that does not read.
pub(crate) struct RequestSender {
    to: OwnedWriteHalf,
    waiting: VecDeque<u8>,
}

impl RequestSender {
    pub(crate) fn push(&mut self, order: &HelperRequest) {
        self.waiting.extend(encode(order));
    }

    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Nobody is there to take what waits.
    pub(crate) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// Sends a part of what waits. May be dropped and begun again at any time.
    pub(crate) async fn send(&mut self) -> io::Result<()> {
        let sent = self.to.write(self.waiting.as_slices().0).await?;
        self.waiting.drain(..sent);
        Ok(())
    }
}

/// Why there is no further answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReplyError {
    /// The helper has closed its end: as a rule it has ended.
    Closed,
    /// That was no answer: something in it writes to koid's socket.
    Garbled,
}

/// The way back.
pub(crate) struct ReplyReader {
    from: OwnedReadHalf,
    lines: Lines,
    ready: VecDeque<Result<HelperReply, ReplyError>>,
    buffer: Box<[u8]>,
}

impl ReplyReader {
    fn new(from: OwnedReadHalf) -> ReplyReader {
        ReplyReader {
            from,
            lines: Lines::new(FRAME_BYTES),
            ready: VecDeque::new(),
            buffer: vec![0; CHUNK_BYTES].into(),
        }
    }

    /// The next one. May be dropped and begun again at any time.
    pub(crate) async fn next(&mut self) -> Result<HelperReply, ReplyError> {
        loop {
            if let Some(answer) = self.ready.pop_front() {
                return answer;
            }
            let n = self.from.read(&mut self.buffer).await.unwrap_or(0);
            if n == 0 {
                return Err(ReplyError::Closed);
            }
            let ready = &mut self.ready;
            self.lines.push(&self.buffer[..n], |line| {
                let answer = serde_json::from_slice(line.bytes).ok().filter(|_| !line.cut);
                ready.push_back(answer.ok_or(ReplyError::Garbled));
            });
        }
    }
}
