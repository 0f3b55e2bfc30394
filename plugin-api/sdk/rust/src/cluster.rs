//! What the whole cluster shares: the attributes of a group.

use crate::HookError;
use crate::attributes::{AttributesError, Reading};

impl Reading {
    /// The value of a key; none: the group has no such attribute.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Worth another try: who wants something else looks at the error itself.
impl From<AttributesError> for HookError {
    fn from(error: AttributesError) -> HookError {
        let (AttributesError::NotMaster(why)
        | AttributesError::Invalid(why)
        | AttributesError::Unavailable(why)
        | AttributesError::Unknown(why)) = error;
        HookError::Retry(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_by_its_key_and_a_refusal_says_why() {
        let reading = Reading { version: "7.1".into(), values: vec![("primary".into(), "a".into())] };
        assert_eq!((reading.get("primary"), reading.get("backup")), (Some("a"), None));
        let refused = HookError::from(AttributesError::NotMaster("another node is master".into()));
        assert!(matches!(refused, HookError::Retry(why) if why == "another node is master"));
    }
}
