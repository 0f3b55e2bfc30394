//! Reads the two formats.

pub(crate) mod classic;
mod info;
mod reading;
mod redaction;
pub(crate) mod toml;
