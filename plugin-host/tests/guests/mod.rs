//! Builds components out of a few lines of WebAssembly text: for what no compiler of a language would write, and for tests
//! that are to run without one.
//!
//! The text of a hook is the body of a function that has the context's address in `$ctx` and leaves the address of its result.
//! `%{text}` in it stands for the address and the length of that text. What there is to call:
//!
//! | function | does |
//! |---|---|
//! | `$done` | the result "done" |
//! | `$error CASE TEXT` | an error: 0 retry, 1 fatal, 2 misconfigured, 3 unsupported |
//! | `$status STATE TEXT HAS-SCORE SCORE` | a status: 0 ok, 1 promoted, 2 standby, 3 live, 4 stopped, 5 failed |
//! | `$pid PLACE ID`, `$pidfile PLACE TEXT`, `$named COUNT` | names a process, the first at place 0; the status of a healthy service that has named so many, of a guest of 0.2 |
//! | `$log LEVEL TEXT`, `$remaining`, `$current`, `$sleep MS` | `host`; levels 0 trace to 4 error |
//! | `$get KEY ADDRESS`, `$set KEY VALUE ADDRESS` | `state`; the result is written to the address |
//! | `$read FRESH ADDRESS`, `$write KEY VALUE ADDRESS`, `$remove KEY ADDRESS` | `attributes`, of a guest that [has them](Guest::with_attributes) |
//! | `$print TEXT` | standard output, of a guest that [has it](Guest::with_stdout) |
//! | `$complain TEXT` | standard error, of a guest that [has it](Guest::with_stderr) |
//! | `$run PROGRAM ARGS ENV STDIN HAS-TIMEOUT MS ADDRESS` | `exec`, of a guest that [has it](Guest::with_exec); the result is written to the address |

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

pub mod node;

use koi_plugin_api::{Capability, ConfigKey, ConfigKind, Want};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const OLDER_WIT: &str = include_str!("../../../wit/0.1/koi-service.wit");
const WIT: &str = include_str!("../../../wit/koi-service.wit");

/// As much of WASI as standard output and standard error take.
const STREAMS_WIT: &str = r#"
package test:guest;
world guest {
    include koi:service/handler@VERSION;
    import wasi:cli/stdout@0.2.6;
    import wasi:cli/stderr@0.2.6;
}
package wasi:io@0.2.6 {
    interface error { resource error; }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
    }
}
package wasi:cli@0.2.6 {
    interface stdout {
        use wasi:io/streams@0.2.6.{output-stream};
        get-stdout: func() -> output-stream;
    }
    interface stderr {
        use wasi:io/streams@0.2.6.{output-stream};
        get-stderr: func() -> output-stream;
    }
}
"#;

/// Where texts lie in memory.
const TEXTS: usize = 4096;

/// Where memory is handed out to the host.
const HEAP: usize = 65_536;

const HOOKS: [&str; 6] = ["start", "stop", "promote", "demote", "status", "failed"];

/// The hook of an interface of its own, and its flag.
const CHANGED: (&str, u32) = ("changed", 1 << 6);

/// A component to be.
pub struct Guest {
    name: String,
    version: String,
    release: String,
    bodies: Vec<(&'static str, String)>,
    describe: String,
    items: String,
    keys: Vec<(String, bool, Option<String>)>,
    capabilities: Vec<(u32, String)>,
    wants: Vec<Want>,
    typed_keys: Vec<ConfigKey>,
    stdout: bool,
    stderr: bool,
    exec: bool,
    attributes: bool,
    says_changed: bool,
    lines: bool,
    texts: Vec<u8>,
}

impl Guest {
    /// One without hooks.
    pub fn new(name: &str) -> Guest {
        Guest {
            name: name.into(),
            version: "0.1.0".into(),
            release: "1.0".into(),
            bodies: Vec::new(),
            describe: String::new(),
            items: String::new(),
            keys: Vec::new(),
            capabilities: Vec::new(),
            wants: Vec::new(),
            typed_keys: Vec::new(),
            stdout: false,
            stderr: false,
            exec: false,
            attributes: false,
            says_changed: false,
            lines: false,
            texts: Vec::new(),
        }
    }

