//! From a component's file to code that can be run.

mod cache;
pub(crate) mod compile;
pub(crate) mod component;
mod describe;
pub(crate) mod machine_code;
mod metadata;
mod parts;
pub(crate) mod placeholders;
pub(crate) mod sealed;
mod sections;
mod versions;
