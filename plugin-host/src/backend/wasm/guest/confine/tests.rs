//! What somebody who has left the sandbox can still do. Each attempt is made by a process of its own: this test program, started again.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, exit};
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, renameat};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Pid, Uid, getppid, setresuid};

use super::{close, confine};
use crate::backend::wasm::grants::Grants;
use crate::host::Host;
use crate::plugin::{Opening, Setup};

/// For a process that is to try something: the grants as TOML, the attempt, and its subject.
const GRANTS: &str = "KOI_TEST_CONFINED_GRANTS";
const ATTEMPT: &str = "KOI_TEST_CONFINED_ATTEMPT";

/// Some user that nobody is.
const USER: u32 = 1_900_000_000;

/// How an attempt ended: `done`, the error's name, or the signal's.
fn attempt(grants: &str, what: &str) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "backend::wasm::guest::confine::tests::somebody_tries"])
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
    };
    let (table, none) = (grants.parse().unwrap(), toml::Table::new());
    let (home, opening) = (Path::new("/nowhere"), Opening::First);
    let setup = Setup { service: "tries", home, config: &[], grants: &table, limits: &none, opening };
    let grants = Grants::read(&setup, &host).unwrap();
    let parent = getppid();
    confine(&grants, USER).unwrap();
    close(&grants).unwrap();
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
        "datagram" => socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None)
            .map(drop)
            .map_err(Into::into),
        "packet" => socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None)
            .map(drop)
            .map_err(Into::into),
        "signal" => kill(parent, Signal::SIGCONT).map_err(Into::into),
        "thread" => thread::Builder::new().spawn(|| {}).map(drop),
        "program" => Command::new("/bin/true").status().map(drop),
        "become-root" => setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).map_err(Into::into),
        "code" => {
            let length = std::num::NonZeroUsize::new(4096).unwrap();
            let executable = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
            mapped(length, executable)
        }
        "exec" => Err(becomes_a_program()),
        _ => panic!("{what}"),
    }
}

#[allow(unsafe_code, reason = "a test")]
fn mapped(length: std::num::NonZeroUsize, rights: ProtFlags) -> io::Result<()> {
    // SAFETY: what is mapped is used by nobody.
    let mapped = unsafe { mmap_anonymous(None, length, rights, MapFlags::MAP_PRIVATE) };
    mapped.map(drop).map_err(Into::into)
}

/// Becomes another program; returns why it does not.
fn becomes_a_program() -> io::Error {
    let [program] = [c"/bin/true"];
    match nix::unistd::execv(program, &[program]) {
        Err(errno) => errno.into(),
        Ok(never) => match never {},
    }
}

#[test]
fn whoever_left_the_sandbox_reaches_the_granted_folders_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (reads, writes, other) =
        (folder.path().join("reads"), folder.path().join("writes"), folder.path().join("other"));
    for folder in [&reads, &writes, &other] {
        fs::create_dir_all(folder.join("deeper")).unwrap();
        fs::write(folder.join("a"), "text").unwrap();
    }
    let grants = format!("read = [{reads:?}]\nwrite = [{writes:?}]");
    let of = |what: &str, path: &Path| attempt(&grants, &format!("{what} {}", path.display()));
    for (what, path, end) in [
        ("read", reads.join("a"), "done"),
        ("list", reads.join("deeper"), "done"),
        ("write", reads.join("a"), "EACCES"),
        ("rename", reads.clone(), "EACCES"),
        ("read", writes.join("a"), "done"),
        ("write", writes.join("b"), "done"),
        ("rename", writes.clone(), "done"),
        ("read", other.join("a"), "EACCES"),
        ("read", "/etc/passwd".into(), "EACCES"),
        ("list", folder.path().to_owned(), "EACCES"),
    ] {
        assert_eq!(of(what, &path), end, "{what} {}", path.display());
    }
    assert_eq!(attempt("", "read /etc/passwd"), "EPERM", "without a folder nothing is opened at all");
}

#[test]
fn whoever_left_the_sandbox_starts_nothing_and_makes_no_code() {
    for (what, end) in [
        ("exec", "SIGSYS"),
        ("program", "EPERM"),
        ("thread", "EPERM"),
        ("code", "EPERM"),
        ("signal", "EPERM"),
        ("unix", "EPERM"),
        ("become-root", "EPERM"),
    ] {
        assert_eq!(attempt("", what), end, "{what}");
    }
}

#[test]
fn whoever_left_the_sandbox_connects_to_granted_ports_and_nowhere_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let granted = listener.local_addr().unwrap();
    let grants = format!("tcp = [\"{granted}\"]");
    for (what, end) in [
        (format!("connect {granted}"), "done"),
        ("connect 127.0.0.1:7".to_owned(), "EACCES"),
        ("listen".to_owned(), "EACCES"),
        ("accept".to_owned(), "EPERM"),
        ("datagram".to_owned(), "EPERM"),
        ("packet".to_owned(), "EPERM"),
    ] {
        assert_eq!(attempt(&grants, &what), end, "{what}");
    }
    assert_eq!(attempt("udp = [\"127.0.0.1:7\"]", "datagram"), "done");
}
