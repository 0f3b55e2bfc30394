//! How koi writes files. [`replace`] and [`create`] write a file whole or not at all. [`set_aside`] renames a damaged file, so that it can
//! be looked at. [`trust`] says who else may change a file.
//!
//! What both ways of writing promise:
//!
//! - The contents are written to a temporary file in the same folder. That file is then renamed to the path. Whoever opens the path finds
//!   the old file or the new one, whole.
//! - The file's mode is [`WriteOptions::mode`] without the bits of the umask. Mode and owner of an old file do not pass to the new one.
//! - Nothing is written through a link. The temporary file is always a new one. A link at the path is replaced, not followed. Links among
//!   the folders above are followed.
//! - When a step before the rename fails, or the rename itself, the path is as it was and the temporary file is removed. This includes a
//!   full disk.
//! - When the process is killed, the temporary file may stay. [`Temporary`] says who removes it.
//! - What a power cut leaves is chosen with [`Durability`]. Nothing is synced that was not asked for.
//!
//! The folder must be there. All calls block on the disk.

#![forbid(unsafe_code)]

mod aside;
pub mod trust;
mod write;

pub use aside::{SetAsideError, set_aside};
pub use write::{Durability, Temporary, WriteError, WriteOptions, WriteStep, create, replace, sync_folder};
