//! The attributes of a service's group, for a plugin in Rust.

use std::ffi::c_void;
use std::ptr;

use super::abi::{self, Text};
use super::handler::Host;
use crate::attributes::{AttributesError, AttributesRead};

/// What koi hands over while it is asked.
#[derive(Default)]
struct Taken {
    values: Vec<(String, String)>,
    /// The value of no key: the version, or why there is none.
    word: String,
}

/// # Safety
/// `to` leads to a [`Taken`] that nobody else uses now; the texts are there until this returns.
unsafe extern "C" fn take(to: *mut c_void, key: Text, value: Text) {
    // SAFETY: the caller vouches for it.
    let (taken, key, value) = unsafe { (&mut *to.cast::<Taken>(), key.string(), value.string()) };
    let value = value.unwrap_or_default();
    match key {
        Some(key) => taken.values.push((key, value)),
        None => taken.word = value,
    }
}

impl Host<'_> {
    /// The attributes of the group that the service is promoted with, as this node acts on them; `fresh`: as the leader knows them, which is asked
    /// for that. Waits until the call has to end, and not longer.
    ///
    /// # Errors
    /// They are not known now, or no hook runs.
    pub fn attributes(&self, fresh: bool) -> Result<AttributesRead, AttributesError> {
        let Some(ask) = self.raw.attributes else { return Err(too_old()) };
        let mut taken = Taken::default();
        // SAFETY: the table is koi's; `take` is called before it returns, and by no other thread.
        let code =
            unsafe { ask(self.raw.self_, u32::from(fresh), Some(take), ptr::from_mut(&mut taken).cast()) };
        ended(code, &taken.word)?;
        Ok(AttributesRead { version: taken.word, values: taken.values })
    }

    /// Writes one; none removes it. Only the group's master does. When it returns a quorum has it on disk, and this node acts on it.
    ///
    /// # Errors
    /// It is not written, or nobody knows whether it is.
    pub fn set_attribute(&self, key: &str, value: Option<&str>) -> Result<(), AttributesError> {
        let Some(ask) = self.raw.set_attribute else { return Err(too_old()) };
        let (mut taken, value) = (Taken::default(), value.map_or(Text::NONE, Text::of));
        // SAFETY: as above; the texts are read before it returns.
        let code = unsafe {
            ask(self.raw.self_, Text::of(key), value, Some(take), ptr::from_mut(&mut taken).cast())
        };
        ended(code, &taken.word)
    }
}

fn too_old() -> AttributesError {
    AttributesError::Unavailable("this koi has no attributes for native plugins; upgrade it".into())
}

fn ended(code: i32, why: &str) -> Result<(), AttributesError> {
    let why = why.to_owned();
    Err(match code {
        abi::DONE => return Ok(()),
        abi::ATTRIBUTES_NOT_MASTER => AttributesError::NotMaster(why),
        abi::ATTRIBUTES_INVALID => AttributesError::Invalid(why),
        abi::ATTRIBUTES_UNAVAILABLE => AttributesError::Unavailable(why),
        // One of a later version is not to be taken for a write that did not happen.
        _ => AttributesError::Unknown(why),
    })
}
