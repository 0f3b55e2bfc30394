//! Attempts by somebody who has left the sandbox. Each is made by a process of its own: this test program, started again.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, exit};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, Uid, getppid, setresuid};

use crate::backend::wasm::confine::{Stage, give_up_rights, limit_calls};
use crate::backend::wasm::grants::Grants;
use crate::host::Host;
use crate::plugin::{Opening, Setup};

/// For a process that is to try something: what it does otherwise, the grants as TOML, the attempt, and its subject.
const WORK: &str = "KOI_TEST_CONFINED_WORK";
const GRANTS: &str = "KOI_TEST_CONFINED_GRANTS";
const ATTEMPT: &str = "KOI_TEST_CONFINED_ATTEMPT";

/// Some user that nobody is.
const USER: u32 = 1_900_000_000;

/// What the process that tries is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    RunsGuests,
    Loads,
    Compiles,
}

/// How an attempt by somebody who has left the sandbox ended.
pub(super) fn attempt(grants: &str, what: &str) -> String {
    attempt_by(Work::RunsGuests, grants, what)
}

/// How an attempt ended: `done`, the error's name, or the signal's.
pub(super) fn attempt_by(work: Work, grants: &str, what: &str) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "backend::wasm::confine::tests::attempts::somebody_tries"])
        .env(WORK, format!("{work:?}"))
        .env(GRANTS, grants)
        .env(ATTEMPT, what)
        .output()
        .unwrap();
    if let Some(signal) = child.status.signal() {
        return Signal::try_from(signal).unwrap().to_string();
    }
    let said = String::from_utf8(child.stdout).unwrap();
    let end = said.lines().find_map(|line| line.strip_prefix("attempt: "));
    end.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&child.stderr))).to_owned()
}

/// The process that tries. Among the tests it does nothing.
#[test]
fn somebody_tries() {
    let (Ok(grants), Ok(what)) = (std::env::var(GRANTS), std::env::var(ATTEMPT)) else { return };
    let (what, subject) = what.split_once(' ').unwrap_or((&what, ""));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = Host {
        program: "/nowhere".into(),
        dir: "/nowhere/plugins".into(),
        protected: Vec::new(),
        resolver: Default::default(),
        stand_in: None,
    };
    let (table, none) = (grants.parse().unwrap(), toml::Table::new());
    let (home, opening) = (Path::new("/nowhere"), Opening::First);
    let setup =
        Setup { service: "tries", home, config: &[], secrets: &[], grants: &table, limits: &none, opening };
    let grants = Grants::read(&setup, &host).unwrap();
    let parent = getppid();
    let rights = give_up_rights(&grants, USER).unwrap();
    let stages: &[Stage] = match std::env::var(WORK).unwrap().as_str() {
        "RunsGuests" => &[Stage::Loading, Stage::Serving],
        "Loads" => &[Stage::Loading],
        "Compiles" => &[Stage::Compiling],
        work => panic!("{work}"),
    };
    stages.iter().fold(rights, |layers, stage| limit_calls(&grants, *stage, layers).unwrap());
    let ended = tries(what, subject, &listener, parent);
    let ended = match ended.map_err(|error| error.raw_os_error().map(Errno::from_raw)) {
        Ok(()) => "done".to_owned(),
        Err(Some(errno)) => format!("{errno:?}"),
        Err(None) => "another error".to_owned(),
    };
    // Not through the harness, which holds what tests say.
    let _ = writeln!(io::stdout(), "\nattempt: {ended}");
    exit(0);
}

