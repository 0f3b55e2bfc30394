//! Landlock: which folders and ports a helper reaches, whatever rights it has.
//!
//! A rule holds for a folder as it is when the helper starts. What is mounted on the folder later is another one: then the helper says that it is stale,
//! and koid starts the next.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use nix::libc::{O_DIRECTORY, O_PATH};
use nix::unistd::{AccessFlags, eaccess};

use crate::backend::wasm::grants::Grants;

/// The newest that this code knows. An older kernel leaves out what it does not have.
const KNOWN: ABI = ABI::V6;

/// Holds this thread, and those that it starts, to what is granted. The answer is the version of the kernel's Landlock; 0: it has none.
pub(super) fn restrict(grants: &Grants) -> Result<u8, RulesetError> {
    let ports = grants.connect_ports();
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(KNOWN))?;
    if ports.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut created = ruleset.create()?;
    for (directory, writable) in grants.directories() {
        // What is not there now is stale when it is.
        let Some(folder) = directory.real().ok().and_then(|real| beneath(real).ok()) else { continue };
        created = created.add_rule(PathBeneath::new(folder, rights(writable)))?;
    }
    if grants.needs_network() {
        // What connects binds as well; the kernel chooses the port.
        created = created.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
    }
    for port in ports.into_iter().flatten() {
        created = created.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(version(&created.restrict_self()?))
}

fn beneath(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(O_PATH | O_DIRECTORY).open(folder)
}

/// No guest runs what lies there, and none makes devices.
fn rights(writable: bool) -> BitFlags<AccessFs> {
    match writable {
        false => make_bitflags!(AccessFs::{ReadFile | ReadDir}),
        true => make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeSym | Refer
        }),
    }
}

fn version(status: &RestrictionStatus) -> u8 {
    match status {
        RestrictionStatus { ruleset: RulesetStatus::NotEnforced, .. } => 0,
        RestrictionStatus { landlock: LandlockStatus::Available { effective_abi, .. }, .. } => {
            *effective_abi as u8
        }
        RestrictionStatus { .. } => 0,
    }
}

/// Whether a granted folder is another one than when the rules were made: its owner would let this process in, and the rules do not. Blocks.
pub(crate) fn is_stale(grants: &Grants) -> bool {
    grants.directories().any(|(directory, _)| directory.real().is_ok_and(is_shut_out))
}

fn is_shut_out(folder: &Path) -> bool {
    let opened = OpenOptions::new().read(true).custom_flags(O_DIRECTORY).open(folder);
    let is_denied = matches!(opened, Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied);
    is_denied && eaccess(folder, AccessFlags::R_OK).is_ok()
}
