//! From a file to a handler: what is refused and in which words, where compiled code is kept, and what a service has to grant.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{Capability, ConfigKey, ConfigKind, Hook, HookSet, Outcome, Program, Want};

fn small(name: &str) -> Guest {
    Guest::new(name).hook("start", "(call $done)")
}

fn refusal(component: &[u8]) -> String {
    Node::new().facts(component).unwrap_err()
}

/// The one entry of the cache.
fn entry(node: &Node) -> PathBuf {
    let mut entries: Vec<_> = fs::read_dir(node.host().compiled_dir()).unwrap().collect();
    assert_eq!(entries.len(), 1);
    entries.remove(0).unwrap().path()
}

#[test]
fn a_component_says_what_it_is() {
    let guest = small("vip")
        .hook("status", "(call $done)")
        .key("address", true, None)
        .key("port", false, Some("80"))
        .wants(1, "{address}:{port}");
    let facts = Node::new().facts(&guest.build()).unwrap();
    assert_eq!((facts.metadata.name.as_str(), facts.metadata.version.as_str()), ("vip", "1.0"));
    assert_eq!(facts.metadata.description, "a test");
    assert_eq!(facts.metadata.hooks, HookSet::default().with(Hook::Start).with(Hook::Status));
    let want = Want { capability: Capability::Tcp("{address}:{port}".into()), reason: String::new() };
    assert_eq!(facts.metadata.wants, [want]);
    let key = |name: &str, required, default: Option<&str>| ConfigKey {
        name: name.into(),
        required,
        default: default.map(Into::into).into_iter().collect(),
        ..ConfigKey::default()
    };
    assert_eq!(facts.metadata.config, [key("address", true, None), key("port", false, Some("80"))]);
    assert_eq!(facts.api, "koi:service@0.1.0");
    assert!(facts.imports.contains(&"koi:service/host@0.1.0".to_owned()), "{:?}", facts.imports);
}

#[tokio::test]
async fn every_patch_of_our_version_runs_and_no_other_version() {
    let node = Node::new();
    let newer = small("newer").built_against("0.1.3").build();
    assert_eq!(node.facts(&newer).unwrap().api, "koi:service@0.1.3");
    let handler = node.handler("newer", &newer, "");
    assert_eq!(Ask::new(&handler).hook(Hook::Start).await, Ok(Outcome::Done));
    let refused = refusal(&small("next").built_against("0.3.0").build());
    assert!(refused.contains("built against koi:service@0.3.0; this koid takes 0.1 and 0.2"), "{refused}");
}

/// All that a handler of 0.2 can say of itself.
fn declares_everything() -> (Guest, Vec<Want>, Vec<ConfigKey>) {
    let text = |text: &str| text.to_owned();
    let program = Program {
        words: ["/usr/bin/pg_ctl", "-D", "{data}", "start"].map(text).to_vec(),
        user: Some("postgres".into()),
        keep: true,
    };
    let capabilities = [
        Capability::Exec(program),
        Capability::ExecEnv("PGPORT".into()),
        Capability::Tcp("{peers}".into()),
        Capability::Udp("10.0.0.5:53".into()),
        Capability::Http("api.example:443".into()),
        Capability::Lookup,
        Capability::Read("/etc/db".into()),
        Capability::Write("{data}".into()),
        Capability::Env("LANG".into()),
    ];
    let reason = |capability: &Capability| format!("because of {}", capability.grant_key());
    let wants: Vec<_> =
        capabilities.map(|capability| Want { reason: reason(&capability), capability }).into_iter().collect();
    let kinds = [
        ("name", ConfigKind::Text, "x"),
        ("port", ConfigKind::Integer { least: -5, most: 1 << 40 }, "7"),
        ("arp", ConfigKind::Boolean, "true"),
        ("wait", ConfigKind::Duration, "2s"),
        ("peers", ConfigKind::Address, "db:1"),
        ("address", ConfigKind::Ip, "10.0.0.9/24"),
        ("mode", ConfigKind::OneOf(vec!["fast".into(), "safe".into()]), "safe"),
    ];
    let mut keys: Vec<_> = kinds
        .map(|(name, kind, default)| ConfigKey {
            name: name.into(),
            description: format!("the {name}"),
            kind,
            many: name == "peers",
            required: name == "port",
            default: vec![default.into()],
        })
        .into_iter()
        .collect();
    keys[4].default.push("[::1]:2".into());
    let secret = ConfigKind::Secret;
    keys.push(ConfigKey { name: "password".into(), kind: secret, ..ConfigKey::default() });
    keys.push(ConfigKey { name: "data".into(), kind: ConfigKind::Text, ..ConfigKey::default() });
    let guest = wants.iter().fold(small("postgres").hook("stop", "(call $done)"), |guest, want| {
        guest.wants_for(want.capability.clone(), &want.reason)
    });
    (keys.iter().fold(guest, |guest, key| guest.typed_key(key.clone())), wants, keys)
}

