//! What lies in the services folder.

pub(crate) mod check;
pub(crate) mod definition;
pub(crate) mod discover;
pub(crate) mod duration;
pub(crate) mod entry;
mod foreign_programs;
pub(crate) mod manifest;
pub(crate) mod policy;
pub(crate) mod toml_places;