fn tries(what: &str, subject: &str, listener: &TcpListener, parent: Pid) -> io::Result<()> {
    match what {
        "read" => fs::read(subject).map(drop),
        "write" => fs::write(subject, "x"),
        "list" => fs::read_dir(subject).map(drop),
        "rename" => {
            let (from, to) = (Path::new(subject).join("a"), Path::new(subject).join("deeper/a"));
            renameat(AT_FDCWD, &from, AT_FDCWD, &to).map_err(Into::into)
        }
        "connect" => TcpStream::connect(subject).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:7").map(drop),
        "accept" => listener.set_nonblocking(true).and_then(|()| listener.accept().map(drop)),
        "unix" => UnixStream::connect("/run/koi/koid.sock").map(drop),
        // Ways around the rules for ports.
        "multipath" => plain_socket(libc::SOCK_STREAM, libc::IPPROTO_MPTCP).map(drop),
        "fast-open" => fast_open(subject),
        // Ways to harm others of the same user.
        "limit" => limit(parent),
        "own-signals" => owned_by(listener, parent),
        "times" => utimensat(
            AT_FDCWD,
            subject,
            &TimeSpec::UTIME_NOW,
            &TimeSpec::UTIME_NOW,
            UtimensatFlags::FollowSymlink,
        )
        .map_err(Into::into),
        "mode" => fs::set_permissions(subject, fs::Permissions::from_mode(0o777)),
        "datagram" => socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None)
            .map(drop)
            .map_err(Into::into),
        "packet" => socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None)
            .map(drop)
            .map_err(Into::into),
        "memory-file" => memfd_create(c"file", MFdFlags::empty()).map(drop).map_err(Into::into),
        "ptrace" => trace(parent),
        "signal" => kill(parent, Signal::SIGCONT).map_err(Into::into),
        "thread" => thread::Builder::new().spawn(|| {}).map(drop),
        "program" => Command::new("/bin/true").status().map(drop),
        "become-root" => setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).map_err(Into::into),
        "code" => {
            let length = std::num::NonZeroUsize::new(4096).unwrap();
            let executable = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
            mapped(length, executable, MapFlags::MAP_PRIVATE)
        }
        "shared-memory" => {
            let length = std::num::NonZeroUsize::new(1 << 30).unwrap();
            mapped(length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)
        }
        "exec" => Err(becomes_a_program()),
        _ => panic!("{what}"),
    }
}

#[allow(unsafe_code, reason = "a test")]
fn plain_socket(kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: it takes numbers; the descriptor is new and nobody else's.
    unsafe { Errno::result(libc::socket(libc::AF_INET, kind, protocol)).map(|fd| OwnedFd::from_raw_fd(fd)) }
        .map_err(Into::into)
}

/// Connects by sending.
#[allow(unsafe_code, reason = "a test")]
fn fast_open(to: &str) -> io::Result<()> {
    let socket = plain_socket(libc::SOCK_STREAM, 0)?;
    let to: std::net::SocketAddrV4 = to.parse().unwrap();
    // SAFETY: all zeros are an address of no family.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as libc::sa_family_t;
    address.sin_port = to.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
    let (byte, length) = ([0_u8], size_of::<libc::sockaddr_in>() as libc::socklen_t);
    // SAFETY: the pointers are to whole values of these lengths.
    let sent = unsafe {
        let (from, address) = (byte.as_ptr().cast(), (&raw const address).cast());
        libc::sendto(socket.as_raw_fd(), from, byte.len(), libc::MSG_FASTOPEN, address, length)
    };
    Errno::result(sent).map(drop).map_err(Into::into)
}

#[allow(unsafe_code, reason = "a test")]
fn limit(other: Pid) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: 1_000_000, rlim_max: 1_000_000 };
    // SAFETY: the pointer is to a whole value; the limit is more than anybody has.
    let done = unsafe { libc::prlimit(other.as_raw(), libc::RLIMIT_CPU, &limit, std::ptr::null_mut()) };
    Errno::result(done).map(drop).map_err(Into::into)
}

#[allow(unsafe_code, reason = "a test")]
fn owned_by(socket: &TcpListener, other: Pid) -> io::Result<()> {
    // SAFETY: it takes numbers.
    let done = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_SETOWN, other.as_raw()) };
    Errno::result(done).map(drop).map_err(Into::into)
}

#[allow(unsafe_code, reason = "a test")]
fn mapped(length: std::num::NonZeroUsize, rights: ProtFlags, how: MapFlags) -> io::Result<()> {
    // SAFETY: what is mapped is used by nobody.
    let mapped = unsafe { mmap_anonymous(None, length, rights, how) };
    mapped.map(drop).map_err(Into::into)
}

#[allow(unsafe_code, reason = "a test")]
fn trace(other: Pid) -> io::Result<()> {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: it takes numbers and no address.
    let done = unsafe { libc::ptrace(libc::PTRACE_ATTACH, other.as_raw(), nothing, nothing) };
    Errno::result(done).map(drop).map_err(Into::into)
}

/// Becomes another program; returns why it does not.
fn becomes_a_program() -> io::Error {
    let [program] = [c"/bin/true"];
    match nix::unistd::execv(program, &[program]) {
        Err(errno) => errno.into(),
        Ok(never) => match never {},
    }
}
