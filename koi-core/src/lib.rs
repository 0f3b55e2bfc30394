//! The brain of koi: who leads, who is master, and what each service does next.
//!
//! Pure: inputs and the time go in, effects come out. There is no clock, socket, thread, logger or randomness in here,
//! so that the simulator and the daemon run the very same code, to the bit.
//!
//! From the ground up: [`types`], [`settings`], [`record`], [`message`]; what is on disk (`durability`) and what leaves
//! (`outbox`); a service's states (`service`) and all services of a node (`services`); what the node wants of them (`runner`);
//! the other nodes (`peers`, `receiving`, `greeting`); who leads (`election`, `campaign`); what a follower (`following`) and a leader
//! (`leadership`, `leader`, `placement`, `commands`) do; what is not to be relied on (`patience`, `flapping`, `fitness`, `hearing`); and
//! [`node`], which composes them. Rules R1 to R11 and R13 are named where they are kept.

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

pub mod concern;
mod contact;
mod elector;
pub mod event;
pub mod guard;
pub mod io;
mod leader;
pub mod limits;
mod local;
pub mod message;
#[cfg(koi_mutants)]
pub mod mutant;
pub mod node;
mod outbox;
mod patience;
pub mod reason;
pub mod record;
pub mod settings;
mod supervision;
pub mod timers;
pub mod types;
pub mod view;
mod wording;

pub use node::Node;
