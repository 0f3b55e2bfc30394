//! A component's handler in koid: its helper, the conversation of each call, and what koid does for guests.

pub(crate) mod allowance;
pub(crate) mod exec;
pub(crate) mod handler;
pub(crate) mod helper;
pub(crate) mod lookups;
pub(crate) mod named_processes;
pub(crate) mod store;
pub(crate) mod talk;
mod verdict;
