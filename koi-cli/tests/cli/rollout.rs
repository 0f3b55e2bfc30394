//! `koi plugins rollout`: what it says while nodes take their time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex};

use koi_proto::api::{NodeStatus, Plugin, Status};
use koi_testkit::{Terminal, wait_for};

use crate::fake::{Answer, Fake, healthy};
use crate::run::{Ran, command};

/// Something that is closed until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }
}

/// Two nodes use redis and a third does not; what `a` would take is known once the gate is open.
fn cluster(gate: &Arc<Gate>) -> Fake {
    let mut status: Status = healthy();
    status.nodes.push(NodeStatus {
        name: "c".into(),
        state: "Standby".into(),
        runner: true,
        ..NodeStatus::default()
    });
    let redis = |version: &str, services: &[&str]| {
        let plugin = Plugin {
            name: "redis".into(),
            version: version.into(),
            hash: Some(format!("hash of {version}")),
            state: "ready".into(),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
            ..Plugin::default()
        };
        serde_json::to_string(&[plugin]).unwrap()
    };
    let gate = Arc::clone(gate);
    Fake::new(move |asked| {
        if asked == "GET /v1/staged?node=a" {
            gate.pass();
        }
        let services: &[&str] = if asked.ends_with("node=c") { &[] } else { &["vip"] };
        Answer::Whole(
            200,
            match asked {
                "GET /v1/status" => serde_json::to_string(&status).unwrap(),
                asked if asked.starts_with("GET /v1/staged") => redis("0.2.0", services),
                _ => redis("0.1.0", services),
            },
        )
    })
}

#[test]
fn it_is_said_which_node_is_asked_and_that_one_still_compiles() {
    let gate = Arc::new(Gate::default());
    let fake = cluster(&gate);
    let mut child = command()
        .arg("--socket")
        .arg(fake.socket())
        .args(["plugins", "rollout", "redis@0.2.0", "--dry-run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        if line.contains("still") {
            gate.open();
        }
        said.push(line);
    }
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:?} {said:?}");
    // How long it took depends on the machine.
    let said: Vec<&str> = said.iter().map(|line| line.split(", ").next().unwrap()).collect();
    assert_eq!(
        said,
        [
            "koi: asking a what it would take …",
            "koi: a is still compiling",
            "koi: a would take it",
            "koi: asking b what it would take …",
            "koi: b would take it",
            "koi: asking c what it would take …",
            "koi: c does not use redis",
        ]
    );
    let first = "  1. a takes it and reports a good status of vip";
    assert_eq!(ran.stdout.lines().nth(1), Some(first), "the plan alone: {}", ran.stdout);
}

#[test]
fn on_a_terminal_what_goes_on_is_one_line_that_is_drawn_over_itself_and_gone_in_the_end() {
    let gate = Arc::new(Gate::default());
    let (fake, terminal, shown) = (cluster(&gate), Terminal::open(), tempfile::NamedTempFile::new().unwrap());
    let mut koi = terminal.command(Path::new(env!("CARGO_BIN_EXE_koi")));
    koi.arg("--socket").arg(fake.socket()).args(["plugins", "rollout", "redis@0.2.0", "--dry-run"]);
    let mut child = koi.spawn().unwrap();
    terminal.record(shown.reopen().unwrap());
    let shown = || fs::read_to_string(shown.path()).unwrap();
    wait_for("it is drawn again", || shown().matches("\rkoi: a is still compiling, ").count() > 1);
    gate.open();
    assert!(child.wait().unwrap().success(), "{}", shown());
    wait_for("the plan is shown", || shown().contains("  3. b takes it"));
    assert!(shown().contains("\r\x1b[Kkoi: a would take it, after "), "{:?}", shown());
}

#[test]
fn who_reads_json_reads_nothing_else() {
    let gate = Arc::new(Gate::default());
    gate.open();
    let ran = cluster(&gate).koi(&["-o", "json", "plugins", "rollout", "redis@0.2.0", "--dry-run"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.json()["steps"].as_array().map(Vec::len), Some(3), "{}", ran.stdout);
}
