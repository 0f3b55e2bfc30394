//! How far a clean stop has come. What it does is in `node::leaving`.

use crate::types::Time;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leaving(Progress);

#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    #[default]
    Staying,
    /// It was told to stop.
    Begun {
        /// When the last service was down.
        down_since: Option<Time>,
    },
    /// It does nothing any more.
    Finished,
}

impl Leaving {
    /// The node is told to stop.
    pub(crate) fn begin(&mut self) {
        if matches!(self.0, Progress::Staying) {
            self.0 = Progress::Begun { down_since: None };
        }
    }

    /// The node is stopping, or has stopped.
    pub(crate) fn has_begun(&self) -> bool {
        !matches!(self.0, Progress::Staying)
    }

    /// The node does nothing any more.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.0, Progress::Finished)
    }

    /// When the last service was down, if all are and the stop has begun.
    pub(crate) fn down_since(&self) -> Option<Time> {
        match self.0 {
            Progress::Begun { down_since } => down_since,
            Progress::Staying | Progress::Finished => None,
        }
    }

    /// Something is up, or is again: maintenance mode may have ended meanwhile.
    pub(crate) fn not_down(&mut self) {
        self.0 = Progress::Begun { down_since: None };
    }

    /// Everything is down now; returns since when.
    pub(crate) fn note_down(&mut self, now: Time) -> Time {
        let since = self.down_since().unwrap_or(now);
        self.0 = Progress::Begun { down_since: Some(since) };
        since
    }

    /// It does nothing any more.
    pub(crate) fn finish(&mut self) {
        self.0 = Progress::Finished;
    }
}
