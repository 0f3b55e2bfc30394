//! `plugin-test`, as `koi plugins test` starts it: handlers in made-up worlds, and test files with mistakes.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use guests::Guest;
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a handler and its tests, and the folder of a cache.
struct Place(TempDir, PathBuf);

/// What came of it.
struct Ran {
    code: Option<i32>,
    said: String,
    wrong: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.said).unwrap_or_else(|e| panic!("{e}: {} {}", self.said, self.wrong))
    }

    /// What was found in all tests: `LINE: what; expected …; seen …`.
    fn findings(&self) -> Vec<String> {
        let json = self.json();
        let tests = json["tests"].as_array().unwrap_or_else(|| panic!("{}", self.said)).iter();
        let findings = tests.flat_map(|test| test["findings"].as_array().unwrap());
        let text = |value: &Value, word: &str| match value.as_str() {
            Some(text) => format!("; {word} {text}"),
            None => String::new(),
        };
        findings
            .map(|finding| {
                let (expected, seen) =
                    (text(&finding["expected"], "expected"), text(&finding["seen"], "seen"));
                format!("{}: {}{expected}{seen}", finding["line"], finding["message"].as_str().unwrap())
            })
            .collect()
    }
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        Place(folder, cache)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// With this component as `handler.wasm`.
    fn with(guest: Guest) -> Place {
        let place = Place::new();
        fs::write(place.at("handler.wasm"), guest.build()).unwrap();
        place
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_koi-plugin-helper"));
        command.arg("plugin-test").args(words).env("XDG_CACHE_HOME", &self.1);
        command.env("TMPDIR", self.0.path()).current_dir(self.0.path()).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), said: text(output.stdout), wrong: text(output.stderr) }
    }

    /// Runs these tests.
    fn test(&self, file: &str) -> Ran {
        fs::write(self.at("handler.test.toml"), file).unwrap();
        self.run(&["--json"])
    }
}

/// Notes in its store what it is, as the templates do.
fn rememberer() -> Guest {
    let promote = "(if (result i32) (call $current)
        (then (call $log (i32.const 2) %{taking over}) (call $set %{role} %{promoted} (i32.const 2048)) (call $done))
        (else (call $error (i32.const 0) %{too late})))";
    // The answer is at 1024: 0 for ok, then 1 for a value.
    let status = "(call $get %{role} (i32.const 1024))
        (if (result i32) (i32.load8_u (i32.const 1028))
            (then (call $status (i32.const 1) %{it leads} (i32.const 1) (i32.const 10)))
            (else (call $status (i32.const 4) %{not started} (i32.const 0) (i32.const 0))))";
    Guest::new("rememberer")
        .key("address", false, Some("10.0.0.5:6379"))
        .hook("promote", promote)
        .hook("status", status)
        .hook("stop", "(call $error (i32.const 2) %{address is wrong})")
        .hook("demote", "unreachable")
}

#[test]
fn what_is_as_the_file_says_passes() {
    let place = Place::with(rememberer());
    let ran = place.test(
        r#"
[given]
epoch = 7
[[test]]
name = "a life"
[[test.call]]
hook = "status"
outcome = "stopped"
message = "not started"
[[test.call]]
hook = "promote"
log = ["info: taking over"]
store = { role = "promoted", other = false }
[[test.call]]
hook = "status"
outcome = "promoted"
message = { contains = "leads" }
score = 10
[[test]]
name = "nothing is left of the test before, and it may be too late"
[[test.call]]
hook = "status"
outcome = "stopped"
[[test.call]]
hook = "promote"
newest_epoch = 8
outcome = "failed"
message = "too late"
[[test]]
name = "other ends"
[[test.call]]
hook = "stop"
outcome = "misconfigured"
message = "address is wrong"
[[test.call]]
hook = "demote"
outcome = "crashed"
message = { contains = "unreachable" }
"#,
    );
    assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}", ran.said);
    let json = ran.json();
    assert_eq!((&json["passed"], &json["failed"], &json["ok"]), (&3.into(), &0.into(), &true.into()));
    let ran = place.run(&["--filter", "other"]);
    assert!(ran.said.contains("\n  ok    other ends ("), "{}", ran.said);
    assert!(
        ran.said.lines().last().unwrap().starts_with("passed: 1 ok, 0 failures, 2 left out, in "),
        "{}",
        ran.said
    );
    assert_eq!(place.run(&["--filter", "nothing of the kind"]).code, Some(2));
}

