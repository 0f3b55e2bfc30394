//! What a helper is for, as whom it runs, and what one that describes says.

use koi_plugin_api::{ConfigKey, Want};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::limits::Limits;

/// What a helper is for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GuestSetup {
    /// To say what the component is.
    Describe,
    /// To run the hooks of one service.
    Serve(Box<ServiceSetup>),
}

/// What a service's guests may use.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceSetup {
    /// As koid has checked and resolved them.
    pub(crate) grants: Grants,
    /// The granted variables of koid's environment, with their values.
    pub(crate) variables: Vec<(String, String)>,
    /// For its memory and files.
    pub(crate) limits: Limits,
    /// As whom the helper runs, if it needs no files and koid is root.
    pub(crate) user: u32,
    /// Something of the component may run when an instance of it is made, before a hook is called.
    pub(crate) runs_when_made: bool,
}

/// The first of the users that helpers run as: nobody gives out numbers there. Each service has one, by its name; two rarely have the same.
const FIRST_USER: u32 = 1_900_000_001;
const USERS: u32 = 65_000;
/// As whom a component is asked what it is.
pub(crate) const NO_SERVICE: u32 = FIRST_USER - 1;
/// As whom components are compiled.
pub(crate) const COMPILER: u32 = FIRST_USER - 2;

/// The user of a service's helper.
pub(crate) fn user_of(service: &str) -> u32 {
    // By a sum that is the same on every node and in every version: files that it makes are its own later.
    let sum = Sha256::digest(service.as_bytes());
    let number = sum.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    FIRST_USER + (number % u64::from(USERS)) as u32
}

/// What a component says of itself, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DescribedHandler {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    /// A bit for each hook, by its place in [`Hook::ALL`](koi_plugin_api::Hook::ALL).
    pub(crate) hooks: u8,
    pub(crate) wants: Vec<Want>,
    pub(crate) config: Vec<ConfigKey>,
}
