//! `koi attr`, with a daemon that says what it is told to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use koi_proto::api::{ApiError, Done, ErrorBody, ErrorCode};
use serde_json::json;

use crate::fake::{Answer, Fake};
use crate::run::{Ran, command};

const SAID: &str = r#"{"group":"main","seen_by":"a","version":"3.7","values":{"alone":"no","sync":"db2"}}"#;

fn reading() -> Fake {
    Fake::new(|_| Answer::Whole(200, SAID.to_owned()))
}

/// Runs `koi` as a hook's script does.
fn in_hook(fake: &Fake, args: &[&str]) -> Ran {
    let mut koi = command();
    koi.env("KOI_SOCKET", fake.socket()).env("KOI_TOKEN", "5ecret").args(args);
    koi.output().unwrap().into()
}

#[test]
fn what_is_read_is_printed_as_it_is_and_what_is_not_there_exits_with_1() {
    let fake = reading();
    let ran = fake.koi(&["attr", "get", "sync"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "db2\n"), "{ran:?}");
    assert_eq!(fake.asked().pop().unwrap().0, "GET /v1/attributes?sole=true");
    let ran = fake.koi(&["-o", "json", "attr", "get", "sync", "--fresh", "--group", "web"]);
    assert_eq!((&ran.json()["value"], &ran.json()["version"]), (&json!("db2"), &json!("3.7")));
    assert_eq!(fake.asked().pop().unwrap().0, "GET /v1/attributes?group=web&fresh=true");
    let ran = fake.koi(&["attr", "get", "other"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("there is no attribute other of group main, as a knows"), "{ran:?}");
    let ran = fake.koi(&["attr", "list"]);
    assert_eq!(ran.stdout, "alone  no\nsync   db2\n");
}

#[test]
fn a_wait_ends_with_what_it_waits_for_or_with_3() {
    let fake = reading();
    for args in [&["sync"][..], &["sync", "--value", "db2"], &["gone", "--gone"]] {
        let ran = fake.koi(&[&["attr", "wait"], args].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let before = fake.asked().len();
    let ran = fake.koi(&["attr", "wait", "sync", "--value", "db3", "--timeout", "50ms"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("does not say what is waited for after 50ms"), "{ran:?}");
    let asked = fake.asked();
    assert_eq!(asked[before].0, "GET /v1/attributes?sole=true", "it looks at once");
    assert!(asked[before + 1].0.contains("&after=3.7&wait_ms="), "and then waits for a change: {asked:?}");
    let ran = fake.koi(&["attr", "wait", "sync", "--value", "x", "--gone"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn a_hook_sends_its_token_and_nobody_else_does() {
    let fake = Fake::saying(&Done { message: "it is done".into(), ..Done::default() });
    let ran = in_hook(&fake, &["attr", "set", "sync", "db2"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "it is done\n"), "{ran:?}");
    let (asked, body) = fake.asked().pop().unwrap();
    assert_eq!((asked.as_str(), body.as_str()), ("POST /v1/attributes", r#"{"key":"sync","value":"db2"}"#));
    assert_eq!(fake.heads().pop().unwrap().matches("x-koi-token: 5ecret").count(), 1);
    // A negative value is a value, and so is an empty one.
    for value in ["-1", ""] {
        assert_eq!(in_hook(&fake, &["attr", "set", "k", value]).code, Some(0));
    }
    let ran = in_hook(&fake, &["-d", "attr", "unset", "sync", "--group", "web", "--force", "--yes"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("5ecret"), "{ran:?}");
    let (asked, body) = fake.asked().pop().unwrap();
    assert_eq!(asked, "POST /v1/groups/web/attributes");
    assert_eq!(body, r#"{"key":"sync","remove":true,"force":true,"group":"web"}"#);
    assert!(!fake.heads().pop().unwrap().contains("x-koi-token"), "who forces is no hook");
    // Other commands ask the daemon whose hook it is, and say no token.
    in_hook(&fake, &["elect"]);
    assert!(!fake.heads().pop().unwrap().contains("x-koi-token"));
}

#[test]
fn nobody_forces_unasked_and_no_other_bytes_are_written() {
    let fake = reading();
    let ran = fake.koi(&["attr", "set", "sync", "db2", "--force"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("this writes attribute sync, whoever is master"), "{ran:?}");
    assert_eq!(fake.koi(&["attr", "set", "sync", "db2", "--yes"]).code, Some(2), "--yes is for --force");
    let mut koi = command();
    koi.arg("--socket").arg(fake.socket()).args(["attr", "set", "sync"]).arg(OsStr::from_bytes(b"\xff\xfe"));
    let ran: Ran = koi.output().unwrap().into();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("the value for sync is not UTF-8") && ran.stderr.contains("base64"),
        "{ran:?}"
    );
    assert!(fake.asked().is_empty(), "nothing was asked for");
}

#[test]
fn an_older_koid_is_named_as_the_reason() {
    let fake = Fake::new(|asked| {
        let (message, code) = (format!("there is no {asked}"), ErrorCode::NotFound);
        let error = ApiError { code, message, hint: String::new() };
        Answer::Whole(404, serde_json::to_string(&ErrorBody { error }).unwrap())
    });
    for args in [&["get", "k"][..], &["list"], &["wait", "k"], &["set", "k", "v"]] {
        let ran = fake.koi(&[&["attr"], args].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("is older than this koi, and knows no attributes"), "{ran:?}");
    }
}
