//! Who leads, and who is a member.

mod campaign;
mod electors;
mod founding;