    /// Gives it a hook.
    #[must_use]
    pub fn hook(mut self, hook: &'static str, body: &str) -> Guest {
        let body = self.place_texts(body);
        self.bodies.push((hook, body));
        self
    }

    /// Builds it against another version of the interface.
    #[must_use]
    pub fn built_against(mut self, version: &str) -> Guest {
        self.version = version.into();
        self
    }

    /// Has it name another version of itself than 1.0.
    #[must_use]
    pub fn release(mut self, version: &str) -> Guest {
        self.release = version.into();
        self
    }

    /// Does something before it describes itself.
    #[must_use]
    pub fn before_describing(mut self, body: &str) -> Guest {
        self.describe = self.place_texts(body);
        self
    }

    /// Adds a function or a global.
    #[must_use]
    pub fn item(mut self, item: &str) -> Guest {
        let item = self.place_texts(item);
        self.items.push_str(&item);
        self
    }

    /// Names a key of the configuration, as a guest of 0.1 does.
    #[must_use]
    pub fn key(mut self, name: &str, required: bool, default: Option<&str>) -> Guest {
        self.keys.push((name.into(), required, default.map(Into::into)));
        self
    }

    /// Wants something, as a guest of 0.1 does: 0 exec, 1 tcp-connect, 2 fs-read, 3 fs-write, 4 env.
    #[must_use]
    pub fn wants(mut self, case: u32, value: &str) -> Guest {
        self.capabilities.push((case, value.into()));
        self
    }

    /// Wants something for a reason: a guest of 0.2.
    #[must_use]
    pub fn wants_for(mut self, capability: Capability, reason: &str) -> Guest {
        self.wants.push(Want { capability, reason: reason.into() });
        self.built_against("0.2.0")
    }

    /// Names a key of the configuration with its type: a guest of 0.2.
    #[must_use]
    pub fn typed_key(mut self, key: ConfigKey) -> Guest {
        self.typed_keys.push(key);
        self.built_against("0.2.0")
    }

    /// Lets it write to standard output.
    #[must_use]
    pub fn with_stdout(mut self) -> Guest {
        self.stdout = true;
        self
    }

    /// Lets it write to standard error.
    #[must_use]
    pub fn with_stderr(mut self) -> Guest {
        self.stderr = true;
        self
    }

    /// Lets it run programs.
    #[must_use]
    pub fn with_exec(mut self) -> Guest {
        self.exec = true;
        self
    }

    /// Lets it read and write attributes: a guest of 0.2.
    #[must_use]
    pub fn with_attributes(mut self) -> Guest {
        self.attributes = true;
        self.built_against("0.2.0")
    }

    /// Says that it has the hook `changed`, whether it has or not: a guest of 0.2.
    #[must_use]
    pub fn says_changed(mut self) -> Guest {
        self.says_changed = true;
        self.built_against("0.2.0")
    }

    /// Puts its source lines in: those of `guest.wat`.
    #[must_use]
    pub fn with_lines(mut self) -> Guest {
        self.lines = true;
        self
    }

    /// The component.
    pub fn build(mut self) -> Vec<u8> {
        let text = self.module();
        let mut parser = wat::Parser::new();
        if self.lines {
            parser.generate_dwarf(wat::GenerateDwarf::Full);
        }
        let parsed = parser.parse_str(Some("guest.wat".as_ref()), &text);
        let mut module = parsed.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        let version = format!("koi:service@{}", self.version);
        let wit = match self.is_older() {
            true => OLDER_WIT.replace("koi:service@0.1.0", &version),
            false => WIT.replace("koi:service@0.2.0", &version),
        };
        let mut package = resolve.push_str("koi-service.wit", &wit).unwrap();
        let streams = self.stdout || self.stderr;
        if streams {
            package = resolve.push_str("guest.wit", &STREAMS_WIT.replace("VERSION", &self.version)).unwrap();
        }
        let world = match (streams, self.exec, self.hears_changes()) {
            (true, false, false) => "guest",
            (false, true, false) => "handler-exec",
            (false, false, false) => "handler",
            (false, false, true) => "handler-changes",
            _ => panic!("no test needs a guest with all of that"),
        };
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }

