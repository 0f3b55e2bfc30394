//! Users that a helper and programs run as.

use std::collections::BTreeMap;
use std::ffi::CString;

use nix::unistd::{Gid, User, geteuid, getgrouplist};

use crate::backend::wasm::grants::error::UserError;
use crate::plugin::RunAs;

/// A user of this machine, by name and by numbers.
pub(super) type NamedUser = (String, RunAs);

/// As whom a program runs. Blocks: users may be kept by a server.
pub(super) fn of_program(name: &str) -> Result<NamedUser, UserError> {
    let ids = look_up(name)?;
    match geteuid().is_root() {
        true => Ok((name.to_owned(), ids)),
        false => Err(UserError::NotRoot(name.to_owned())),
    }
}

/// As whom a helper runs. Blocks as well.
pub(super) fn of_helper(name: &str) -> Result<NamedUser, UserError> {
    let (own, ids) = (geteuid(), look_up(name)?);
    if ids.user == 0 {
        return Err(UserError::Root);
    }
    match own.is_root() || own.as_raw() == ids.user {
        true => Ok((name.to_owned(), ids)),
        false => Err(UserError::NotRoot(name.to_owned())),
    }
}

/// Who it was when the service was loaded.
pub(super) fn again(name: &str, known: &BTreeMap<String, RunAs>) -> Result<NamedUser, UserError> {
    let ids = known.get(name).ok_or_else(|| UserError::Missing(name.to_owned()))?;
    Ok((name.to_owned(), ids.clone()))
}

fn look_up(name: &str) -> Result<RunAs, UserError> {
    let unknown = |source| UserError::Unreadable { name: name.to_owned(), source };
    let missing = || UserError::Missing(name.to_owned());
    let user = User::from_name(name).map_err(unknown)?.ok_or_else(missing)?;
    let c_name = CString::new(name).map_err(|_| missing())?;
    let groups = getgrouplist(&c_name, user.gid).map_err(unknown)?;
    let groups = groups.into_iter().map(Gid::as_raw).collect();
    Ok(RunAs { user: user.uid.as_raw(), group: user.gid.as_raw(), groups })
}
