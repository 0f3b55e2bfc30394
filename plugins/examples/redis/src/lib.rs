//! A handler that makes a redis-server the master or a replica of it.
//!
//! koi decides who is master; redis copies the data; this tells the one of the other, by redis' own protocol over TCP. Redis itself
//! is started by whatever starts it on the machine: the handler never needs a program of the node.
//!
//! `resp`, `info`, `config` and `standing` are pure and tested natively; the rest exists in WebAssembly only.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod config;
pub mod info;
pub mod resp;
pub mod standing;

#[cfg(target_family = "wasm")]
mod connection;
#[cfg(target_family = "wasm")]
mod handler;
#[cfg(target_family = "wasm")]
mod secret;
#[cfg(target_family = "wasm")]
mod server;
