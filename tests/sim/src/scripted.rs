//! A small cluster of which a story says all that happens: datagrams take a millisecond, disks and hooks no time, or as long as the story
//! says, and nothing is left to chance. The core's own tests are told so.

mod attributes;
mod cluster;
mod commands;
mod looks;
mod solo;

use std::time::Duration;

use koi_core::io::{HookEnd, Observed, StatusReport};

pub use crate::machine::{service, settings};
pub use cluster::Cluster;
pub use solo::Solo;

/// So many milliseconds.
pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What `status` saw.
pub fn saw(observed: Observed) -> HookEnd {
    HookEnd::Status(observed.into())
}

/// A status with a score.
pub fn scores(score: i64) -> HookEnd {
    HookEnd::Status(StatusReport { score: Some(score), ..Observed::Healthy.into() })
}

/// A hook that ends badly.
pub fn fails() -> HookEnd {
    HookEnd::Failed { message: "exit status 1".to_owned(), timed_out: false, lasting: false }
}
