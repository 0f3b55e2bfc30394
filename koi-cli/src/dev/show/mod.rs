//! What an author sees.

pub(super) mod follow;
pub(super) mod keys;
mod log_line;
pub(super) mod screen;
mod status_line;

use std::time::Duration;

/// `84 ms`, `3.2 s`.
pub(super) fn took(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f32()),
    }
}
