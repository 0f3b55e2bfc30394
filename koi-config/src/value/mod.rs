//! The types of values: how each is read, checked and written.

mod address;
mod choice;
mod error;
mod excerpt;
mod group;
mod keys;
mod network;
mod path;
mod quote;
mod scalar;
mod setting;
mod time;
mod zone;

pub(crate) use address::Destination;
pub(crate) use choice::LogLevel;
pub(crate) use error::ValueErrors;
pub(crate) use excerpt::{excerpt, excerpt_name};
pub(crate) use quote::{Escapes, quote};
pub(crate) use scalar::Secret;
pub(crate) use setting::Setting;
pub(crate) use zone::Bind;
