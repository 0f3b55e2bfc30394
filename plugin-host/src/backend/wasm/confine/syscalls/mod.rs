//! seccomp: which system calls a process with foreign code may make.
//!
//! What is not listed fails with EPERM, so that a library that tries something goes on without. What no such process ever tries ends it.

mod lists;

use std::collections::BTreeMap;

use nix::libc::{self, c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

use crate::backend::wasm::grants::Grants;
use lists::{
    ALWAYS, COMPILING, DESCRIPTOR_COMMANDS, DEVICE_COMMANDS, FILES, FILES_OF_PROCESSOR, LOADING, NEVER,
    OF_PROCESSOR, SOCKETS,
};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("the filter cannot be built: {0}")]
    Build(#[from] BackendError),
    #[error("the kernel does not take the filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// What the process is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// To load the component: its code is made executable, and threads are started.
    Loading,
    /// To run guests.
    Serving,
    /// To compile a component.
    Compiling,
}

/// Lets all threads of this process make the calls of `stage`, and no other. False: this kernel has no such filters.
pub(super) fn restrict(grants: &Grants, stage: Stage) -> Result<bool, FilterError> {
    if matches!(stage, Stage::Loading | Stage::Compiling) {
        let never = NEVER.iter().map(|call| (*call, Vec::new())).collect();
        if !install(never, SeccompAction::Allow, SeccompAction::KillProcess)? {
            return Ok(false);
        }
        let not_there = [(libc::SYS_clone3, Vec::new())].into();
        install(not_there, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    }
    install(allowed(grants, stage)?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn install(rules: Rules, otherwise: SeccompAction, listed: SeccompAction) -> Result<bool, FilterError> {
    let target = TargetArch::try_from(std::env::consts::ARCH)?;
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, listed, target)?.try_into()?;
    match apply_filter_all_threads(&program) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error)) if is_missing(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL | libc::EPERM))
}

fn allowed(grants: &Grants, stage: Stage) -> Result<Rules, FilterError> {
    let mut rules = Rules::new();
    match stage {
        Stage::Compiling => allow(&mut rules, COMPILING),
        Stage::Loading | Stage::Serving => for_guests(&mut rules, grants)?,
    }
    of_this_process(&mut rules)?;
    if makes_threads(grants, stage) {
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread()?])?]);
        // Whether it makes a thread cannot be seen: the first stage has a filter that says that it is not there.
        rules.insert(libc::SYS_clone3, Vec::new());
    }
    match stage {
        Stage::Loading => allow(&mut rules, LOADING),
        Stage::Serving | Stage::Compiling => {
            let not_executable = || masked(2, libc::PROT_EXEC, 0);
            rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![not_executable()?])?]);
            let private = masked(3, libc::MAP_TYPE, libc::MAP_PRIVATE)?;
            rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![not_executable()?, private])?]);
        }
    }
    Ok(rules)
}

/// What guests and the process that runs them call.
fn for_guests(rules: &mut Rules, grants: &Grants) -> Result<(), FilterError> {
    allow(rules, ALWAYS);
    allow(rules, OF_PROCESSOR);
    with_conditions(rules)?;
    if reads_files(grants) {
        allow(rules, FILES);
        allow(rules, FILES_OF_PROCESSOR);
        // Of an open file, and of none that is named: Landlock does not look at that.
        rules.insert(libc::SYS_utimensat, vec![SeccompRule::new(vec![null(1)?])?]);
    }
    if grants.needs_network() {
        allow(rules, SOCKETS);
        rules.insert(libc::SYS_socket, socket_kinds(grants)?);
    }
    Ok(())
}

fn allow(rules: &mut Rules, calls: &[c_long]) {
    rules.extend(calls.iter().map(|call| (*call, Vec::new())));
}

/// Calls that are needed in some forms, and could do harm in others.
fn with_conditions(rules: &mut Rules) -> Result<(), BackendError> {
    let any_of = |commands: &[c_int]| {
        let rule = |command: &c_int| SeccompRule::new(vec![masked(1, -1, *command)?]);
        commands.iter().map(rule).collect::<Result<Vec<_>, _>>()
    };
    rules.insert(libc::SYS_fcntl, any_of(&DESCRIPTOR_COMMANDS)?);
    rules.insert(libc::SYS_ioctl, any_of(&DEVICE_COMMANDS)?);
    // A socket that sends where it is not connected to passes the rules for ports by.
    rules.insert(libc::SYS_sendto, vec![SeccompRule::new(vec![masked(3, libc::MSG_FASTOPEN, 0)?])?]);
    rules.insert(libc::SYS_sendmsg, vec![SeccompRule::new(vec![masked(2, libc::MSG_FASTOPEN, 0)?])?]);
    Ok(())
}

/// Limits and signals of this process alone: others may have the same user.
fn of_this_process(rules: &mut Rules) -> Result<(), BackendError> {
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![masked(0, -1, 0)?])?]);
    let own = c_int::try_from(std::process::id()).unwrap_or_default();
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![masked(0, -1, own)?])?]);
    Ok(())
}

/// Whether threads are started in this stage.
fn makes_threads(grants: &Grants, stage: Stage) -> bool {
    match stage {
        Stage::Loading | Stage::Compiling => true,
        Stage::Serving => reads_files(grants),
    }
}

/// Streams of files are read and written by threads of their own.
fn reads_files(grants: &Grants) -> bool {
    grants.directories().next().is_some()
}

/// A thread of this process, and no other process.
fn thread() -> Result<SeccompCondition, BackendError> {
    let flags = libc::CLONE_VM | libc::CLONE_THREAD;
    masked(0, flags, flags)
}

/// Sockets of the internet, of the granted kinds.
fn socket_kinds(grants: &Grants) -> Result<Vec<SeccompRule>, BackendError> {
    const KIND: c_int = 0xf;
    let stream = (grants.has("tcp") || grants.has("http")).then_some((libc::SOCK_STREAM, libc::IPPROTO_TCP));
    let datagram = grants.has("udp").then_some((libc::SOCK_DGRAM, libc::IPPROTO_UDP));
    let kinds = stream.into_iter().chain(datagram);
    // 0: the usual one. Others, multipath TCP among them, are not held by Landlock.
    let kinds = kinds.flat_map(|(kind, protocol)| [(kind, 0), (kind, protocol)]);
    let sockets = kinds.flat_map(|kind| [(libc::AF_INET, kind), (libc::AF_INET6, kind)]);
    sockets
        .map(|(family, (kind, protocol))| {
            SeccompRule::new(vec![masked(0, -1, family)?, masked(1, KIND, kind)?, masked(2, -1, protocol)?])
        })
        .collect()
}

/// This argument is no address.
fn null(argument: u8) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

/// The bits of `mask` of this argument have this value.
fn masked(argument: u8, mask: c_int, value: c_int) -> Result<SeccompCondition, BackendError> {
    let (mask, value) = (u64::from(mask as u32), u64::from(value as u32));
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}
