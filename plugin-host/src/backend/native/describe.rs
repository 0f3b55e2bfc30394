//! What a library says of itself.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::backend::helper::process::Process;
use crate::backend::native::elf::ElfError;
use crate::backend::native::helper::protocol::{Described, FRAME_BYTES, HelperReply};
use crate::backend::native::source::LibrarySource;

/// How long loading may take: a second is plenty, and a loaded machine needs more.
const LOAD_TIME: Duration = Duration::from_secs(10);

/// Why a library cannot be used. It stands behind the library's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// Its file shows it.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The helper cannot be started.
    #[error("no process could be started to load it ({}): {source}", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    /// The helper was lost.
    #[error("the process that loads it was lost: {0}")]
    Lost(std::io::Error),
    /// The helper loaded it, and says why it cannot be used.
    #[error("{0}")]
    Refused(String),
    /// Code of the library writes to koid's socket.
    #[error("what runs while it is loaded disturbs koid's helper; it needs mending")]
    Garbled,
    /// The helper died. `end` says how.
    #[error("the process that loads it {end}, in code of its own that runs at once (a constructor)")]
    Died { end: String },
    /// The helper does not end.
    #[error(
        "loading it did not end within {LOAD_TIME:?}: code of its own that runs at once (a constructor) hangs"
    )]
    Hangs,
}

/// Loads the library in a helper that lives no longer than that. Blocks.
pub(crate) fn describe(source: &LibrarySource) -> Result<Described, LibraryError> {
    let until = Instant::now() + LOAD_TIME;
    let cannot_start = |error| LibraryError::Start { program: source.program.clone(), source: error };
    let (ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let output = [Stdio::null(), Stdio::null()];
    let process = Process::start(source.command("describe", Path::new("/")), theirs.into(), output)
        .map_err(cannot_start)?;
    match first_line(ours, until) {
        Ok(line) if line.is_empty() => Err(ending(process, until)),
        Ok(line) => match serde_json::from_slice(&line) {
            Ok(HelperReply::Loaded(described)) => Ok(*described),
            Ok(HelperReply::Refused(why)) => Err(LibraryError::Refused(why)),
            Ok(_) | Err(_) => Err(LibraryError::Garbled),
        },
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(LibraryError::Hangs)
        }
        Err(error) => Err(LibraryError::Lost(error)),
    }
}

/// The first line that the helper says; empty: it was closed before.
fn first_line(socket: UnixStream, until: Instant) -> std::io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(LOAD_TIME))?;
    let mut reader = BufReader::new(socket.take(FRAME_BYTES as u64));
    let mut line = Vec::new();
    loop {
        match reader.read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => return Ok(line),
            // Closed in the middle of a line: as good as none.
            Ok(_) => return Ok(Vec::new()),
            Err(error) if error.kind() == ErrorKind::Interrupted && Instant::now() < until => {}
            Err(error) => return Err(error),
        }
    }
}

/// A helper that said nothing: how it ended.
fn ending(mut process: Process, until: Instant) -> LibraryError {
    match process.ended_by(until) {
        Some(end) => LibraryError::Died { end },
        None => LibraryError::Hangs,
    }
}
