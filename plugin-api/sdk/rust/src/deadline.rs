//! Until when something may take.

use std::time::Duration;

use wasip2::clocks::monotonic_clock::{self, Instant};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

/// Why nothing more comes, or goes.
pub(crate) enum StreamEnd {
    Late,
    Closed,
    Broken(String),
}

impl From<StreamError> for StreamEnd {
    fn from(error: StreamError) -> StreamEnd {
        match error {
            StreamError::Closed => StreamEnd::Closed,
            StreamError::LastOperationFailed(error) => StreamEnd::Broken(error.to_debug_string()),
        }
    }
}

impl Deadline {
    pub(crate) fn after(time: Duration) -> Deadline {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Deadline(monotonic_clock::now().saturating_add(ns))
    }

    /// Waits until something happens; false: the time is over first.
    pub(crate) fn wait_for(self, something: &Pollable) -> bool {
        let end = monotonic_clock::subscribe_instant(self.0);
        poll(&[something, &end]).contains(&0)
    }

    /// Sends all of it.
    pub(crate) fn write(self, output: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamEnd> {
        while !bytes.is_empty() {
            let room = usize::try_from(output.check_write()?).unwrap_or(usize::MAX);
            if room == 0 {
                if !self.wait_for(&output.subscribe()) {
                    return Err(StreamEnd::Late);
                }
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            output.write(now)?;
            bytes = later;
        }
        Ok(output.flush()?)
    }

    /// At least a byte, and at most `most`.
    pub(crate) fn read(self, input: &InputStream, most: u64) -> Result<Vec<u8>, StreamEnd> {
        loop {
            let bytes = input.read(most)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
            if !self.wait_for(&input.subscribe()) {
                return Err(StreamEnd::Late);
            }
        }
    }
}
