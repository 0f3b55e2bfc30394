//! Who a helper is.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use crate::backend::wasm::confine::ConfineError;
use crate::backend::wasm::grants::Grants;
use crate::rlimit::lower;

/// `CAP_DAC_OVERRIDE`: files are read and changed whoever owns them.
const DAC_OVERRIDE: u64 = 1 << 1;
/// `CAP_DAC_READ_SEARCH`: files are read whoever owns them.
const DAC_READ_SEARCH: u64 = 1 << 2;

/// The first version of Landlock that holds those who cut files.
const TRUNCATION: u8 = 3;

/// Processes and threads of the user that a helper runs as.
const PROCESSES: u64 = 256;

/// Becomes the granted user, or `own`, which is made of the service's name: with it there is no file that is its own. `landlock` is the version that
/// holds it to the granted folders, whatever rights it has. False: it stays who koid is.
pub(crate) fn become_user(grants: &Grants, own: u32, landlock: u8) -> Result<bool, ConfineError> {
    let is_root = geteuid().is_root();
    let keep = match is_root && landlock > 0 && grants.user().is_none() {
        true => needed_right(grants, landlock),
        false => 0,
    };
    koi_child::bound_capabilities(keep);
    let changed = is_root && {
        prctl::set_keepcaps(true)?;
        let (uid, gid, groups) = match grants.user() {
            Some((_, ids)) => (ids.user, ids.group, ids.groups.clone()),
            None => (own, own, Vec::new()),
        };
        let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
        let changed = change(Uid::from_raw(uid), Gid::from_raw(gid), &groups)?;
        prctl::set_keepcaps(false)?;
        changed
    };
    let other = grants.user().filter(|(_, ids)| ids.user != geteuid().as_raw());
    if let Some((name, _)) = other {
        return Err(ConfineError::User(name.clone()));
    }
    koi_child::keep_capabilities(keep)?;
    if changed && grants.user().is_none() {
        lower(Resource::RLIMIT_NPROC, PROCESSES, PROCESSES)?;
    }
    Ok(changed)
}

/// With it what a folder of others is granted for goes on working.
fn needed_right(grants: &Grants, landlock: u8) -> u64 {
    let has = |wanted: bool| grants.directories().any(|(_, writable)| writable == wanted);
    match (has(true), has(false)) {
        // Without that rule a file that may only be read could be emptied.
        (true, true) if landlock < TRUNCATION => DAC_READ_SEARCH,
        (true, _) => DAC_OVERRIDE,
        (false, true) => DAC_READ_SEARCH,
        (false, false) => 0,
    }
}

/// False: there is no such user in this container.
fn change(uid: Uid, gid: Gid, groups: &[Gid]) -> Result<bool, Errno> {
    let change = || {
        setgroups(groups)?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)
    };
    match change() {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL | Errno::EPERM) => Ok(false),
        Err(error) => Err(error),
    }
}
