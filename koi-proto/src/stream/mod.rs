//! The sealed stream: a TCP connection inside Noise (`NNpsk0`, noiseprotocol.org), keyed by the cluster's secret. The
//! API from afar runs in it.
//!
//! Handshake: the initiator sends the header of [`crate::seal`] in clear text and the first Noise message. The responder
//! picks the key that the header names, and answers with one byte, zero or why it refuses, and the second Noise
//! message. The initiator confirms in the third. The header is the Noise prologue, so nobody can change it unnoticed.
//! Both have the cluster's key, then, and keys for this one connection, which stay secret even if the cluster's key
//! becomes known later.
//!
//! Afterwards each direction is a row of frames: two bytes of length, big-endian, and a Noise message of that length.
//! An empty message is the end of the direction. A connection that ends without it was cut off, and is an error.

mod error;
mod handshake;
mod sealed;

pub use error::{HandshakeError, StreamError};
pub use handshake::{OPENING_BYTES, accept, connect};
pub use sealed::SealedStream;