#[test]
fn what_is_not_is_shown_with_its_line_and_the_difference() {
    let place = Place::with(rememberer());
    let file = r#"[given]
store = { role = "promoted" }
[[test]]
name = "wrong in many ways"
[[test.call]]
hook = "status"
outcome = "promoted"
message = "it follows"
score = 11
details = { lag = "0" }
log = ["nothing of the kind"]
store = { role = "standby", gone = "x" }
[[test.call]]
hook = "demote"
[[test]]
name = "another outcome"
[[test.call]]
hook = "promote"
newest_epoch = 999999
[[test]]
name = "a configuration that the handler does not take"
given.config.adress = "x"
[[test.call]]
hook = "status"
[[test]]
name = "a store without room"
given.store.big = { hex = "00" }
given.limits = { memry = "1MiB" }
[[test.call]]
hook = "status"
"#;
    let ran = place.test(file);
    let expected = [
        "8: status: message; expected \"it follows\"; seen \"it leads\"",
        "9: status: score; expected 11; seen 10",
        "10: status: detail lag; expected \"0\"; seen no such detail",
        "11: status: log; expected a line with \"nothing of the kind\" in it; seen no such line",
        "12: status: role in the store; expected \"standby\"; seen \"promoted\"",
        "12: status: gone in the store; expected \"x\"; seen no such key",
        "17: promote: outcome; expected that it goes well; seen failed: too late",
    ];
    let found = ran.findings();
    assert_eq!((ran.code, &found[..7]), (Some(1), &expected.map(String::from)[..]), "{}", ran.said);
    assert!(found[7].starts_with("20: ") && found[7].contains("the nearest is `address`"), "{found:?}");
    assert!(found[8].starts_with("25: ") && found[8].contains("memory"), "{found:?}");

    let ran = place.run(&["--quiet", "--junit", "report.xml"]);
    let shown = "  FAIL  another outcome (";
    assert!(
        ran.said.contains(shown) && ran.said.contains("          seen      failed: too late\n"),
        "{}",
        ran.said
    );
    assert!(ran.said.lines().last().unwrap().starts_with("FAILED: 0 ok, 4 failures, in "), "{}", ran.said);
    let junit = fs::read_to_string(place.at("report.xml")).unwrap();
    assert!(junit.contains("<testsuite name=\"handler.test.toml\" tests=\"4\" failures=\"4\""), "{junit}");
    assert!(junit.contains("<testcase name=\"another outcome\""), "{junit}");
}

#[test]
fn a_mistake_in_a_file_is_said_before_anything_runs() {
    let place = Place::with(rememberer());
    let ran = place.test("[[test]]\nname = \"x\"\n[[test.call]]\nhok = \"start\"\n");
    let why = ran.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        (ran.code, why.as_str()),
        (Some(2), "handler.test.toml:4: `hok` is not a key of [[test.call]]; the nearest is `hook`")
    );
    for (words, said) in [
        (&["gone.toml"][..], "gone.toml: cannot be read"),
        (&["gone.wasm", "handler.test.toml"], "gone.wasm"),
        (&["--frob"], "--frob"),
        (&["cache"], "no test file is there"),
        (&["a.wasm", "b.wasm"], "name one handler"),
    ] {
        fs::create_dir_all(place.at("cache")).unwrap();
        fs::write(place.at("handler.test.toml"), "[[test]]\nname = \"x\"\n[[test.call]]\nhook = \"start\"\n")
            .unwrap();
        let ran = place.run(words);
        assert!(ran.code == Some(2) && ran.wrong.contains(said), "{words:?}: {}", ran.wrong);
    }
}

#[test]
fn a_guest_without_end_or_measure_fails_its_test_and_no_other() {
    let guest = Guest::new("wild")
        .hook("start", "(loop $on (br $on)) unreachable")
        .hook(
            "stop",
            "(local $n i32) (loop $on (call $log (i32.const 2) %{flood})
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $on (i32.lt_u (local.get $n) (i32.const 100000)))) (call $done)",
        )
        .hook(
            "promote",
            // Hours pass at once; then nothing is left of the call.
            "(drop (call $sleep (i64.const 3000))) (drop (call $sleep (i64.const 36000000)))
            (if (result i32) (i64.eqz (call $remaining)) (then (call $done)) (else (call $error (i32.const 0) %{time is left})))",
        )
        .hook("status", "(call $status (i32.const 0) %{fine} (i32.const 0) (i32.const 0))");
    let place = Place::with(guest);
    let ran = place.test(
        r#"[[test]]
name = "endless"
[[test.call]]
hook = "start"
timeout = "300ms"
outcome = "timed-out"
[[test]]
name = "floods"
[[test.call]]
hook = "stop"
[[test]]
name = "sleeps"
[[test.call]]
hook = "promote"
timeout = "10h"
[[test]]
name = "fine"
[[test.call]]
hook = "status"
"#,
    );
    let found = ran.findings();
    assert!(found.len() == 1 && found[0].starts_with("9: stop: it wrote 100000 lines"), "{found:?}");
}

