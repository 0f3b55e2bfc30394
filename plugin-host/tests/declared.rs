//! What a handler of `koi:service@0.2` declares, held against what its service configures and grants: all that is wrong is found when
//! the service is loaded, and not at the promote.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{Capability, ConfigKey, ConfigKind, Hook, HookError, Outcome, Program};
use koi_plugin_host::HandlerSnapshot;

/// In a hook: address and length of the value of the first key of `[config]`.
const FIRST_VALUE: &str = "(i32.load offset=8 (i32.load offset=84 (local.get $ctx))) \
                           (i32.load offset=12 (i32.load offset=84 (local.get $ctx)))";

/// A status whose score is how long the first value is, and how many there are times a hundred.
const TELLS: &str = "(call $status (i32.const 2) %{well} (i32.const 1) (i32.add \
                     (i32.load offset=12 (i32.load offset=84 (local.get $ctx))) \
                     (i32.mul (i32.const 100) (i32.load offset=88 (local.get $ctx)))))";

fn key(name: &str, kind: ConfigKind) -> ConfigKey {
    ConfigKey { name: name.into(), kind, ..ConfigKey::default() }
}

fn score(said: Result<Outcome, HookError>) -> Option<i64> {
    match said {
        Ok(Outcome::Status(report)) => report.score,
        other => panic!("no status: {other:?}"),
    }
}

/// A file for its owner alone, whose whole way belongs to root.
struct SecretFile(tempfile::TempDir);

impl SecretFile {
    fn new(text: &str) -> SecretFile {
        let file = SecretFile(tempfile::tempdir().unwrap());
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
        self.set_mode(0o600);
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("password")
    }

    fn toml(&self) -> String {
        format!("[config]\npassword = {{ file = \"{}\" }}\n", self.path().display())
    }
}

fn takes_a_password(hooks: &[(&'static str, &str)]) -> Vec<u8> {
    let guest = hooks.iter().fold(Guest::new("db"), |guest, (hook, body)| guest.hook(hook, body));
    guest.typed_key(ConfigKey { required: true, ..key("password", ConfigKind::Secret) }).build()
}

#[test]
fn a_value_of_another_type_is_found_with_its_line() {
    let node = Node::new();
    let guest = Guest::new("db")
        .hook("status", TELLS)
        .typed_key(key("port", ConfigKind::Integer { least: 1, most: 65535 }))
        .typed_key(key("mode", ConfigKind::OneOf(vec!["fast".into(), "safe".into()])))
        .build();
    let refused = node.refusal("db", &guest, "[config]\nport = 70000\nmode = \"sage\"\n");
    assert!(
        refused.contains("`port` under [config] (line 2): 70000 is not what is wanted there"),
        "{refused}"
    );
    assert!(
        refused.contains("`mode` under [config] (line 3): \"sage\" is not one of fast, safe"),
        "{refused}"
    );
    let list = node.refusal("db", &guest, "[config]\nport = [1, 2]\n");
    assert!(list.contains("`port` under [config] (line 2) is a list"), "{list}");
}

#[tokio::test]
async fn a_list_comes_as_one_entry_for_each_value() {
    let node = Node::new();
    let peers = ConfigKey { many: true, ..key("peers", ConfigKind::Address) };
    let guest = Guest::new("db").hook("status", TELLS).typed_key(peers).build();
    let toml = "[config]\npeers = [\"a:1\", \"bb:22\", \"c:3\"]\n";
    let handler = node.handler("db", &guest, toml);
    assert_eq!(
        score(Ask::new(&handler).hook(Hook::Status).await),
        Some(303),
        "three of them, the first has 3 bytes"
    );
}

#[tokio::test]
async fn a_secret_reaches_the_handler_and_nobody_else() {
    let (node, file) = (Node::new(), SecretFile::new("hunter2!\n"));
    let complains =
        format!("(call $log (i32.const 2) {FIRST_VALUE}) (call $error (i32.const 0) {FIRST_VALUE})");
    let guest = takes_a_password(&[("status", TELLS), ("start", &complains), ("demote", TELLS)]);
    let handler = node.handler("db", &guest, &file.toml());
    let ask = Ask::new(&handler);
    assert_eq!(score(ask.hook(Hook::Status).await), Some(108), "one key, with 8 bytes");
    let failed = ask.hook(Hook::Start).await;
    assert_eq!(failed, Err(HookError::Failed("(secret `password`)".into())));
    let log = ask.log.lines().join("\n");
    assert!(log.contains("(secret `password`)") && !log.contains("hunter2"), "{log}");

    // What people read has one blank for two.
    file.write("two  blanks");
    assert_eq!(ask.hook(Hook::Start).await, Err(HookError::Failed("(secret `password`)".into())));
    file.write("changed, longer");
    assert_eq!(score(ask.hook(Hook::Status).await), Some(115), "the next call has the new one");
    fs::remove_file(file.path()).unwrap();
    let Err(HookError::Failed(why)) = ask.hook(Hook::Status).await else { panic!("its file is gone") };
    assert!(why.contains("the secret `password`") && why.contains("cannot be read"), "{why}");
}

#[tokio::test]
async fn a_secret_among_the_arguments_of_a_program_that_is_not_granted_is_shown_to_nobody() {
    // Written out or cut it would not be found any more.
    let secret = format!("hunter\"2\\{}", "x".repeat(150));
    let (node, file) = (Node::new(), SecretFile::new(&secret));
    let runs = format!(
        "(call $first (i32.const 512) {FIRST_VALUE})
        (call $run %{{/bin/echo}} (i32.const 512) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i64.const 0) (i32.const 1536))
        (call $error (i32.const 0) %{{denied}})"
    );
    let first = "(func $first (param $at i32) (param $text i32) (param $length i32)
        (i32.store (local.get $at) (local.get $text)) (i32.store offset=4 (local.get $at) (local.get $length)))";
    let guest =
        Guest::new("db").typed_key(key("password", ConfigKind::Secret)).hook("start", &runs).item(first);
    let toml = format!("{}[grants]\nexec = [\"/bin/echo\"]\n", file.toml());
    let ask = Ask::new(&node.handler("db", &guest.with_exec().build(), &toml));
    assert_eq!(ask.hook(Hook::Start).await, Err(HookError::Failed("denied".into())));
    assert_eq!(
        ask.log.lines(),
        [
            "Warn denied: run \"/bin/echo\" \"(secret `password`)\"; exec has \"/bin/echo\" for this program; a secret \
             belongs into its standard input, for everybody on the node sees arguments"
        ]
    );
}

