//! The plugins that are known, and the handlers that services have of them.
//!
//! `storage` is what lies on the disk: where plugins come from and whose signatures count, copies of them, and what services that are
//! gone have left. `loading` makes code of a file. `open` makes a service's handler of the code, and `handler_snapshot` is what it takes
//! to make that handler again. `grants_section` is what an operator may grant it.

pub(crate) mod error;
pub(crate) mod grants_section;
pub(crate) mod handler_snapshot;
pub(crate) mod loading;
pub(crate) mod open;
pub(crate) mod registry;
pub(crate) mod storage;