#[test]
fn scripts_really_run_and_have_what_a_script_can_have() {
    let place = Place::new();
    let script = |name: &str, text: &str| {
        let path = place.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    };
    script("svc/status", "#!/bin/sh\necho score=7\necho \"$KOI_CONFIG_PLACE\"\nexit 91\n");
    script("svc/start", "#!/bin/sh\necho no room >&2\nexit 3\n");
    // There is nothing of this machine's network.
    script(
        "svc/stop",
        "#!/bin/sh\ntest \"$(ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | grep -c :)\" && tail -n +3 /proc/net/dev\n",
    );
    let file = |more: &str| {
        format!(
            "[given]\nconfig = {{ place = \"in sync\" }}\n[[test]]\nname = \"a script\"\n{more}[[test.call]]\nhook = \"status\"\n\
             outcome = \"standby\"\nscore = 7\nmessage = \"in sync\"\n[[test.call]]\nhook = \"start\"\noutcome = \"failed\"\n\
             message = {{ contains = \"no room\" }}\nlog = [\"warn: no room\"]\n[[test.call]]\nhook = \"stop\"\nlog = [\"lo:\"]\n"
        )
    };
    fs::write(place.at("svc/handler.test.toml"), file("")).unwrap();
    let ran = place.run(&["svc", "--json"]);
    assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}", ran.said);
    let log = ran.json()["tests"][0]["log"].clone();
    assert_eq!(log.as_array().unwrap().len(), 1, "loopback alone: {log}");

    fs::write(place.at("svc/handler.test.toml"), file("given.store = { a = \"b\" }\n")).unwrap();
    let found = place.run(&["svc", "--json"]).findings();
    assert!(found.len() == 1 && found[0].contains("`store` is for components"), "{found:?}");
}

/// A guest that was built beforehand.
fn built(name: &str) -> Option<PathBuf> {
    let usual = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../plugins/examples/target");
    let folder = std::env::var_os("KOI_GUESTS").map_or_else(usual, PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    if path.exists() {
        return Some(path.canonicalize().unwrap());
    }
    koi_testkit::skip(&format!("{} is not there; `plugins/examples/build {name}` makes it", path.display()));
    None
}

/// Grants for the probe, which imports everything.
const PROBE: &str = r#"
[given.grants]
tcp = ["10.0.0.5:*", "[fd00::5]:7"]
udp = ["10.0.0.5:53"]
lookup = true
exec = ["/opt/no/such/program *"]
http = ["10.0.0.5:80", "api.example:443"]
[given.names]
"api.example" = "93.184.215.14"
"#;

fn probe_test(name: &str, op: &str, world: &str, expected: &str) -> String {
    format!(
        "[[test]]\nname = {name:?}\ngiven.config.op = {op:?}\n{world}\n[[test.call]]\nhook = \"start\"\n{expected}\n"
    )
}

/// Runs the probe with these tests: names, ops, worlds and what is expected.
fn probe(tests: &[(&str, &str, &str, &str)]) -> Option<Ran> {
    let (place, wasm) = (Place::new(), built("probe-net")?);
    let tests: String =
        tests.iter().map(|(name, op, world, wanted)| probe_test(name, op, world, wanted)).collect();
    fs::write(place.at("probe.toml"), format!("{PROBE}{tests}")).unwrap();
    Some(place.run(&[wasm.to_str().unwrap(), "probe.toml", "--json"]))
}

#[test]
fn the_world_is_the_one_that_is_scripted() {
    let program = "[[test.exec]]\nrun = \"/opt/no/such/program go\"\nstdout = \"went\"\ncode = 4";
    let refused = "outcome = \"failed\"\nmessage = { contains = \"refused\" }";
    let Some(ran) = probe(&[
        ("a name", "lookup:api.example", "", "log = [\"93.184.215.14\"]"),
        ("a name that nobody knows", "lookup:www.rust-lang.org", "", "outcome = \"failed\""),
        ("a program", "exec:/opt/no/such/program go", program, "log = [\"code Some(4)\", \"went\"]"),
        (
            "a program that is not there",
            "exec:/opt/no/such/program go",
            "[[test.exec]]\nrun = [\"/opt/no/such/program\", \"go\"]\nerror = \"not-found\"",
            "outcome = \"failed\"\nmessage = \"not found\"",
        ),
        (
            "a peer",
            "tcp:10.0.0.5:9",
            "[[test.tcp]]\nat = \"10.0.0.5:9\"\ntalk = [{ say = \"hello\" }]",
            "log = [\"hello\"]",
        ),
        (
            "another family",
            "tcp:[fd00::5]:7",
            "[[test.tcp]]\nat = \"[fd00::5]:7\"\ntalk = [{ say = { hex = \"6869\" } }]",
            "log = [\"hi\"]",
        ),
        (
            "datagrams",
            "udp:10.0.0.5:53",
            "[[test.udp]]\nat = \"10.0.0.5:53\"\ntalk = [{ expect = \"from the probe\" }, { say = \"pong\" }]",
            "log = [\"pong\"]",
        ),
        (
            "a server",
            "http:http://10.0.0.5/a?b",
            "[[test.http]]\nrequest = \"GET http://10.0.0.5/a?b\"\nanswer = { status = 404, body = \"no\" }",
            "log = [\"404 no\"]",
        ),
        (
            "a server by https",
            "http:https://api.example/",
            "[[test.http]]\nrequest = \"GET https://api.example/\"\nanswer = { body = \"yes\" }",
            "log = [\"200 yes\"]",
        ),
        ("nobody listens", "tcp:10.0.0.5:9", "[[test.tcp]]\nat = \"10.0.0.5:9\"\nrefuse = true", refused),
    ]) else {
        return;
    };
    assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}", ran.said);
}

