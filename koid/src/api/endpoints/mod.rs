//! What is answered, path by path.

pub(in crate::api) mod attributes;
pub(in crate::api) mod commands;
mod drill;
mod events;
pub(in crate::api) mod forward;
pub(in crate::api) mod groups;
mod metrics;
pub(crate) mod plugins;
mod routes;
mod statistics;
mod status;
pub(crate) mod view;
