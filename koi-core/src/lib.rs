//! The brain of koi: who leads, who is master, and what each service does next.
//!
//! Pure: inputs and the time go in, effects come out. There is no clock, socket, thread, logger or randomness in here,
//! so that the simulator and the daemon run the very same code, to the bit.
//!
//! [`types`], [`settings`], [`record`] and [`message`] are the vocabulary (`model/`); [`event`], [`view`], [`concern`] and [`reason`] are what people
//! are told (`status/`); [`io`] is what goes in and comes out. `elector`, `leader`, `contact`, `local` and `supervision` hold the parts of a node, each with a state of
//! its own; [`node`] composes them, and its handlers do what concerns several. Rules R1 to R16 are named where they are kept.

#![forbid(unsafe_code)]

/// Whether a test build has broken a rule; a constant in all others.
macro_rules! mutant {
    ($mutant:ident) => {{
        #[cfg(koi_mutants)]
        let broken = crate::mutant::is_broken(crate::mutant::Mutant::$mutant);
        #[cfg(not(koi_mutants))]
        let broken = false;
        broken
    }};
}

mod contact;
mod elector;
pub mod guard;
pub mod io;
mod leader;
mod local;
mod model;
#[cfg(koi_mutants)]
pub mod mutant;
pub mod node;
mod outbox;
mod status;
mod supervision;
pub mod timers;

pub(crate) use model::patience;
pub use model::{
    attributes, fence, group, limits, message, placing, policy, record, roster, settings, types,
};
pub use node::Node;
pub use status::{concern, event, reason, view};
