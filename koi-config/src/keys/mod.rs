//! The one table of all keys, and the draft that their values go into.

mod draft;
mod replaced;
mod table;

pub(crate) use draft::Draft;
pub(crate) use replaced::{REPLACED, classic_names};
pub(crate) use table::{
    CLASSIC_SECTIONS, GROUP_KEYS, GROUPS, KEYS, Key, PASSWORD, SECTIONS, display_name, nearest, split,
};
