//! The `koi` binary from outside: exit codes, what it writes where, and what it asks of a daemon.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attributes;
mod daemon;
mod demo;
mod fake;
mod machine;
mod plugins;
mod rollout;
mod run;
mod signing;
