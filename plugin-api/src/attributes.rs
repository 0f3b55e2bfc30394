//! The attributes of a service's group, as one call of it may use them.

use std::future::{Future, ready};
use std::pin::Pin;

/// What the attributes say, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesRead {
    /// Which state of them it is: "TERM.N". Empty: nothing was ever written.
    pub version: String,
    /// All of them, by key.
    pub values: Vec<(String, String)>,
}

/// Why the attributes could not be read or written. Texts are one line for people: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributesError {
    /// The call's node is not master under the call's epoch (or is no more): nothing was written.
    NotMaster(String),
    /// No key, too long a value, no room for one more: nothing was written.
    Invalid(String),
    /// Not now: no leader, no quorum, an older koi among the electors. Nothing was written.
    Unavailable(String),
    /// Nobody knows: the lease was lost or the time was up before the write counted. It may yet take effect.
    Unknown(String),
}

/// Something that is done later.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The attributes of the group of one call. They end with the call: whatever is asked after it fails.
pub trait CallAttributes: Send + Sync {
    /// What they say here, as the node acts on it; `fresh`: what the leader knows.
    fn read(&self, fresh: bool) -> BoxFuture<'_, Result<AttributesRead, AttributesError>>;
    /// Writes one; none removes it. Returns once a quorum has it on disk and the node acts on it.
    fn write(&self, key: String, value: Option<String>) -> BoxFuture<'_, Result<(), AttributesError>>;
}

/// Where there is no cluster: nothing was ever written, and nobody is master.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCluster;

impl CallAttributes for NoCluster {
    fn read(&self, _fresh: bool) -> BoxFuture<'_, Result<AttributesRead, AttributesError>> {
        Box::pin(ready(Ok(AttributesRead::default())))
    }

    fn write(&self, _key: String, _value: Option<String>) -> BoxFuture<'_, Result<(), AttributesError>> {
        let why = "attributes are a cluster's, and there is none here: nothing was written";
        Box::pin(ready(Err(AttributesError::NotMaster(why.to_owned()))))
    }
}
