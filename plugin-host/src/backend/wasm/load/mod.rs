//! From a component's file to code that can be run.

mod cache;
pub(crate) mod compile;
pub(crate) mod component;
mod describe;
#[allow(unsafe_code)] // Takes compiled code for what it says it is.
pub(crate) mod machine_code;
mod placeholders;
mod versions;
