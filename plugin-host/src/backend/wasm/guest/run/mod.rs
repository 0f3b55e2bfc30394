//! One hook after the other: an instance for each, its stack, its time, and how it ends.

pub(super) mod call;
#[allow(unsafe_code)] // Takes compiled code for what it says it is.
pub(super) mod code;
pub(super) mod component;
pub(super) mod convert;
pub(super) mod data;
pub(super) mod deadline;
pub(super) mod machine;
mod older;
pub(super) mod prepared;
#[allow(unsafe_code)] // Maps memory for stacks.
pub(super) mod stacks;
pub(super) mod test_time;
pub(super) mod trap;