#[test]
fn a_component_of_the_newest_version_says_all_that_it_wants_and_takes() {
    let (guest, wants, keys) = declares_everything();
    let facts = Node::new().facts(&guest.build()).unwrap();
    assert_eq!(facts.metadata.wants, wants);
    assert_eq!(facts.metadata.config, keys);
    assert_eq!((facts.api.as_str(), facts.metadata.hooks.has(Hook::Stop)), ("koi:service@0.2.0", true));
}

#[test]
fn what_is_no_handler_is_refused_in_words() {
    let module = wat::parse_str("(module)").unwrap();
    let component = wat::parse_str("(component)").unwrap();
    let mut cut = small("cut").build();
    cut.truncate(cut.len() / 2);
    let imports = r#"(component (import "koi:service/gpio@0.1.7" (instance)))"#;
    for (bytes, words) in [
        (module, "not a component but a core module: build it as a component"),
        (b"#!/bin/sh\n".to_vec(), "not a WebAssembly component"),
        (component, "does not export koi:service/metadata"),
        (cut, "not a valid component"),
        (wat::parse_str(imports).unwrap(), "does not export koi:service/metadata"),
    ] {
        let refused = refusal(&bytes);
        assert!(refused.contains(words) && !refused.contains('\n'), "{refused}");
    }
}

/// A component of half a megabyte whose one function has so many variables that a compiler takes gigabytes for it.
fn compile_bomb() -> Vec<u8> {
    const VARIABLES: usize = 20_000;
    let steps = (1..VARIABLES).map(|n| {
        let (one, other, third) = (n * 7 % VARIABLES + 1, n * 13 % VARIABLES + 1, n * 3 % VARIABLES + 1);
        format!(
            "(local.set {n} (i64.add (local.get {one}) (local.get {other}))) \
             (block (br_if 0 (local.get 0)) (local.set {third} (i64.const {n})))"
        )
    });
    let variables = "i64 ".repeat(VARIABLES);
    let body: String = steps.collect();
    let text = format!(
        r#"(component (core module (func (export "f") (param i32) (result i32) (local {variables}) {body} local.get 0)))"#
    );
    wat::parse_str(text).unwrap()
}

/// The processes that this test's process has started to compile.
fn compilers() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let ours = format!("PPid:\t{}\n", std::process::id());
    let is_compiler = |process: &PathBuf| {
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        read("status").contains(&ours) && read("cmdline").contains("plugin-compile")
    };
    processes.filter(is_compiler).collect()
}

/// What `look` finds in a compiling process while the bomb is compiled, and why that is refused.
fn while_the_bomb_is_compiled<T>(look: impl Fn(&Path) -> Option<T>) -> (T, String) {
    let bomb = compile_bomb();
    let refused = std::thread::spawn(move || refusal(&bomb));
    let mut found = None;
    koi_testkit::met_within(Duration::from_secs(60), || {
        found = compilers().iter().find_map(|process| look(process));
        found.is_some() || refused.is_finished()
    });
    (found.expect("it compiles for some seconds"), refused.join().unwrap())
}

#[test]
fn a_component_that_would_take_the_machines_memory_is_refused_and_gives_way_to_everything_meanwhile() {
    // The compiler sets this for itself, after its start.
    let (stat, refused) = while_the_bomb_is_compiled(|process| {
        let score = fs::read_to_string(process.join("oom_score_adj")).ok()?;
        (score == "1000\n").then(|| fs::read_to_string(process.join("stat")).ok()).flatten()
    });
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    assert_eq!(after_name.split(' ').nth(16), Some("19"), "its niceness: {stat}");
    assert!(refused.contains("MiB of memory, which no component of its size needs"), "{refused}");
}

