//! What is answered, path by path.

pub(in crate::api) mod commands;
mod forward;
pub(crate) mod plugins;
mod routes;
pub(crate) mod view;
