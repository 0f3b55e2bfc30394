//! Texts in koi's store on this node. What is set is on disk when `set` returns.

use std::fmt;

use crate::HookError;
use crate::raw_state::{self, StateError};

/// The text under `key`; none: there is none.
///
/// # Errors
/// The disk.
pub fn get(key: &str) -> Result<Option<String>, StoreError> {
    let value = raw_state::get(key).map_err(|cause| StoreError { key: key.into(), cause })?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Puts `text` under `key`.
///
/// # Errors
/// The disk; or there is no room for it.
pub fn set(key: &str, text: &str) -> Result<(), StoreError> {
    raw_state::set(key, text.as_bytes()).map_err(|cause| StoreError { key: key.into(), cause })
}

/// Forgets `key`; one that is not there is fine too.
///
/// # Errors
/// The disk.
pub fn delete(key: &str) -> Result<(), StoreError> {
    raw_state::delete(key).map_err(|cause| StoreError { key: key.into(), cause })
}

/// The store could not do it.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What was looked for or changed.
    pub key: String,
    /// Why not.
    pub cause: StateError,
}

impl std::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "koi's store: {}: ", self.key)?;
        match &self.cause {
            StateError::TooLarge => {
                f.write_str("a key of more than 256 bytes, or a value of more than 64 KiB")
            }
            StateError::QuotaExceeded => {
                f.write_str("the service has used up its room of 1 MiB and 1024 keys")
            }
            StateError::Io(words) => f.write_str(words),
        }
    }
}

impl From<StoreError> for HookError {
    fn from(error: StoreError) -> HookError {
        HookError::Retry(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_says_where_and_why() {
        let error = StoreError { key: "role".into(), cause: StateError::Io("disk full".into()) };
        assert_eq!(error.to_string(), "koi's store: role: disk full");
        assert!(matches!(HookError::from(error), HookError::Retry(words) if words.ends_with("disk full")));
    }
}
