//! The attributes of a group in `plugin-run`, `plugin-check` and `plugin-test`, where there is no cluster.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs;
use std::process::{Command, Stdio};

use guests::Guest;
use serde_json::Value;
use tempfile::TempDir;

/// Writes `primary` when it is promoted, and fails with the reason of a refusal; removes it when it stops; names a process.
fn writer() -> Guest {
    let or_say = "(if (i32.load8_u (i32.const 2048)) (then
        (return (call $error (i32.const 0) (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))))";
    let promote = format!("(call $write %{{primary}} %{{a}} (i32.const 2048)) {or_say} (call $done)");
    let stop = "(call $remove %{primary} (i32.const 2048)) (call $done)";
    let start = format!(
        "(call $read (i32.const 0) (i32.const 2048)) {or_say}
        (call $log (i32.const 2) (i32.load (i32.const 2052)) (i32.load (i32.const 2056))) (call $done)"
    );
    Guest::new("writer")
        .with_attributes()
        .hook("start", &start)
        .hook("promote", &promote)
        .hook("demote", stop)
        .hook("stop", "(call $done)")
        .hook("status", "(call $pid (i32.const 0) (i32.const 4711)) (call $named (i32.const 1))")
}

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::write(place.0.path().join("handler.wasm"), writer().build()).unwrap();
        place
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koi-plugin-helper"));
        command.args(words).env("XDG_CACHE_HOME", self.0.path().join("cache"));
        command.env("TMPDIR", self.0.path()).current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let mut said = String::from_utf8(output.stdout).unwrap();
        if !words.contains(&"--json") {
            said += &String::from_utf8(output.stderr).unwrap();
        }
        (output.status.code(), said)
    }

    fn hook(&self, hook: &str, words: &[&str]) -> (Option<i32>, String) {
        self.run(&[&["plugin-run", "handler.wasm", hook][..], words].concat())
    }

    /// What a test file makes of it: `LINE: what; expected …; seen …` of each finding.
    fn test(&self, file: &str) -> Vec<String> {
        fs::write(self.0.path().join("handler.test.toml"), file).unwrap();
        let (_, said) = self.run(&["plugin-test", "--json"]);
        let json: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}"));
        let tests = json["tests"].as_array().unwrap_or_else(|| panic!("{said}")).iter();
        let findings = tests.flat_map(|test| test["findings"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        findings
            .map(|f| {
                let (what, expected, seen) = (text(&f["message"]), text(&f["expected"]), text(&f["seen"]));
                format!("{}: {what}; expected {expected}; seen {seen}", f["line"])
            })
            .collect()
    }
}

#[test]
fn a_hook_by_hand_finds_attributes_and_what_it_writes_is_shown() {
    let place = Place::new();
    let (code, said) = place.hook("promote", &["--attribute", "primary=b", "--attribute", "other=x"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("  attribute primary  a\n") && !said.contains("other"), "{said}");
    let (code, said) = place.hook("demote", &["--attribute", "primary=b"]);
    assert!(code == Some(0) && said.contains("  attribute primary is removed\n"), "{said}");
    let (code, said) = place.hook("promote", &["--role", "standby", "--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &json["attributes"]["primary"]),
        (Some(0), &"a".into()),
        "promote is the master's: {said}"
    );
    let (code, said) = place.hook("status", &["--attribute", "k="]);
    assert!(code == Some(0) && said.contains("  pid=4711\n"), "{said}");
}

#[test]
fn what_is_no_attribute_is_a_slip_of_the_command_line() {
    let place = Place::new();
    let long = format!("k={}", "v".repeat(257));
    for (attribute, words) in
        [(long.as_str(), "257 bytes: 256 are allowed"), ("a b=c", "1 to 64 letters"), ("k", "KEY=VALUE")]
    {
        let (code, said) = place.hook("promote", &["--attribute", attribute]);
        assert!(code == Some(2) && said.contains(words), "{attribute}: {said}");
    }
    let many: Vec<String> = (0..9).map(|n| format!("k{n}=v")).collect();
    let many: Vec<&str> = many.iter().flat_map(|attribute| ["--attribute", attribute]).collect();
    let (code, said) = place.hook("promote", &many);
    assert!(code == Some(2) && said.contains("8 attributes at most"), "{said}");
}

#[test]
fn a_handler_that_writes_attributes_and_names_processes_keeps_to_the_contract() {
    let place = Place::new();
    let (code, said) = place.run(&["plugin-check", "handler.wasm"]);
    assert_eq!(code, Some(0), "{said}");
}

const LIFE: &str = r#"
[[test]]
name = "a life"
given.attributes = { primary = "b", other = "x" }
given.group = "db"
[[test.call]]
hook = "start"
log = ["info: 1.1"]
[[test.call]]
hook = "promote"
attributes = { primary = "a", other = "x", nothing = false }
[[test.call]]
hook = "status"
processes = ["pid=4711"]
[[test.call]]
hook = "demote"
attributes = { primary = false }
"#;

#[test]
fn a_test_gives_attributes_and_says_what_becomes_of_them() {
    let place = Place::new();
    assert_eq!(place.test(LIFE), Vec::<String>::new());
    let other = LIFE.replace("primary = \"a\"", "primary = \"c\"").replace("pid=4711", "pid=4712");
    assert_eq!(place.test(&other), ["11: promote: the attribute primary; expected \"c\"; seen \"a\""]);
    let other = LIFE.replace("pid=4711", "pid=4712");
    assert_eq!(place.test(&other), ["14: status: processes; expected pid=4712; seen pid=4711"]);
}

#[test]
fn a_write_fails_as_the_test_says() {
    let place = Place::new();
    for (word, said) in [
        ("refused", "the test has another node be master"),
        ("unavailable", "the test has no node lead"),
        ("unknown", "nobody knows whether it is written"),
    ] {
        let file = format!(
            "[[test]]\nname = \"one\"\ngiven.attribute_writes = \"{word}\"\n[[test.call]]\nhook = \"promote\"\n\
             outcome = \"failed\"\nmessage = {{ contains = \"{said}\" }}\nattributes = {{ primary = false }}\n"
        );
        assert_eq!(place.test(&file), Vec::<String>::new(), "{word}");
    }
    let late = "[[test]]\nname = \"one\"\ngiven.epoch = 7\n[[test.call]]\nhook = \"promote\"\nnewest_epoch = 8\n\
        outcome = \"failed\"\nmessage = { contains = \"not master under the epoch\" }\n";
    assert_eq!(place.test(late), Vec::<String>::new());
}
