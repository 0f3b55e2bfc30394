//! Attributes of groups: a few texts that a group's master writes and every node reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::group::{Group, Scope};

/// What the attributes of a group say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributesState {
    /// Which state of them it is, `TERM.N`: each change has a greater one. Empty: nothing was ever written.
    pub version: String,
    /// All of them, by key.
    pub values: BTreeMap<String, String>,
}

/// `GET /v1/attributes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupAttributes {
    /// Whose they are.
    pub group: Group,
    /// The name of the node that says so.
    pub seen_by: String,
    /// What they say.
    #[serde(flatten)]
    pub state: AttributesState,
}

/// `POST /v1/attributes`: one attribute says something else, or is none any more.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WriteAttribute {
    /// Which.
    pub key: String,
    /// What it is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// It is to be none any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
    /// An operator writes it, whoever is master.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Who forces it, said by the node that was asked to the one that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Of which group.
    #[serde(flatten)]
    pub scope: Scope,
}

/// What it is to say is left out: who writes chooses who reads it.
impl std::fmt::Debug for WriteAttribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let WriteAttribute { key, value: _, remove, force, by, scope } = self;
        let mut shown = f.debug_struct("WriteAttribute");
        shown.field("key", key).field("remove", remove).field("force", force).field("by", by);
        shown.field("scope", scope).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_not_in_the_json() {
        let value = Some("db2".to_owned());
        let write = WriteAttribute { key: "sync".into(), value, ..WriteAttribute::default() };
        assert_eq!(serde_json::to_string(&write).unwrap(), r#"{"key":"sync","value":"db2"}"#);
        assert!(!format!("{write:?}").contains("db2"));
        let json = r#"{"group":"web","seen_by":"a","version":"3.7","values":{"sync":"db2"}}"#;
        let read: GroupAttributes = serde_json::from_str(json).unwrap();
        assert_eq!(read.state.values["sync"], "db2");
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }
}
