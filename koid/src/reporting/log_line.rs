//! One line of the log, before it is written in any form.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};

use super::say;

/// One line.
#[derive(Debug, Default)]
pub(super) struct LogLine {
    pub(super) at: Option<SystemTime>,
    pub(super) loudness: u8,
    pub(super) message: String,
    pub(super) service: String,
    pub(super) hook: String,
    /// Further fields, as `name=value`.
    pub(super) rest: String,
}

impl Visit for LogLine {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // Made harmless and cut before it waits: what waits is bounded, too.
            "message" => self.message.push_str(&say::one_line(value)),
            "service" => self.service.push_str(&say::one_line(value)),
            "hook" => self.hook.push_str(&say::one_line(value)),
            name => drop(write!(self.rest, " {name}={}", say::one_line(value))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
