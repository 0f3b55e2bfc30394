//! The `state` interface: a service's store, as its guests see it.

use koi_plugin_api::LogLevel;

use super::state::{Entries, put};
use crate::backend::wasm::bindings::koi::service::state::{self, StateError};
use crate::backend::wasm::run::guest::Guest;

impl Guest {
    async fn with_state<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Entries) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (result, damage) = self.store.with(work).await;
        if let Some(damage) = damage {
            self.call.log.line(LogLevel::Error, &damage.to_string());
        }
        result
    }
}

impl state::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        self.with_state(move |entries| Ok(entries.get(&key).cloned())).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        self.with_state(move |entries| put(entries, key, value)).await
    }

    async fn delete(&mut self, key: String) -> Result<(), StateError> {
        self.with_state(move |entries| {
            entries.remove(&key);
            Ok(())
        })
        .await
    }

    async fn keys(&mut self) -> Result<Vec<String>, StateError> {
        self.with_state(|entries| Ok(entries.keys().cloned().collect())).await
    }
}
