//! A helper, as koid sees it.

pub(crate) mod protocol;
pub(crate) mod talk;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::time::{Duration, Instant};

use koi_plugin_api::{Hook, LogLevel};
use tokio::io::AsyncReadExt;

use crate::backend::helper::output::Output;
use crate::backend::helper::process::Process;
use crate::backend::helper::socket::ReadHalf;
use crate::backend::helper::{HelperProcess, Lines, ReplyError, RequestSender};
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
    pub(crate) body: HelperProcess,
    pub(crate) requests: RequestSender,
    pub(crate) replies: ReplyReader,
    pub(crate) phase: Phase,
}

impl Helper {
    /// Starts one. Blocks a little; must be called in a runtime.
    pub(crate) fn start(source: &LibrarySource, service: &str, workdir: &Path) -> io::Result<Helper> {
        let (body, socket) = HelperProcess::start(source.command(service, workdir))?;
        socket.set_nonblocking(true)?;
        let from = ReadHalf::new(socket.try_clone()?)?;
        Ok(Helper {
            body,
            requests: RequestSender::new(socket),
            replies: ReplyReader::new(from),
            phase: Phase::Loading,
        })
    }

    /// Asks for something, as soon as the helper reads.
    pub(crate) fn ask(&mut self, request: &HelperRequest) {
        self.requests.push(&encode(request));
    }

    /// Ends one that is idle in order: the plugin's `destroy` is called and has a second. Returns at once.
    pub(crate) fn end(self, service: String) {
        let Helper { body, requests, .. } = self;
        let socket = requests.into_socket();
        let ending = move || end(body.process, socket, body.output, &service);
        if let Err(error) = std::thread::Builder::new().name("koi-native-end".into()).spawn(ending) {
            tracing::warn!("no thread to end a native plugin in order, it was killed: {error}");
        }
    }
}

fn end(process: Process, mut socket: StdStream, mut output: Output, service: &str) {
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
    // Dropped, it takes with it what it has left in its group: what is to outlive it must have left that.
    if !process.has_ended() {
        tracing::warn!(
            service,
            "the plugin's destroy did not end within {END_GRACE:?}: its process is killed"
        );
    }
}

/// The way back.
pub(crate) struct ReplyReader {
    from: ReadHalf,
    lines: Lines,
    ready: VecDeque<Result<HelperReply, ReplyError>>,
    buffer: Box<[u8]>,
}

impl ReplyReader {
    fn new(from: ReadHalf) -> ReplyReader {
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