#[test]
fn what_was_scripted_and_not_used_or_used_and_not_scripted_is_found() {
    let peer = |talk: &str| format!("[[test.tcp]]\nat = \"10.0.0.5:9\"\ntalk = [{talk}]");
    let never = peer("{ expect = \"x\" }");
    let Some(ran) = probe(&[
        ("never", "lookup:api.example", &never, ""),
        (
            "a program",
            "exec:/opt/no/such/program go",
            "[[test.exec]]\nrun = \"/opt/no/such/program gone\"",
            "",
        ),
        ("once more", "exec:/opt/no/such/program go", "", "outcome = \"failed\""),
        (
            "never run",
            "lookup:api.example",
            "[[test.exec]]\nrun = \"/opt/no/such/program go\"\ntimes = 2",
            "",
        ),
        (
            "other bytes",
            "udp:10.0.0.5:53",
            "[[test.udp]]\nat = \"10.0.0.5:53\"\ntalk = [{ expect = \"from you\" }, { say = \"pong\" }]",
            "",
        ),
        (
            "another path",
            "http:http://10.0.0.5/a",
            "[[test.http]]\nrequest = \"GET http://10.0.0.5/b\"\nanswer = {}",
            "outcome = \"failed\"",
        ),
    ]) else {
        return;
    };
    let found = ran.findings();
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(
        found.iter().any(|f| f.ends_with("10.0.0.5:9 was connected to; expected once; seen not at all")),
        "{found:#?}"
    );
    let other = "a program was run that the test does not have; the nearest; expected /opt/no/such/program gone; seen \
                 /opt/no/such/program go";
    assert!(found.iter().any(|f| f.ends_with(other)), "{found:#?}");
    assert!(found.iter().any(|f| f.contains("go was run, and the test has no [[test.exec]]")), "{found:#?}");
    let bytes = "10.0.0.5:53 was sent another datagram than it expects: the first 5 bytes are the same; expected \"from you\"; seen \
                 \"from the probe\"";
    assert!(found.iter().any(|f| f.ends_with(bytes)), "{found:#?}");
    let request = "a request came that the test does not have; the nearest; expected GET 10.0.0.5/b; seen GET 10.0.0.5/a";
    assert!(found.iter().any(|f| f.ends_with(request)), "{found:#?}");
    assert!(found.iter().any(|f| f.ends_with("go was run; expected 2 times; seen not at all")), "{found:#?}");
}

