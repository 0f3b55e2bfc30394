//! What a library says of itself.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Source;
use super::process::{Process, words};
use super::protocol::{Answer, Described, FRAME_BYTES};

/// How long loading may take: a second is plenty, and a loaded machine needs more.
const LOAD_TIME: Duration = Duration::from_secs(10);
/// Between looks at a helper that is ending.
const PAUSE: Duration = Duration::from_millis(5);

/// Loads the library in a helper that lives no longer than that. Blocks.
pub(super) fn describe(source: &Source) -> Result<Described, String> {
    let until = Instant::now() + LOAD_TIME;
    let cannot_start =
        |error| format!("no process could be started to load it ({}): {error}", source.program.display());
    let (ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let output = [Stdio::null(), Stdio::null()];
    let process = Process::start(source, "describe", Path::new("/"), theirs, output).map_err(cannot_start)?;
    match first_line(ours, until) {
        Ok(line) if line.is_empty() => Err(ending(process, until)),
        Ok(line) => match serde_json::from_slice(&line) {
            Ok(Answer::Loaded(described)) => Ok(*described),
            Ok(Answer::Refused(why)) => Err(why),
            Ok(_) | Err(_) => {
                Err("what runs while it is loaded disturbs koid's helper; it needs mending".into())
            }
        },
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(hangs()),
        Err(error) => Err(format!("the process that loads it was lost: {error}")),
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
fn ending(mut process: Process, until: Instant) -> String {
    while !process.has_ended() {
        if Instant::now() >= until {
            return hangs();
        }
        std::thread::sleep(PAUSE);
    }
    format!(
        "the process that loads it {}, in code of its own that runs at once (a constructor)",
        words(process.reap())
    )
}

fn hangs() -> String {
    format!(
        "loading it did not end within {LOAD_TIME:?}: code of its own that runs at once (a constructor) hangs"
    )
}
