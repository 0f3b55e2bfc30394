//! seccomp: which system calls a helper may make.
//!
//! What is not listed fails with EPERM, so that a library that tries something goes on without. What no part of a helper ever tries ends the process.

use std::collections::BTreeMap;

use nix::libc::{self, c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads,
};

use crate::backend::wasm::grants::Grants;

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
}

/// Memory, time, and what waits.
const ALWAYS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrlimit,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_shutdown,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_timerfd_settime,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The same, by the names that only this processor has.
#[cfg(target_arch = "x86_64")]
const OF_PROCESSOR: &[c_long] =
    &[libc::SYS_arch_prctl, libc::SYS_dup2, libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OF_PROCESSOR: &[c_long] = &[];

/// Threads, and what the standard library does with them.
const LOADING: &[c_long] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_openat,
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_setrlimit,
    libc::SYS_timerfd_create,
];

/// The same number on every processor. The crate `libc` does not know it for all of them.
const SYS_FACCESSAT2: c_long = 439;

/// Files in granted folders.
const FILES: &[c_long] = &[
    libc::SYS_faccessat,
    SYS_FACCESSAT2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_unlinkat,
];

/// The same, by the names that only this processor has.
#[cfg(target_arch = "x86_64")]
const FILES_OF_PROCESSOR: &[c_long] =
    &[libc::SYS_access, libc::SYS_lstat, libc::SYS_open, libc::SYS_readlink, libc::SYS_stat];
#[cfg(not(target_arch = "x86_64"))]
const FILES_OF_PROCESSOR: &[c_long] = &[];

/// Sockets that connect. Which ones may be made is said with their kind.
const SOCKETS: &[c_long] = &[
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// What descriptors are asked and told: nothing that has signals sent to other processes.
const DESCRIPTOR_COMMANDS: [c_int; 6] =
    [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL];
const DEVICE_COMMANDS: [c_int; 4] =
    [libc::FIONBIO as c_int, libc::FIONREAD as c_int, libc::FIOCLEX as c_int, libc::TCGETS as c_int];

/// Whoever tries one of these has left the sandbox.
const NEVER: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_delete_module,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// Lets all threads of this process make the calls of `stage`, and no other. False: this kernel has no such filters.
pub(super) fn restrict(grants: &Grants, stage: Stage) -> Result<bool, FilterError> {
    if stage == Stage::Loading {
        let never = NEVER.iter().map(|call| (*call, Vec::new())).collect();
        if !install(never, SeccompAction::Allow, SeccompAction::KillProcess)? {
            return Ok(false);
        }
    }
    if stage == Stage::Serving && reads_files(grants) {
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
    allow(&mut rules, ALWAYS);
    allow(&mut rules, OF_PROCESSOR);
    with_conditions(&mut rules)?;
    if reads_files(grants) {
        allow(&mut rules, FILES);
        allow(&mut rules, FILES_OF_PROCESSOR);
        // Of an open file, and of none that is named: Landlock does not look at that.
        rules.insert(libc::SYS_utimensat, vec![SeccompRule::new(vec![null(1)?])?]);
    }
    if grants.needs_network() {
        allow(&mut rules, SOCKETS);
        rules.insert(libc::SYS_socket, socket_kinds(grants)?);
    }
    match stage {
        Stage::Loading => allow(&mut rules, LOADING),
        Stage::Serving => {
            if reads_files(grants) {
                rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![thread()?])?]);
                // Whether it makes a thread cannot be seen; that it is not there is said by a filter of its own.
                rules.insert(libc::SYS_clone3, Vec::new());
            }
            let not_executable = || masked(2, libc::PROT_EXEC, 0);
            rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![not_executable()?])?]);
            let private = masked(3, libc::MAP_TYPE, libc::MAP_PRIVATE)?;
            rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![not_executable()?, private])?]);
        }
    }
    Ok(rules)
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
    // Limits and signals of this process alone: others may have the same user.
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![masked(0, -1, 0)?])?]);
    let own = c_int::try_from(std::process::id()).unwrap_or_default();
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![masked(0, -1, own)?])?]);
    Ok(())
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
