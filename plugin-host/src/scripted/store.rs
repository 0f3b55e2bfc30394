//! The store of a test: filled before its first call, and looked at after each.

use koi_plugin_api::{CallLog, LogLevel};
use tokio::runtime::Runtime;

use crate::backend::wasm::script::{HostAnswer, StateStore};
use crate::scripted::compare::Stored;

/// Why a test has no store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestStoreError {
    #[error("the store cannot have {key:?}: {why}")]
    Refused { key: String, why: String },
    #[error("the store cannot be read: {0}")]
    Unreadable(String),
}

/// What is said of a damaged file goes nowhere: nobody else writes this one.
struct Silent;

impl CallLog for Silent {
    fn line(&self, _: LogLevel, _: &str) {}
}

/// Puts `given` into an empty store.
pub(crate) fn fill(runtime: &Runtime, store: &StateStore, given: &Stored) -> Result<(), TestStoreError> {
    for (key, value) in given {
        if let HostAnswer::StoreRefused(why) =
            runtime.block_on(store.set(key.clone(), value.clone(), &Silent))
        {
            return Err(TestStoreError::Refused { key: key.clone(), why: format!("{why:?}") });
        }
    }
    Ok(())
}

/// All that is in it.
pub(crate) fn read(runtime: &Runtime, store: &StateStore) -> Result<Stored, TestStoreError> {
    runtime.block_on(async {
        let keys = match store.keys(&Silent).await {
            HostAnswer::Keys(keys) => keys,
            other => return Err(TestStoreError::Unreadable(format!("{other:?}"))),
        };
        let mut stored = Stored::new();
        for key in keys {
            if let HostAnswer::Value(Some(value)) = store.get(key.clone(), &Silent).await {
                stored.insert(key, value);
            }
        }
        Ok(stored)
    })
}
