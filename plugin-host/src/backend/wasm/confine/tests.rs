//! What somebody who has left the sandbox can still do.

mod attempts;

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use attempts::{Work, attempt, attempt_by};

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
        ("times", "/etc/passwd".into(), "EPERM"),
        ("mode", writes.join("a"), "EPERM"),
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
        ("limit", "EPERM"),
        ("own-signals", "EPERM"),
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
        ("multipath".to_owned(), "EPERM"),
        ("fast-open 127.0.0.1:7".to_owned(), "EPERM"),
        ("listen".to_owned(), "EACCES"),
        ("accept".to_owned(), "EPERM"),
        ("datagram".to_owned(), "EPERM"),
        ("packet".to_owned(), "EPERM"),
    ] {
        assert_eq!(attempt(&grants, &what), end, "{what}");
    }
    assert_eq!(attempt("udp = [\"127.0.0.1:7\"]", "datagram"), "done");
}

#[test]
fn what_a_component_makes_of_the_compiler_reaches_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = format!("connect {}", listener.local_addr().unwrap());
    for (what, end) in [
        ("thread", "done"),
        ("read /etc/passwd", "EPERM"),
        ("write /tmp/koi-compiler", "EPERM"),
        ("list /", "EPERM"),
        (&connect, "EPERM"),
        ("accept", "EPERM"),
        ("unix", "EPERM"),
        ("datagram", "EPERM"),
        ("packet", "EPERM"),
        ("ptrace", "SIGSYS"),
        ("exec", "SIGSYS"),
        ("program", "EPERM"),
        ("code", "EPERM"),
        // Not counted as the memory of a process.
        ("memory-file", "EPERM"),
        ("shared-memory", "EPERM"),
        ("signal", "EPERM"),
        ("limit", "EPERM"),
        ("own-signals", "EPERM"),
        ("become-root", "EPERM"),
    ] {
        assert_eq!(attempt_by(Work::Compiles, "", what), end, "{what}");
    }
}

#[test]
fn what_code_makes_of_the_process_that_loads_it_starts_and_opens_nothing() {
    for (what, end) in [
        ("thread", "done"),
        ("code", "done"),
        ("program", "EPERM"),
        ("exec", "SIGSYS"),
        ("ptrace", "SIGSYS"),
        ("read /etc/passwd", "EACCES"),
        ("datagram", "EPERM"),
        ("signal", "EPERM"),
        ("become-root", "EPERM"),
    ] {
        assert_eq!(attempt_by(Work::Loads, "", what), end, "{what}");
    }
}
