//! The interfaces of `koi:service@0.1`, offered by those of the version that came after it: they have the same functions.

use wasmtime::component::{HasSelf, Linker};

use crate::backend::wasm::bindings::v0_1::koi::service as old;
use crate::backend::wasm::bindings::v0_2::koi::service as new;
use crate::backend::wasm::guest::run::data::Guest;

impl old::types::Host for Guest {}

impl old::host::Host for Guest {
    async fn log(&mut self, level: old::host::LogLevel, message: String) {
        let level = match level {
            old::host::LogLevel::Trace => new::host::LogLevel::Trace,
            old::host::LogLevel::Debug => new::host::LogLevel::Debug,
            old::host::LogLevel::Info => new::host::LogLevel::Info,
            old::host::LogLevel::Warn => new::host::LogLevel::Warn,
            old::host::LogLevel::Error => new::host::LogLevel::Error,
        };
        new::host::Host::log(self, level, message).await;
    }

    async fn remaining_ms(&mut self) -> u64 {
        new::host::Host::remaining_ms(self).await
    }

    async fn epoch_current(&mut self) -> bool {
        new::host::Host::epoch_current(self).await
    }

    async fn sleep(&mut self, ms: u64) -> bool {
        new::host::Host::sleep(self, ms).await
    }
}

impl old::state::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, old::state::StateError> {
        new::state::Host::get(self, key).await.map_err(state_error)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), old::state::StateError> {
        new::state::Host::set(self, key, value).await.map_err(state_error)
    }

    async fn delete(&mut self, key: String) -> Result<(), old::state::StateError> {
        new::state::Host::delete(self, key).await.map_err(state_error)
    }

    async fn keys(&mut self) -> Result<Vec<String>, old::state::StateError> {
        new::state::Host::keys(self).await.map_err(state_error)
    }
}

fn state_error(from: new::state::StateError) -> old::state::StateError {
    match from {
        new::state::StateError::TooLarge => old::state::StateError::TooLarge,
        new::state::StateError::QuotaExceeded => old::state::StateError::QuotaExceeded,
        new::state::StateError::Io(why) => old::state::StateError::Io(why),
    }
}

impl old::exec::Host for Guest {
    async fn run(&mut self, command: old::exec::Command) -> Result<old::exec::Output, old::exec::ExecError> {
        let old::exec::Command { program, args, env, stdin, timeout_ms } = command;
        let command = new::exec::Command { program, args, env, stdin, timeout_ms };
        match new::exec::Host::run(self, command).await {
            Ok(new::exec::Output { code, stdout, stderr, truncated }) => {
                Ok(old::exec::Output { code, stdout, stderr, truncated })
            }
            Err(new::exec::ExecError::Denied) => Err(old::exec::ExecError::Denied),
            Err(new::exec::ExecError::NotFound) => Err(old::exec::ExecError::NotFound),
            Err(new::exec::ExecError::TimedOut) => Err(old::exec::ExecError::TimedOut),
            Err(new::exec::ExecError::Io(why)) => Err(old::exec::ExecError::Io(why)),
        }
    }
}

/// Lets guests of `linker` call what every guest may.
pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    old::types::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    old::host::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}
