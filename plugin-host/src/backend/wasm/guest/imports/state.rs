//! The `state` interface: a service's store, as its guests see it. koid keeps it.

use crate::backend::wasm::bindings::v0_2::koi::service::state::{self, StateError};
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{GuestQuestion, HostAnswer, StoreError};

/// What is larger is not sent: koid would refuse it.
const MOST_BYTES: usize = 256 * 1024;

impl Guest {
    async fn ask_store<T>(
        &mut self,
        question: GuestQuestion,
        answer: impl FnOnce(HostAnswer) -> Option<T>,
    ) -> Result<T, StateError> {
        match self.call.link.ask(question).await {
            Some(HostAnswer::StoreRefused(error)) => Err(match error {
                StoreError::TooLarge => StateError::TooLarge,
                StoreError::QuotaExceeded => StateError::QuotaExceeded,
                StoreError::Io(why) => StateError::Io(why),
            }),
            Some(other) => answer(other).ok_or_else(|| StateError::Io("koid answered something else".into())),
            None => Err(StateError::Io("koid gave no answer".into())),
        }
    }
}

fn stored(answer: HostAnswer) -> Option<()> {
    matches!(answer, HostAnswer::Stored).then_some(())
}

impl state::Host for Guest {
    async fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, StateError> {
        let value = |answer| match answer {
            HostAnswer::Value(value) => Some(value),
            _ => None,
        };
        self.ask_store(GuestQuestion::Get(key), value).await
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), StateError> {
        if key.len() + value.len() > MOST_BYTES {
            return Err(StateError::TooLarge);
        }
        self.ask_store(GuestQuestion::Set(key, value), stored).await
    }

    async fn delete(&mut self, key: String) -> Result<(), StateError> {
        match key.len() > MOST_BYTES {
            true => Ok(()),
            false => self.ask_store(GuestQuestion::Delete(key), stored).await,
        }
    }

    async fn keys(&mut self) -> Result<Vec<String>, StateError> {
        let keys = |answer| match answer {
            HostAnswer::Keys(keys) => Some(keys),
            _ => None,
        };
        self.ask_store(GuestQuestion::Keys, keys).await
    }
}
