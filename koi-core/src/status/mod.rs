//! What people and programs are told: events, the state of all, what is waited for and what is amiss. The texts are in `wording` alone.

pub mod concern;
pub mod event;
pub mod reason;
pub mod view;
mod wording;
