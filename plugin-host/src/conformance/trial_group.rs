//! The group of a trial: its attributes lie in memory, and its master is whoever the trial says is promoted.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_plugin_api::{
    ATTRIBUTE_KEY_BYTES, ATTRIBUTE_VALUE_BYTES, ATTRIBUTES, AttributesAsked, AttributesError, AttributesRead,
    CallAttributes, Context, Hook, Role, is_attribute_key,
};

/// Keys and values.
pub(crate) type Attributes = BTreeMap<String, String>;

/// Why no group can have this attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrialAttributeError {
    #[error(
        "{0:?} is no key of an attribute: 1 to {ATTRIBUTE_KEY_BYTES} letters, digits, `.`, `-` and `_` are expected"
    )]
    Key(String),
    #[error("the value of the attribute {key} has {bytes} bytes: {ATTRIBUTE_VALUE_BYTES} are allowed")]
    Value { key: String, bytes: usize },
    #[error("a group has {ATTRIBUTES} attributes at most")]
    TooMany,
}

/// Puts one among the others.
pub(crate) fn put(all: &mut Attributes, key: &str, value: &str) -> Result<(), TrialAttributeError> {
    if !is_attribute_key(key) {
        return Err(TrialAttributeError::Key(key.to_owned()));
    }
    if value.len() > ATTRIBUTE_VALUE_BYTES {
        return Err(TrialAttributeError::Value { key: key.to_owned(), bytes: value.len() });
    }
    if all.len() >= ATTRIBUTES && !all.contains_key(key) {
        return Err(TrialAttributeError::TooMany);
    }
    all.insert(key.to_owned(), value.to_owned());
    Ok(())
}

/// How writes go wrong in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteFault {
    /// As if another node were master.
    Refused,
    /// As if nobody led.
    Unavailable,
    /// As if the lease were lost on the way.
    Unknown,
}

/// What the handler of a trial finds, and leaves. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrialGroup(Arc<Mutex<GroupState>>);

#[derive(Debug, Default)]
struct GroupState {
    values: Attributes,
    /// Writes so far; that which was there before is one.
    writes: u64,
    fault: Option<WriteFault>,
}

impl TrialGroup {
    /// Begins anew with these.
    pub(crate) fn reset(&self, values: Attributes, fault: Option<WriteFault>) {
        *self.state() = GroupState { writes: u64::from(!values.is_empty()), values, fault };
    }

    /// All of them.
    pub(crate) fn attributes(&self) -> Attributes {
        self.state().values.clone()
    }

    /// As a call of `hook` sees it. `newest_epoch` is the newest that its node has heard of.
    pub(crate) fn for_call(
        &self,
        hook: Hook,
        context: &Context,
        newest_epoch: u64,
    ) -> Arc<dyn CallAttributes> {
        let is_promoted = context.role == Role::Promoted || matches!(hook, Hook::Promote | Hook::Demote);
        let is_master = is_promoted && newest_epoch <= context.epoch;
        Arc::new(GroupView { group: self.clone(), is_master })
    }

    /// It is whole at any moment.
    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The group, as one call sees it.
struct GroupView {
    group: TrialGroup,
    is_master: bool,
}

impl GroupView {
    fn change(&self, key: &str, value: Option<&str>) -> Result<(), AttributesError> {
        let mut state = self.group.state();
        if !self.is_master {
            return Err(AttributesError::NotMaster(
                "the node is not master under the epoch of this call".into(),
            ));
        }
        match state.fault {
            None => {}
            Some(WriteFault::Refused) => {
                return Err(AttributesError::NotMaster("the test has another node be master".into()));
            }
            Some(WriteFault::Unavailable) => {
                return Err(AttributesError::Unavailable("the test has no node lead".into()));
            }
            Some(WriteFault::Unknown) => {
                let why = "the test has the lease be lost on the way, and nobody knows whether it is written";
                return Err(AttributesError::Unknown(why.into()));
            }
        }
        match value {
            Some(value) => put(&mut state.values, key, value)
                .map_err(|error| AttributesError::Invalid(error.to_string()))?,
            None if !is_attribute_key(key) => {
                return Err(AttributesError::Invalid(TrialAttributeError::Key(key.to_owned()).to_string()));
            }
            None => {
                state.values.remove(key);
            }
        }
        state.writes += 1;
        Ok(())
    }
}

impl CallAttributes for GroupView {
    fn read(&self, _fresh: bool) -> AttributesAsked<'_, AttributesRead> {
        let state = self.group.state();
        let version = if state.writes == 0 { String::new() } else { format!("1.{}", state.writes) };
        let values = state.values.clone().into_iter().collect();
        Box::pin(ready(Ok(AttributesRead { version, values })))
    }

    fn write(&self, key: String, value: Option<String>) -> AttributesAsked<'_, ()> {
        Box::pin(ready(self.change(&key, value.as_deref())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_cluster_would_take_is_refused_with_the_limit() {
        let mut all = Attributes::new();
        let said = |result: Result<(), TrialAttributeError>| result.unwrap_err().to_string();
        assert!(said(put(&mut all, &"k".repeat(65), "v")).contains("1 to 64 letters"));
        assert!(said(put(&mut all, "a b", "v")).contains("\"a b\" is no key"));
        assert!(said(put(&mut all, "k", &"v".repeat(257))).contains("257 bytes: 256 are allowed"));
        for n in 0..8 {
            assert_eq!(put(&mut all, &format!("k{n}"), ""), Ok(()));
        }
        assert_eq!(put(&mut all, "k0", "again"), Ok(()));
        assert_eq!(put(&mut all, "k8", ""), Err(TrialAttributeError::TooMany));
    }
}