/// Answers like a redis-server that wants this password, until the test ends.
fn fake_redis(password: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let (mut stream, mut command) = (stream.unwrap(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut command) {
                    let command = String::from_utf8_lossy(&command[..length]).into_owned();
                    let info = format!(
                        "role:master\r\nmaster_repl_offset:7\r\nredis_version:7\r\nsecret:{password}\r\n"
                    );
                    let answer = match command.split("\r\n").nth(2).unwrap_or_default() {
                        "AUTH" if command.contains(password) => "+OK\r\n".to_owned(),
                        "INFO" => format!("${}\r\n{info}\r\n", info.len()),
                        "GET" => "$-1\r\n".to_owned(),
                        "DBSIZE" => ":3\r\n".to_owned(),
                        _ => "-ERR what?\r\n".to_owned(),
                    };
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    port
}

#[test]
fn a_recording_passes_where_nothing_of_the_world_is_left_and_has_no_secret_in_it() {
    let Some(redis) = built("redis") else { return };
    if !nix::unistd::geteuid().is_root() {
        return koi_testkit::skip("recording takes root");
    }
    let (place, port) = (Place::new(), fake_redis("hunter2secret"));
    fs::create_dir(place.at("svc")).unwrap();
    let password = place.at("svc/password");
    koi_testkit::write_with_mode(&password, "hunter2secret\n", 0o600);
    let toml = format!(
        "[config]\naddress = \"127.0.0.1:{port}\"\npassword = {{ file = {password:?} }}\n[grants]\ntcp = [\"127.0.0.1:{port}\", \
         \"127.0.0.1:1\"]\n"
    );
    fs::write(place.at("svc/service.toml"), toml).unwrap();
    let record = |file: &str, more: &[&str]| {
        let words = ["--json", "--record", file, "--service", "svc", redis.to_str().unwrap(), "status"];
        place.run(&[&words, more].concat())
    };
    let ran = record("whole.toml", &["--with-bodies"]);
    assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}{}", ran.said, ran.wrong);
    let text = fs::read_to_string(place.at("whole.toml")).unwrap();
    assert!(!text.contains("hunter2") && text.contains("password = \"xxxxxxxxxxxxx\""), "{text}");
    assert!(text.contains("outcome = \"promoted\"") && text.contains("refuse = true"), "{text}");
    assert_eq!(place.at("whole.toml").metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let ran = record("lengths.toml", &[]);
    assert_eq!((ran.code, &ran.json()["recorded"]), (Some(0), &"lengths.toml".into()), "{}", ran.wrong);
    let text = fs::read_to_string(place.at("lengths.toml")).unwrap();
    assert!(text.contains("{ expect = { bytes = ") && !text.contains("AUTH"), "{text}");
    assert_eq!(record("lengths.toml", &[]).code, Some(2), "what is there is not written over");
}

/// Each example and each template is tested by its own file.
#[test]
fn examples_and_templates_pass_their_own_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // It takes a minute to compile them all: that is not done again.
    let place =
        Place(tempfile::tempdir().unwrap(), PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scripted"));
    let mut tested = 0;
    let mut files: Vec<(String, PathBuf)> = fs::read_dir(root.join("plugins/examples"))
        .unwrap()
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    // A template is tested as `koi plugins new` writes it, plain and with all that it can show: the build keeps both.
    for language in ["rust", "c", "js", "python", "go"] {
        for name in [format!("template-{language}"), format!("template-{language}-with")] {
            let Some(wasm) = built(&name) else { continue };
            files.push((name.clone(), wasm.parent().unwrap().join("templates").join(name)));
        }
    }
    for (name, folder) in files {
        let file = folder.join("handler.test.toml");
        let Some(wasm) = file.exists().then(|| built(&name)).flatten() else { continue };
        let ran = place.run(&[wasm.to_str().unwrap(), file.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{name}:\n{}{}", ran.said, ran.wrong);
        tested += 1;
    }
    println!("{tested} were tested");
}

#[test]
fn what_is_given_may_be_meant_to_be_refused() {
    let place = Place::with(rememberer());
    let file = r#"
[[test]]
name = "a slip in a key"
given.config = { adress = "10.0.0.5:6379" }
refused = "`address`"
[[test]]
name = "a grant that is none"
given.grants = { tcp = ["nowhere"] }
refused = "tcp"
[[test]]
name = "a limit that is none"
given.limits = { memory = "much" }
refused = "memory"
"#;
    let ran = place.test(file);
    assert_eq!((ran.code, ran.findings()), (Some(0), vec![]), "{}", ran.said);

    let other = file.replace("`address`", "nobody says this").replace("[\"nowhere\"]", "[\"10.0.0.5:1\"]");
    let ran = place.test(&other);
    let [slip, taken] = &ran.findings()[..] else { panic!("{:?}", ran.findings()) };
    let expected = "5: refused; expected a reason with \"nobody says this\" in it; seen ";
    assert!(slip.starts_with(expected) && slip.contains("`address`"), "{slip}");
    assert_eq!(taken, "9: refused; expected a reason with \"tcp\" in it; seen what is given is taken");
    assert_eq!(ran.code, Some(1));
}
