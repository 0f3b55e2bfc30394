//! Why a text is no value of its type.

use std::ops::Range;

/// What is wrong with a value. The message goes on from the key's name: `must be …, not …`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ValueError {
    pub(crate) message: String,
    /// What to write; may be empty.
    pub(crate) hint: String,
    /// The part of the text that is meant, if it is not the whole value (TOML only).
    pub(crate) span: Option<Range<usize>>,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> ValueError {
        ValueError { message: message.into(), hint: hint.into(), span: None }
    }
}

/// Everything that is wrong with a value; at least one.
pub(crate) type ValueErrors = Vec<ValueError>;

/// A value, or everything that is wrong with it.
pub(crate) type Parsed<T> = Result<T, ValueErrors>;
