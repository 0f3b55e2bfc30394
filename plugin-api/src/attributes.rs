//! The attributes of a service's group, as one call of it may use them.

use std::future::Future;
use std::pin::Pin;

/// A question that may take until the call's end. Dropping it ends it.
pub type AttributesAsked<'a, T> = Pin<Box<dyn Future<Output = Result<T, AttributesError>> + Send + 'a>>;

/// What the attributes say, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesRead {
    /// Which state of them it is: `TERM.N`. Empty: nothing was ever written.
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

/// The attributes of the group of one call. They end with the call: whatever is asked after it fails.
pub trait CallAttributes: Send + Sync {
    /// What they say here, as the node acts on it; `fresh`: what the leader knows.
    fn read(&self, fresh: bool) -> AttributesAsked<'_, AttributesRead>;

    /// Writes one; none removes it. Returns once a quorum has it on disk and the node acts on it.
    fn write(&self, key: String, value: Option<String>) -> AttributesAsked<'_, ()>;
}

/// Where there is no cluster: reads say that nothing was ever written, and nothing can be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCluster;

impl CallAttributes for NoCluster {
    fn read(&self, _fresh: bool) -> AttributesAsked<'_, AttributesRead> {
        Box::pin(std::future::ready(Ok(AttributesRead::default())))
    }

    fn write(&self, _key: String, _value: Option<String>) -> AttributesAsked<'_, ()> {
        let why = "there is no cluster here, and so no master that could write attributes".to_owned();
        Box::pin(std::future::ready(Err(AttributesError::NotMaster(why))))
    }
}
