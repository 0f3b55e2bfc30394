//! What a plugin writes to standard output and standard error.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;

use koi_plugin_api::LogLevel;

use crate::backend::helper::lines::{Line, Lines};
use crate::backend::helper::{LINE_BYTES, MESSAGE_BYTES, cut};

/// Bytes read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes that are still read when a call is over: as much as a pipe holds.
const REST_BYTES: usize = 64 * 1024;

/// What Rust adds below its own complaints; what is said before says more.
pub(crate) const RUST_HINT: &str = "note: run with `RUST_BACKTRACE";

/// Takes a line at its level.
pub(crate) type Take<'t> = &'t (dyn Fn(LogLevel, &str) + Sync);

/// One stream.
struct Stream {
    pipe: koi_child::Output,
    level: LogLevel,
    lines: Lines,
    /// The last line that is not empty.
    last: String,
    buffer: Box<[u8]>,
}

impl Stream {
    fn new(end: OwnedFd, level: LogLevel) -> io::Result<Stream> {
        Ok(Stream {
            pipe: koi_child::Output::new(end)?,
            level,
            lines: Lines::new(LINE_BYTES),
            last: String::new(),
            buffer: vec![0; CHUNK_BYTES].into(),
        })
    }

    /// Reads until the last writer has closed it. May be dropped and begun again at any time.
    async fn pump(&mut self, take: Take<'_>) {
        loop {
            match self.pipe.read(&mut self.buffer).await {
                0 => return,
                n => self.take(n, take),
            }
        }
    }

    /// Reads what lies in the pipe now, and waits for nothing.
    fn rest(&mut self, take: Take<'_>) {
        let mut read = 0;
        while read < REST_BYTES {
            let Some(n) = self.pipe.read_now(&mut self.buffer) else { break };
            self.take(n, take);
            read += n;
        }
        let Stream { lines, last, level, .. } = self;
        lines.finish(|line| hand_over(line, *level, last, take));
    }

    fn take(&mut self, n: usize, take: Take<'_>) {
        let Stream { lines, last, level, buffer, .. } = self;
        lines.push(&buffer[..n], |line| hand_over(line, *level, last, take));
    }
}

fn hand_over(line: Line<'_>, level: LogLevel, last: &mut String, take: Take<'_>) {
    let mut text = for_people(&String::from_utf8_lossy(line.bytes));
    if line.cut {
        text.push('…');
    }
    if !text.is_empty() && !text.starts_with(RUST_HINT) {
        cut(&text, MESSAGE_BYTES / 4).clone_into(last);
    }
    take(level, &text);
}

/// One line without characters that a terminal would obey or nobody sees.
pub(crate) fn for_people(text: &str) -> String {
    koi_text::blanked(text).trim_end().to_owned()
}

/// Both streams of a helper.
pub(crate) struct Output {
    out: Stream,
    err: Stream,
}

impl Output {
    /// Standard output becomes [`LogLevel::Info`], standard error [`LogLevel::Warn`].
    pub(crate) fn new(out: OwnedFd, err: OwnedFd) -> io::Result<Output> {
        Ok(Output { out: Stream::new(out, LogLevel::Info)?, err: Stream::new(err, LogLevel::Warn)? })
    }

    /// Reads for ever: a plugin must never wait for its output to be read while a call is under way.
    pub(crate) async fn pump(&mut self, take: Take<'_>) -> Infallible {
        tokio::join!(self.out.pump(take), self.err.pump(take));
        std::future::pending().await
    }

    /// Reads what is left in the pipes now.
    pub(crate) fn rest(&mut self, take: Take<'_>) {
        self.out.rest(take);
        self.err.rest(take);
    }

    /// A new call begins: what was said before is not its last word.
    pub(crate) fn forget(&mut self) {
        self.out.last.clear();
        self.err.last.clear();
    }

    /// What standard error said last.
    pub(crate) fn last_word(&self) -> &str {
        self.err.last.trim()
    }
}
