//! Connections: where the API listens, who is let in, and one request and its answer.

mod admission;
pub(crate) mod listen;
pub(crate) mod local_listener;
mod reopening;
mod serve;
mod stream;

#[cfg(test)]
mod crowd_tests;
