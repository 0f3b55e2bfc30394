//! `koi:service/host`: what every guest may call.

use std::time::Duration;

use koi_plugin_api::{Abort, CallLog, LineCutter, LogLevel};
use wasmtime::component::{HasSelf, Linker};

use crate::backend::wasm::bindings::v0_2::koi::service::host::{Host, LogLevel as GuestLevel};
use crate::backend::wasm::bindings::v0_2::koi::service::{host, types};
use crate::backend::wasm::guest::imports::older;
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{GuestQuestion, HostAnswer};

/// Bytes of one message that are looked at. A guest can hand over megabytes at once.
const MESSAGE_BYTES: usize = 64 * 1024;

impl types::Host for Guest {}

impl Host for Guest {
    async fn log(&mut self, level: GuestLevel, message: String) {
        let level = match level {
            GuestLevel::Trace | GuestLevel::Debug => LogLevel::Debug,
            GuestLevel::Info => LogLevel::Info,
            GuestLevel::Warn => LogLevel::Warn,
            GuestLevel::Error => LogLevel::Error,
        };
        let bytes = &message.as_bytes()[..message.len().min(MESSAGE_BYTES)];
        let mut say = |line: &str| self.call.link.line(level, line);
        let mut cutter = LineCutter::default();
        cutter.push(bytes, &mut say);
        cutter.finish(&mut say);
        if message.len() > bytes.len() {
            say(&format!("… ({} bytes more in this message)", message.len() - bytes.len()));
        }
    }

    async fn remaining_ms(&mut self) -> u64 {
        u64::try_from(self.call.remaining().as_millis()).unwrap_or(u64::MAX)
    }

    async fn epoch_current(&mut self) -> bool {
        match self.call.link.ask(GuestQuestion::Epoch).await {
            Some(HostAnswer::Epoch(newest)) => self.call.epoch >= newest,
            // Whoever cannot be sure is not.
            Some(_) | None => false,
        }
    }

    async fn sleep(&mut self, ms: u64) -> bool {
        let time = Duration::from_millis(ms).min(self.call.remaining());
        let wait = tokio::time::sleep(self.call.test.as_ref().map_or(time, |test| test.sleep(time)));
        let mut abort = self.call.abort.clone();
        tokio::select! {
            biased;
            _ = abort.asked_for(Abort::Gently) => false,
            () = wait => !self.call.remaining().is_zero(),
        }
    }
}

/// Lets guests of `linker`, of every version, call what every guest may; the grants link the rest.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    host::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    older::link(linker)
}
