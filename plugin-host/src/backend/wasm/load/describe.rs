//! Asking a component what it is, in a process that lives no longer than that.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use koi_plugin_api::{CallLog, Hook, Metadata, for_people};

use crate::backend::helper::ReplyError;
use crate::backend::helper::process::Process;
use crate::backend::wasm::host::helper;
use crate::backend::wasm::last_lines::LastLines;
use crate::backend::wasm::load::metadata::{MetadataError, metadata};
use crate::backend::wasm::load::sealed::ComponentCode;
use crate::backend::wasm::load::versions::{InterfaceError, Outside};
use crate::backend::wasm::protocol::{FrameReader, GUEST_FRAME_BYTES, GuestMessage, GuestSetup, level_of};
use crate::host::Host;

/// How long loading and describing may take: a second is plenty, and a loaded machine needs more.
const TIME: Duration = Duration::from_secs(30);
/// Messages that are heard: a component may log while it describes itself.
const MESSAGES: usize = 10_000;
/// Characters of a refusal.
const REFUSAL_CHARS: usize = 1000;

/// Why a component does not say what it is.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The process cannot be started.
    #[error("no process could be started to load it ({}): {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    /// The process was lost.
    #[error("the process that loads it was lost: {0}")]
    Lost(io::Error),
    /// The process died. `end` says how.
    #[error("the process that loads it {end}")]
    Died { end: String },
    /// It does not end.
    #[error("loading it did not end within {TIME:?}")]
    Hangs,
    /// It says what it should not.
    #[error("the process that loads it says what no such process says; is the plugin to be trusted?")]
    Garbled,
    /// It cannot be loaded, or does not describe itself. The text is the process's.
    #[error("{0}")]
    Refused(String),
    /// It is no handler for this koid.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// What it says cannot be.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// Asks the component with this code. Blocks.
pub(crate) fn describe(host: &Host, code: &ComponentCode) -> Result<(Outside, Metadata), DescribeError> {
    let cannot_start = |source| DescribeError::Start { program: host.program.clone(), source };
    let setup = helper::message(&GuestSetup::Describe).map_err(|error| cannot_start(error.into()))?;
    let until = Instant::now() + TIME;
    let (mut ours, theirs) = UnixStream::pair().map_err(cannot_start)?;
    let command = helper::command(&host.program, "describe");
    let process =
        Process::start(command, theirs.into(), [Stdio::null(), Stdio::null()]).map_err(cannot_start)?;
    ours.set_read_timeout(Some(TIME)).map_err(DescribeError::Lost)?;
    if helper::set_up(&mut ours, code, &setup).is_err() {
        return Err(ending(process, until));
    }
    let mut messages = FrameReader::new(ours, GUEST_FRAME_BYTES);
    let (mut outside, lines) = (None, LastLines::default());
    for _ in 0..MESSAGES {
        if Instant::now() >= until {
            return Err(DescribeError::Hangs);
        }
        let message = messages.next_blocking().map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => DescribeError::Hangs,
            _ => DescribeError::Lost(error),
        })?;
        match (message, outside.take()) {
            (Ok(GuestMessage::Interfaces { imports, exports }), None) => {
                outside = Some(Outside::read(imports, &exports)?);
            }
            (Ok(GuestMessage::Described(said)), Some(outside)) => {
                let said = serde_json::from_slice(&said).map_err(|_| DescribeError::Garbled)?;
                let mut metadata = metadata(said)?;
                if !outside.hears_changes {
                    // It may name all hooks that there are.
                    metadata.hooks = metadata.hooks.without(Hook::Changed);
                }
                return Ok((outside, metadata));
            }
            (Ok(GuestMessage::Refused(why)), _) => {
                return Err(DescribeError::Refused(lines.behind(for_people(&why, REFUSAL_CHARS))));
            }
            (Ok(GuestMessage::Line(level, text)), before) => {
                tracing::trace!("describe: {}", for_people(&text, REFUSAL_CHARS));
                lines.line(level_of(level), &text);
                outside = before;
            }
            (Err(ReplyError::Closed), _) => return Err(ending(process, until)),
            (Ok(_) | Err(ReplyError::Garbled), _) => return Err(DescribeError::Garbled),
        }
    }
    Err(DescribeError::Garbled)
}

/// A process that said nothing: how it ended.
fn ending(mut process: Process, until: Instant) -> DescribeError {
    match process.ended_by(until) {
        Some(end) => DescribeError::Died { end },
        None => DescribeError::Hangs,
    }
}
