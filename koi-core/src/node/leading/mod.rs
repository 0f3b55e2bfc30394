//! What a leader does.

mod flapping;
mod hearing;
mod leader;
mod placement;
