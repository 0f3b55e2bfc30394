//! What a node does with its services: one service, all of them, and what the node wants of them.

pub(crate) mod restarts;
pub(crate) mod runners;
pub(crate) mod service;
pub(crate) mod services;
pub(crate) mod supervisor;