#[tokio::test]
async fn a_service_comes_down_without_the_file_of_its_secret() {
    let (node, file) = (Node::new(), SecretFile::new("hunter2!"));
    let as_it_was = format!("(call $log (i32.const 2) {FIRST_VALUE}) (call $done)");
    let guest = takes_a_password(&[("demote", &as_it_was), ("start", "(call $done)")]);
    let handler = node.handler("db", &guest, &file.toml());
    fs::remove_file(file.path()).unwrap();
    let ask = Ask::new(&handler);
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
    let log = ask.log.lines().join("\n");
    assert!(log.contains("demote goes on with what was read before"), "{log}");
    assert!(log.contains("Info (secret `password`)"), "the handler had it: {log}");
}

#[test]
fn a_secret_that_others_may_read_or_the_service_may_change_is_refused() {
    let (node, file) = (Node::new(), SecretFile::new("hunter2!"));
    let guest = takes_a_password(&[("start", "(call $done)")]);
    file.set_mode(0o644);
    let refused = node.refusal("db", &guest, &file.toml());
    assert!(refused.contains("everybody may read or change") && refused.contains("chmod o="), "{refused}");
    file.set_mode(0o600);
    let grants = format!("{}[grants]\nwrite = [\"{}\"]\n", file.toml(), file.0.path().display());
    let refused = node.refusal("db", &guest, &grants);
    assert!(refused.contains("the file of the secret `password`"), "{refused}");
    let inline = node.refusal("db", &guest, "[config]\npassword = \"hunter2!\"\n");
    assert!(inline.contains("is a secret: put it into a file") && !inline.contains("hunter2"), "{inline}");
}

#[tokio::test]
async fn a_guardian_has_the_secret_and_what_koid_leaves_for_it_has_not() {
    let (node, file) = (Node::new(), SecretFile::new("hunter2!"));
    let guest = takes_a_password(&[("status", TELLS)]);
    let snapshot = node.snapshot("db", &guest, &file.toml());
    let kept = serde_json::to_string(&snapshot).unwrap();
    assert!(kept.contains("password") && !kept.contains("hunter2"), "{kept}");
    let read: HandlerSnapshot = serde_json::from_str(&kept).unwrap();
    let handler = read.handler(&node.host());
    assert_eq!(score(Ask::new(&handler).hook(Hook::Status).await), Some(108));
}

fn runs_ip(words: &[&str]) -> Capability {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Capability::Exec(Program { words, ..Program::default() })
}

#[test]
fn a_pattern_that_is_missing_is_found_before_the_service_is_promoted() {
    let node = Node::new();
    let program = Path::new("/bin/ls");
    assert!(program.exists());
    let guest = |wanted: &[&[&str]]| {
        let guest =
            Guest::new("vip").hook("promote", "(call $done)").typed_key(key("address", ConfigKind::Ip));
        wanted
            .iter()
            .fold(guest, |guest, words| guest.wants_for(runs_ip(words), "to move the address"))
            .build()
    };
    let first = guest(&[&["/bin/ls", "add", "{address}"]]);
    let toml = "[config]\naddress = \"10.0.0.9/24\"\n[grants]\nexec = [\"/bin/ls add *\"]\n";
    assert!(node.open("vip", &first, toml).is_ok());
    let next = guest(&[&["/bin/ls", "add", "{address}"], &["/bin/ls", "del", "{address}"]]);
    assert_eq!(
        node.refusal("vip", &next, toml),
        "[grants] lacks exec \"/bin/ls del 10.0.0.9/24\" (to move the address; exec \"/bin/ls add *\" does not cover it); \
         it should read: exec = [\"/bin/ls add *\", \"/bin/ls del 10.0.0.9/24\"]"
    );
    let unset = "[grants]\nexec = [\"/bin/ls add *\"]\n";
    assert!(node.open("vip", &next, unset).is_ok(), "without an address it needs no program");
}
