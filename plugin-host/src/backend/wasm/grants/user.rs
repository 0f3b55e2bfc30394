//! The user that a service's helper runs as: `user = "postgres"`.

use nix::unistd::{Uid, User, geteuid, getgrouplist};
use serde::{Deserialize, Serialize};

use crate::backend::wasm::grants::error::UserError;

/// A user of the node, as it was when the service was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GrantedUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups that it is in.
    pub(crate) groups: Vec<u32>,
}

impl GrantedUser {
    /// Looks `name` up. Blocks.
    pub(super) fn find(name: &str) -> Result<GrantedUser, UserError> {
        let user = User::from_name(name).map_err(UserError::Unreadable)?.ok_or(UserError::Missing)?;
        if user.uid.is_root() {
            return Err(UserError::Root);
        }
        if !geteuid().is_root() && user.uid != Uid::effective() {
            return Err(UserError::NotRoot);
        }
        let c_name = std::ffi::CString::new(name).map_err(|_| UserError::Missing)?;
        let groups = getgrouplist(&c_name, user.gid).map_err(UserError::Unreadable)?;
        Ok(GrantedUser {
            name: name.to_owned(),
            uid: user.uid.as_raw(),
            gid: user.gid.as_raw(),
            groups: groups.into_iter().map(|gid| gid.as_raw()).collect(),
        })
    }
}