    fn module(&mut self) -> String {
        let version = self.version.clone();
        let metadata = if self.is_older() { self.older_metadata() } else { self.metadata() };
        let mut exports = String::new();
        for hook in HOOKS {
            let body = self.bodies.iter().find(|(name, _)| *name == hook).map(|(_, body)| body.as_str());
            let body = body.unwrap_or("(call $done)");
            // Of 0.2 a score is aligned to 8, and all that follows the case of a status with it.
            let body = match hook == "status" && !self.is_older() {
                true => body.replace("(call $error ", "(call $status_error "),
                false => body.to_owned(),
            };
            exports += &format!(
                "(func (export \"koi:service/lifecycle@{version}#{hook}\") (param $ctx i32) (result i32) {body})\n"
            );
        }
        if let Some((name, body)) = self.bodies.iter().find(|(name, _)| *name == CHANGED.0) {
            exports += &format!(
                "(func (export \"koi:service/changes@{version}#{name}\") (param $ctx i32) (result i32) {body})\n"
            );
        }
        let (mut stream_imports, mut print) = (String::new(), String::new());
        for (is_wanted, stream, function) in
            [(self.stdout, "stdout", "print"), (self.stderr, "stderr", "complain")]
        {
            if is_wanted {
                let named = |text: &str| text.replace("STREAM", stream).replace("FUNCTION", function);
                stream_imports += &named(STREAM_IMPORT);
                print += &named(PRINT);
            }
        }
        if !print.is_empty() {
            stream_imports += WRITE_IMPORTS;
        }
        let run = if self.exec { RUN_IMPORT.replace("VERSION", &version) } else { String::new() };
        let attributes = if self.attributes { ATTRIBUTES_IMPORT } else { "" };
        let status = if self.is_older() { OLDER_STATUS } else { STATUS };
        let (describe, items, texts) = (&self.describe, &self.items, escaped(&self.texts));
        format!(
            "(module
                (import \"koi:service/host@{version}\" \"log\" (func $log (param i32 i32 i32)))
                (import \"koi:service/host@{version}\" \"remaining-ms\" (func $remaining (result i64)))
                (import \"koi:service/host@{version}\" \"epoch-current\" (func $current (result i32)))
                (import \"koi:service/host@{version}\" \"sleep\" (func $sleep (param i64) (result i32)))
                (import \"koi:service/state@{version}\" \"get\" (func $get (param i32 i32 i32)))
                (import \"koi:service/state@{version}\" \"set\" (func $set (param i32 i32 i32 i32 i32)))
                {stream_imports} {run} {attributes}
                (memory (export \"memory\") 2)
                (data (i32.const {TEXTS}) \"{texts}\")
                {HELPERS} {status} {print} {items} {exports}
                (func (export \"koi:service/metadata@{version}#describe\") (result i32)
                    {describe} (i32.const {metadata}))
            )"
        )
    }

    fn hears_changes(&self) -> bool {
        self.bodies.iter().any(|(name, _)| *name == CHANGED.0)
    }

    fn is_older(&self) -> bool {
        self.version.starts_with("0.1.")
    }

    /// Lays out the record `metadata` of 0.2.
    fn metadata(&mut self) -> usize {
        let mut wants = Vec::new();
        for Want { capability, reason } in self.wants.clone() {
            let case = match &capability {
                Capability::Exec(_) => 0,
                Capability::ExecEnv(_) => 1,
                Capability::Tcp(_) => 2,
                Capability::Udp(_) => 3,
                Capability::Http(_) => 4,
                Capability::Lookup => 5,
                Capability::Read(_) => 6,
                Capability::Write(_) => 7,
                Capability::Env(_) => 8,
                Capability::ExecPath(_) => panic!("a guest of 0.2 says with which arguments"),
            };
            wants.push(case);
            match &capability {
                Capability::Exec(program) => {
                    wants.extend(self.place_list(&program.words));
                    wants.push(u32::from(program.user.is_some()));
                    wants.extend(self.place_text(program.user.as_deref().unwrap_or_default()));
                    wants.push(u32::from(program.keep));
                }
                other => {
                    wants.extend(self.place_text(other.subject()));
                    wants.extend([0; 4]);
                }
            }
            wants.extend(self.place_text(&reason));
        }
        let mut keys = Vec::new();
        for key in self.typed_keys.clone() {
            keys.extend(self.place_text(&key.name));
            keys.extend(self.place_text(&key.description));
            let (case, payload) = match &key.kind {
                ConfigKind::Any => panic!("a guest of 0.2 says what a value may be"),
                ConfigKind::Text => (0, [0; 4]),
                ConfigKind::Integer { least, most } => {
                    let halves = |number: i64| [number as u32, (number >> 32) as u32];
                    let ([a, b], [c, d]) = (halves(*least), halves(*most));
                    (1, [a, b, c, d])
                }
                ConfigKind::Boolean => (2, [0; 4]),
                ConfigKind::Duration => (3, [0; 4]),
                ConfigKind::Address => (4, [0; 4]),
                ConfigKind::Ip => (5, [0; 4]),
                ConfigKind::OneOf(texts) => {
                    let [at, count] = self.place_list(texts);
                    (6, [at, count, 0, 0])
                }
                ConfigKind::Secret => (7, [0; 4]),
            };
            keys.extend([case, 0]);
            keys.extend(payload);
            keys.push(u32::from(key.many) | u32::from(key.required) << 8);
            keys.extend(self.place_list(&key.default));
            keys.push(0);
        }
        let (wants_at, keys_at) = (self.place_words(&wants), self.place_words(&keys));
        self.place_metadata([wants_at, self.wants.len() as u32, keys_at, self.typed_keys.len() as u32])
    }

    fn place_list(&mut self, texts: &[String]) -> [u32; 2] {
        let words: Vec<u32> = texts.iter().flat_map(|text| self.place_text(text)).collect();
        [self.place_words(&words), texts.len() as u32]
    }

    fn place_text(&mut self, text: &str) -> [u32; 2] {
        [self.place(text), text.len() as u32]
    }

    /// Lays out the record `metadata` of 0.1.
    fn older_metadata(&mut self) -> usize {
        let mut capabilities = Vec::new();
        for (case, value) in self.capabilities.clone() {
            capabilities.extend([case, self.place(&value), value.len() as u32]);
        }
        let mut keys = Vec::new();
        for (name, required, default) in self.keys.clone() {
            keys.extend([self.place(&name), name.len() as u32, 0, 0, u32::from(required)]);
            let text = default.clone().unwrap_or_default();
            keys.extend([u32::from(default.is_some()), self.place(&text), text.len() as u32]);
        }
        let (wants_at, keys_at) = (self.place_words(&capabilities), self.place_words(&keys));
        self.place_metadata([wants_at, self.capabilities.len() as u32, keys_at, self.keys.len() as u32])
    }

    /// The record itself, which ends in these two lists.
    fn place_metadata(&mut self, [wants_at, wants, keys_at, keys]: [u32; 4]) -> usize {
        let flags =
            HOOKS.iter().enumerate().filter(|(_, hook)| self.bodies.iter().any(|(name, _)| name == *hook));
        let flags: u32 = flags.map(|(n, _)| 1 << n).sum();
        let flags = if self.says_changed { flags | CHANGED.1 } else { flags };
        let name = self.name.clone();
        let release = self.release.clone();
        let words = [
            self.place(&name),
            name.len() as u32,
            self.place(&release),
            release.len() as u32,
            self.place("a test"),
            6,
            flags,
            wants_at,
            wants,
            keys_at,
            keys,
        ];
        self.place_words(&words) as usize
    }

    fn place_texts(&mut self, body: &str) -> String {
        let mut placed = String::new();
        let mut rest = body;
        while let Some((before, after)) = rest.split_once("%{") {
            let (text, after) = after.split_once('}').expect("a text ends with }");
            placed += &format!("{before}(i32.const {}) (i32.const {})", self.place(text), text.len());
            rest = after;
        }
        placed + rest
    }

    fn place(&mut self, text: &str) -> u32 {
        let at = TEXTS + self.texts.len();
        self.texts.extend_from_slice(text.as_bytes());
        at as u32
    }

    fn place_words(&mut self, words: &[u32]) -> u32 {
        self.texts.resize(self.texts.len().next_multiple_of(8), 0);
        let at = TEXTS + self.texts.len();
        self.texts.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        assert!(TEXTS + self.texts.len() < HEAP, "too much text");
        at as u32
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Results are written to 1024.
const HELPERS: &str = r#"
    (global $heap (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param $old i32) (param i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    (func $done (result i32)
        (i64.store (i32.const 1024) (i64.const 0))
        (i32.const 1024))
    (func $error (param $case i32) (param $text i32) (param $length i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 1))
        (i32.store (i32.const 1028) (local.get $case))
        (i32.store (i32.const 1032) (local.get $text))
        (i32.store (i32.const 1036) (local.get $length))
        (i32.const 1024))
"#;

const OLDER_STATUS: &str = r#"
    (func $status (param $state i32) (param $text i32) (param $length i32) (param $has i32) (param $score i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1028) (local.get $state))
        (i32.store (i32.const 1032) (local.get $text))
        (i32.store (i32.const 1036) (local.get $length))
        (i32.store (i32.const 1040) (local.get $has))
        (i32.store (i32.const 1044) (local.get $score))
        (i64.store (i32.const 1048) (i64.const 0))
        (i32.const 1024))
"#;

const STATUS: &str = r#"
    (func $status (param $state i32) (param $text i32) (param $length i32) (param $has i32) (param $score i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 0))
        (i32.store (i32.const 1032) (local.get $state))
        (i32.store (i32.const 1036) (local.get $text))
        (i32.store (i32.const 1040) (local.get $length))
        (i32.store (i32.const 1048) (local.get $has))
        (i64.store (i32.const 1056) (i64.extend_i32_s (local.get $score)))
        (i64.store (i32.const 1064) (i64.const 0))
        (i64.store (i32.const 1072) (i64.const 0))
        (i32.const 1024))
    (func $pid (param $place i32) (param $id i32)
        (local $at i32)
        (local.set $at (i32.add (i32.const 2048) (i32.mul (local.get $place) (i32.const 12))))
        (i32.store (local.get $at) (i32.const 0))
        (i32.store offset=4 (local.get $at) (local.get $id)))
    (func $pidfile (param $place i32) (param $text i32) (param $length i32)
        (local $at i32)
        (local.set $at (i32.add (i32.const 2048) (i32.mul (local.get $place) (i32.const 12))))
        (i32.store (local.get $at) (i32.const 1))
        (i32.store offset=4 (local.get $at) (local.get $text))
        (i32.store offset=8 (local.get $at) (local.get $length)))
    (func $named (param $count i32) (result i32)
        (drop (call $status (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (i32.store (i32.const 1072) (i32.const 2048))
        (i32.store (i32.const 1076) (local.get $count))
        (i32.const 1024))
    (func $status_error (param $case i32) (param $text i32) (param $length i32) (result i32)
        (i32.store (i32.const 1024) (i32.const 1))
        (i32.store (i32.const 1032) (local.get $case))
        (i32.store (i32.const 1036) (local.get $text))
        (i32.store (i32.const 1040) (local.get $length))
        (i32.const 1024))
"#;

const STREAM_IMPORT: &str = r#"
    (import "wasi:cli/STREAM@0.2.6" "get-STREAM" (func $STREAM (result i32)))
"#;

const WRITE_IMPORTS: &str = r#"
    (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
    (import "wasi:io/streams@0.2.6" "[resource-drop]output-stream" (func $close (param i32)))
"#;

const RUN_IMPORT: &str = r#"
    (import "koi:service/exec@VERSION" "run"
        (func $run (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32)))
"#;

const ATTRIBUTES_IMPORT: &str = r#"
    (import "koi:service/attributes@0.2.0" "read" (func $read (param i32 i32)))
    (import "koi:service/attributes@0.2.0" "set" (func $write (param i32 i32 i32 i32 i32)))
    (import "koi:service/attributes@0.2.0" "remove" (func $remove (param i32 i32 i32)))
"#;

const PRINT: &str = r#"
    (func $FUNCTION (param $text i32) (param $length i32)
        (local $stream i32)
        (local.set $stream (call $STREAM))
        (call $write (local.get $stream) (local.get $text) (local.get $length) (i32.const 2048))
        (call $close (local.get $stream)))
"#;
