//! How helpers end: in order with their handler, and at once with koid.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use koi_plugin_api::{Hook, Outcome};
use koi_testkit::lives;

use crate::support::{Bench, PATIENCE, misbehaving, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_dropped_destroys_its_instance() {
    let Some((bench, service)) = misbehaving(&[]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let log = start.log.clone();
    assert_eq!(start.run().await, Ok(Outcome::Done));
    let destroyed = service.home.join("destroyed");
    bench.registry.close();
    drop(service);
    until("destroy was called", || destroyed.exists()).await;
    until("its process is gone", || !lives(log.group())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_that_hangs_is_killed_and_nobody_waits_for_it() {
    let Some((bench, service)) = misbehaving(&[("destroy", "slow")]) else { return };
    let start = service.prepare(Hook::Start, PATIENCE);
    let log = start.log.clone();
    assert_eq!(start.run().await, Ok(Outcome::Done));
    bench.registry.close();
    let service_home = service.home.clone();
    drop(service);
    until("its process is gone", || !lives(log.group())).await;
    assert!(!service_home.join("destroyed").exists(), "it never came so far");
}

/// Kills what a failed test would leave behind.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What koid's end of the conversation looks like on the wire; the rest of it is koid's own.
fn orders(home: &str, hook: u32) -> String {
    let call = format!(
        r#"{{"hook":{hook},"attempt":1,"call_id":1,"epoch":0,"timeout_ms":900000,"role":0,"service":"s","node":"n","node_id":"","cluster":"",
        "node_state":"","master":null,"home":"{home}","workdir":"/","config":[["start","hang"]],"failure":null,"deadline_ms":900000,"promoted_epoch":0,"previous":null,"reason":null,"group":"main","peers":null}}"#
    );
    let create = format!(r#"{{"service":"s","home":"{home}","config":[],"timeout_ms":900000}}"#);
    format!("{{\"Create\":{create}}}\n{{\"Call\":{}}}\n", call.replace('\n', ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_helper_ends_with_koid_even_while_its_plugin_hangs() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut helper = Command::new(env!("CARGO_BIN_EXE_koi-plugin-helper"));
    helper.arg("plugin-native").arg(&plugin).arg("s").stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
    let helper = Killed(helper.process_group(0).spawn().unwrap());
    let id = i32::try_from(helper.0.id()).unwrap();

    ours.write_all(orders(&bench.dir.path().display().to_string(), 0).as_bytes()).unwrap();
    let mut lines = BufReader::new(ours.try_clone().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("hanging")), "the hook is in the plugin, and hangs");
    // koid is killed: all that the helper sees of it is the end of the socket.
    drop((lines, ours));
    until("the helper has ended", || !lives(id)).await;
}

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let helper = || Command::new(env!("CARGO_BIN_EXE_koi-plugin-helper"));
    let output = helper().arg("plugin-native").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("koi plugins check FILE"));
    let output = helper().args(["plugin-native", "/no/such.so"]).stdin(Stdio::null()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("no socket to koid on standard input"));
    assert!(!output.status.success());
}