#[test]
fn what_compiles_is_a_process_without_rights() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("only root has rights to take from a compiler");
    }
    let ((status, network), _) = while_the_bomb_is_compiled(|process| {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let network = fs::read_link(process.join("ns/net")).ok()?;
        status.contains("Seccomp:\t2\n").then_some((status, network))
    });
    let no_right = "0000000000000000";
    for (key, value) in [("NoNewPrivs", "1"), ("CapEff", no_right), ("CapBnd", no_right), ("Groups", "")] {
        assert!(
            status.lines().any(|line| line.trim_end() == format!("{key}:\t{value}").trim_end()),
            "{key}: {status}"
        );
    }
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    assert!(users.split_whitespace().all(|user| user.parse::<u32>().unwrap() > 1_000_000_000), "{users}");
    assert_ne!(network, fs::read_link("/proc/self/ns/net").unwrap(), "nothing is reached from there");
}

#[test]
fn whoever_is_not_root_compiles_all_the_same() {
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip(
            "only root can become somebody else; all that is tested here is done by somebody else",
        );
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("helper");
    fs::copy(env!("CARGO_BIN_EXE_koi-plugin-helper"), &program).unwrap();
    let component = folder.path().join("small.wasm");
    fs::write(&component, small("small").build()).unwrap();
    let mut compiler = Command::new(program);
    compiler.arg("plugin-compile").uid(65534).gid(65534).stdin(fs::File::open(component).unwrap());
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.windows(4).any(|bytes| bytes == b"\x7fELF"), "there is code");
}

#[test]
fn a_description_that_cannot_be_is_refused() {
    let silent = refusal(&small("spins").before_describing("(loop $again (br $again))").build());
    assert!(silent.contains("`describe` did not answer within 1s"), "{silent}");
    let sleeps = small("sleeps").before_describing("(drop (call $sleep (i64.const 3600000)))").build();
    let began = Instant::now();
    assert!(refusal(&sleeps).contains("did not answer within 1s"));
    assert!(began.elapsed() < Duration::from_secs(60));
    let traps = refusal(&small("traps").before_describing("unreachable").build());
    assert!(traps.contains("trapped in describe: wasm unreachable instruction executed"), "{traps}");
    let eats = "(loop $again (drop (memory.grow (i32.const 16))) (br $again))";
    assert!(refusal(&small("eats").before_describing(eats).build()).contains("wanted more than 64 MiB"));
    let named = refusal(&small("My Plugin").build());
    assert!(named.contains("its name is \"My Plugin\": it must be 1 to 64 of the characters"), "{named}");
    let idle = refusal(&Guest::new("idle").build());
    assert!(idle.contains("it has no hooks"), "{idle}");
}

#[test]
fn what_a_component_wrote_before_it_broke_off_in_describe_stands_behind_the_refusal() {
    let says = "(call $print %{begins\n}) (call $complain %{TypeError: no \x1b[31mfield\n\n  at describe (handler.js:12:3)})
        (call $log (i32.const 4) %{gives up})";
    let traps = small("traps").before_describing(&format!("{says} unreachable")).with_stdout().with_stderr();
    let why = refusal(&traps.build());
    assert!(
        why.ends_with(
            "trapped in describe: wasm unreachable instruction executed; what it wrote last: gives up | begins | \
             TypeError: no [31mfield | at describe (handler.js:12:3)"
        ),
        "{why}"
    );
    let floods = format!("(loop $again {} (br $again))", "(call $complain %{so it goes on\n})");
    let why = refusal(&small("floods").before_describing(&floods).with_stderr().build());
    let last = ["so it goes on"; 12].join(" | ");
    assert!(why.ends_with(&format!("`describe` did not answer within 1s: it must only say what the handler is; what it wrote last: {last}")), "{why}");
    let well = small("well").before_describing(says).with_stdout().with_stderr();
    assert!(Node::new().facts(&well.build()).is_ok());
}

