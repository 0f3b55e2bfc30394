//! The brain of koi: who leads, who is master, and what each service does next.
//!
//! Pure: inputs and the time go in, effects come out. There is no clock, socket, thread, logger or randomness in here,
//! so that the simulator and the daemon run the very same code, to the bit.

#![forbid(unsafe_code)]

pub mod event;
pub mod io;
pub mod limits;
pub mod message;
pub mod node;
pub mod record;
pub mod settings;
pub mod types;
pub mod view;
