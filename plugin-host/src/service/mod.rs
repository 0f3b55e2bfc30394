//! What lies in the services folder.

pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod definition;
pub(crate) mod discover;
mod duration;
pub(crate) mod entry;
pub(crate) mod manifest;
