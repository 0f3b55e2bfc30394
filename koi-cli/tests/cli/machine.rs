//! Usage, and commands that work on files of this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::run::{Ran, command, koi, koi_in};

#[test]
fn wrong_usage_exits_with_2() {
    let wrong: [&[&str]; 12] = [
        &[],
        &["sing"],
        &["promote"],
        &["maintenance", "maybe"],
        &["wait"],
        &["wait", "--for", "godot"],
        &["-t", "soon", "status"],
        &["plugins"],
        &["plugins", "new", "My_DB", "--lang", "rust"],
        &["plugins", "new", "mydb", "--lang", "cobol"],
        &["plugins", "run", "h.wasm", "dance"],
        &["-H", "a:b:c", "--secret", "x", "status"],
    ];
    for args in wrong {
        let ran = koi(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn the_help_says_what_the_exit_codes_mean() {
    let ran = koi(&["--help"]);
    assert_eq!(ran.code, Some(0));
    for expected in ["Exit codes:", "koi promote db2 --dry-run", "3  (status, wait) degraded", "confirm-down"]
    {
        assert!(ran.stdout.contains(expected), "{expected:?} is missing:\n{}", ran.stdout);
    }
    assert!(koi(&["completions", "bash"]).stdout.contains("confirm-down"));
}

#[test]
fn a_key_is_written_for_its_owner_alone_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/cluster.key");
    let file = path.to_str().unwrap();
    let ran = koi(&["keygen", file]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let first = std::fs::read_to_string(&path).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(
        first.trim_end().len() == 64 && first.trim_end().bytes().all(|b| b.is_ascii_hexdigit()),
        "{first:?}"
    );
    assert!(!ran.stdout.contains(first.trim_end()), "the key itself is not shown");

    let ran = koi(&["keygen", file]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);

    assert_eq!(koi(&["keygen", file, "--force"]).code, Some(0));
    assert_ne!(std::fs::read_to_string(&path).unwrap(), first);

    let ran = koi(&["keygen", "-"]);
    assert_eq!((ran.code, ran.stdout.trim_end().len()), (Some(0), 64));
}

#[test]
fn a_first_configuration_is_one_and_can_be_shown_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let ran = koi_in(folder.path(), &["init", "--electors", "5", "--transport", "10.0.0.1,10.0.0.2"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("koi keygen"), "it says what comes next: {}", ran.stdout);
    assert_eq!(koi_in(folder.path(), &["init"]).code, Some(1), "what is there stays");

    let ran = koi_in(folder.path(), &["config", "show"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("electors = 5") && ran.stdout.contains("port = 42012"), "{}", ran.stdout);

    let ran = koi_in(folder.path(), &["config", "convert", "--out", "koi.conf"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let classic = std::fs::read_to_string(folder.path().join("koi.conf")).unwrap();
    assert!(classic.contains("cluster {"), "{classic}");
    let ran = koi_in(folder.path(), &["-o", "json", "config", "convert", "--to", "toml"]);
    assert_eq!(ran.json()["format"], "toml");
}

#[test]
fn an_address_that_is_none_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let ran = koi_in(folder.path(), &["init", "--transport", "not an address"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(!folder.path().join("koi.toml").exists());
}

#[test]
fn a_configuration_with_errors_says_which() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("koi.toml"), "[node]\nprot = 1\n").unwrap();
    for args in [["config", "show"].as_slice(), &["status"]] {
        let ran = koi_in(folder.path(), args);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("koi.toml:2"), "{}", ran.stderr);
    }
}

/// A copy of `koi` with a `koid` beside it that only does what this script says. Other processes write both: were a
/// file open for writing here while another test forks, it could not be run.
pub(crate) fn koi_beside_koid(folder: &Path, script: &str) -> Command {
    let koi = folder.join("koi");
    let written = Command::new("sh")
        .arg("-c")
        .arg(r#"cp "$1" "$2" && printf '#!/bin/sh\n%s\n' "$3" > "$4" && chmod 755 "$4""#)
        .args(["sh".as_ref(), command().get_program(), koi.as_os_str(), script.as_ref()])
        .arg(folder.join("koid"))
        .status();
    assert!(written.unwrap().success());
    Command::new(koi)
}

#[test]
fn check_is_what_koid_says() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"echo "asked: $*"; echo "koi.toml:3: wrong" >&2; exit 1"#;
    let check =
        |args: &[&str]| -> Ran { koi_beside_koid(folder.path(), script).args(args).output().unwrap().into() };
    let ran = check(&["-f", "x.toml", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "asked: --check -f x.toml\n"), "{ran:?}");
    assert_eq!(ran.stderr, "koi.toml:3: wrong\n");

    let ran = check(&["-o", "json", "check"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json()["ok"], false);
    assert_eq!(ran.json()["output"][1], "koi.toml:3: wrong");
}

#[test]
fn another_machine_is_asked_with_the_key_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    // A port on which nobody listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let key = folder.path().join("cluster.key");
    let args = ["init", "--transport", "127.0.0.1", "--key-file", key.to_str().unwrap()];
    assert_eq!(koi_in(folder.path(), &args).code, Some(0));

    let ask = ["-H", "127.0.0.1", "-p", &port, "status"];
    let ran = koi_in(folder.path(), &ask);
    assert_eq!(ran.code, Some(1), "there is no key yet: {ran:?}");
    assert!(ran.stderr.contains("koi keygen"), "{}", ran.stderr);

    assert_eq!(koi(&["keygen", key.to_str().unwrap()]).code, Some(0));
    let ran = koi_in(folder.path(), &ask);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains(&format!("127.0.0.1:{port}")), "{}", ran.stderr);
}

#[test]
fn a_secret_in_the_environment_needs_no_configuration_and_one_in_ps_is_warned_of() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut quiet = command();
    let quiet: Ran = quiet
        .current_dir(folder.path())
        .env("KOI_SECRET", "a long one")
        .args(["-p", &port, "status"])
        .output()
        .unwrap()
        .into();
    assert_eq!(quiet.code, Some(4), "{quiet:?}");
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);

    let ran = koi_in(folder.path(), &["-p", &port, "--secret", "a long one", "status"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("warning: everyone on this machine can read --secret"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("a long one"));
}

#[test]
fn root_does_not_read_the_configuration_of_whoever_owns_the_folder_it_is_in() {
    if !nix::unistd::geteuid().is_root() {
        koi_testkit::skip("only root can give a file away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("koi.toml");
    let text = "[node]\nname = \"a\"\nsocket = \"theirs.sock\"\n[cluster]\nelectors = 1\npassword = \"a long one\"\n";
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let asks = || koi_in(folder.path(), &["status"]);
    assert!(asks().stderr.contains("theirs.sock"), "its own file is read: {:?}", asks());

    let give = |path: &Path, owner| std::os::unix::fs::chown(path, Some(owner), None).unwrap();
    let open = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    let passed_over = |how: &str| {
        let ran = asks();
        assert!(
            !ran.stderr.contains("theirs.sock") && ran.stderr.contains("koi: warning: ./koi.toml"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains(how) && ran.stderr.contains("-f ./koi.toml"), "{ran:?}");
        // koid and what it checks keep to the same.
        let shown = koi_in(folder.path(), &["config", "show"]);
        assert!(!shown.stdout.contains("theirs.sock"), "{shown:?}");
    };
    give(&file, 12_345);
    passed_over("belongs to user 12345");
    give(&file, 0);
    open(0o777);
    passed_over("may be changed by others");
    open(0o700);
    give(folder.path(), 12_345);
    passed_over("belongs to user 12345");

    let named = koi_in(folder.path(), &["-f", "koi.toml", "status"]);
    assert!(named.stderr.contains("theirs.sock"), "whoever names it wants it: {named:?}");
}

#[test]
fn a_reader_that_has_gone_is_no_reason_to_panic() {
    let folder = tempfile::tempdir().unwrap();
    let all: [&[&str]; 7] = [
        &["--help"],
        &["init", "--electors", "3"],
        &["completions", "bash"],
        &["plugins", "wit"],
        &["config", "show"],
        &["status"],
        &["check"],
    ];
    for args in all {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let errors = writer.try_clone().unwrap();
        let mut child =
            command().current_dir(folder.path()).args(args).stdout(writer).stderr(errors).spawn().unwrap();
        let status = child.wait().unwrap();
        // A panic exits with 101, and a signal with none.
        assert!(status.code().is_some_and(|code| code != 101), "{args:?}: {status}");
    }
}