#[test]
fn compiled_code_is_kept_and_taken_again_only_if_it_is_whole() {
    let node = Node::new();
    let component = small("kept").build();
    let is_cached = || node.facts(&component).unwrap().compiled.unwrap().cached;
    assert!(!is_cached());
    assert!(is_cached(), "the second time it is there");

    let file = OpenOptions::new().write(true).open(entry(&node)).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    assert!(!is_cached(), "half of it is of no use");
    assert!(is_cached(), "and was replaced");

    fs::set_permissions(entry(&node), Permissions::from_mode(0o666)).unwrap();
    assert!(!is_cached(), "others may have written it");
    assert!(is_cached());
}

#[test]
fn a_cache_that_others_can_write_to_is_not_used_and_nothing_else_suffers() {
    let node = Node::new();
    let component = small("kept").build();
    let is_cached = || node.facts(&component).unwrap().compiled.unwrap().cached;
    assert!(!is_cached());
    fs::set_permissions(node.host().compiled_dir(), Permissions::from_mode(0o777)).unwrap();
    assert!(!is_cached());
    assert!(!is_cached());
    fs::set_permissions(node.host().compiled_dir(), Permissions::from_mode(0o700)).unwrap();
    assert!(is_cached());
}

#[test]
fn a_compiler_that_cannot_be_started_is_named() {
    let node = Node::new();
    fs::create_dir_all(node.home("vip")).unwrap();
    let host = koi_plugin_host::Host { program: "/nowhere/koid".into(), ..node.host() };
    let file = node.home("vip").join("handler.wasm");
    fs::write(&file, small("vip").build()).unwrap();
    let registry = koi_plugin_host::Registry::new(host, node.home("vip"));
    let error = registry.plugin_in(&file).unwrap().error.unwrap().to_string();
    assert!(error.contains("/nowhere/koid, which compiles it, cannot be started"), "{error}");
}

#[test]
fn what_a_component_wants_must_be_granted_for_the_services_own_configuration() {
    let node = Node::new();
    let redis = small("redis")
        .key("address", false, Some("127.0.0.1:6379"))
        .key("backup", false, None)
        .wants(1, "{address}")
        .wants(2, "{backup}")
        .build();
    let refused = node.refusal("redis", &redis, "");
    assert!(refused.contains("tcp = [\"127.0.0.1:6379\"]"), "{refused}");
    let other = "[config]\naddress = \"10.0.0.5:6379\"\n[grants]\ntcp = [\"127.0.0.1:6379\"]\n";
    let refused = node.refusal("redis", &redis, other);
    assert!(refused.contains("10.0.0.5:6379"), "{refused}");
    let granted = node.open("redis", &redis, "[grants]\ntcp = [\"127.0.0.1:6379\"]\n").unwrap();
    assert_eq!(granted.granted.len(), 1, "nothing is wanted of a key that is not set: {:?}", granted.granted);
    assert_eq!(granted.limits, ["memory 64 MiB", "files 64", "processes 32"]);
}

#[tokio::test]
async fn defaults_and_the_folder_that_may_be_read_are_told_to_the_guest() {
    let node = Node::new();
    // The first key's value, and the folder.
    let says = "(local $pair i32)
        (local.set $pair (i32.load (i32.add (local.get $ctx) (i32.const 84))))
        (call $log (i32.const 2) (i32.load (i32.add (local.get $pair) (i32.const 8))) (i32.load (i32.add (local.get $pair) (i32.const 12))))
        (if (i32.load8_u (i32.add (local.get $ctx) (i32.const 72))) (then
            (call $log (i32.const 2)
                (i32.load (i32.add (local.get $ctx) (i32.const 76))) (i32.load (i32.add (local.get $ctx) (i32.const 80))))))
        (call $done)";
    let says = Guest::new("says").hook("start", says).key("colour", false, Some("blue")).build();
    let home = node.home("says");
    let ask = |handler| Ask::new(&handler).with_context(|context| context.home = home.clone());
    let closed = ask(node.handler("says", &says, ""));
    assert_eq!(closed.hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(closed.log.lines(), ["Info blue"]);
    let open = ask(node.handler("says", &says, &format!("[grants]\nread = [\"{}\"]\n", home.display())));
    assert_eq!(open.hook(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(open.log.lines(), ["Info blue".to_owned(), format!("Info {}", home.display())]);
}
