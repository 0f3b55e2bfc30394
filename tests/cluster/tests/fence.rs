//! Self-fencing by a watchdog (R7), with FIFOs in the devices' place: never a real one.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use koi_cluster_tests::process::is_still;
use koi_cluster_tests::{Cluster, Service};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;

/// Three nodes with a FIFO each; and what was written to them.
struct Dogs {
    cluster: Cluster,
    readers: Vec<File>,
    _folder: tempfile::TempDir,
}

fn path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("dog{node}"))
}

fn dogs() -> Dogs {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut builder = Cluster::builder().nodes(3).service("db", Service::recorded());
    let mut readers = Vec::new();
    for node in 0..3 {
        let fifo = path(folder.path(), node);
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
        readers.push(
            File::options()
                .read(true)
                .custom_flags(nix::libc::O_NONBLOCK)
                .open(&fifo)
                .expect("its reading end"),
        );
        builder = builder.set_on(node, "node.fence", "\"watchdog\"").set_on(
            node,
            "node.watchdog",
            &format!("\"{}\"", fifo.display()),
        );
    }
    Dogs { cluster: builder.start(), readers, _folder: folder }
}

impl Dogs {
    /// What was written to a node's device since the last look.
    fn heard(&self, node: &str) -> String {
        let at = self.cluster.nodes().iter().position(|n| n.name == node).expect("a node of that name");
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = (&self.readers[at]).read(&mut buffer) {
            text.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[test]
fn it_is_petted_while_all_is_well_and_disarmed_when_everything_is_down() {
    let dogs = dogs();
    let master = dogs.cluster.wait_healthy();
    dogs.heard(&master);
    let mut heard = String::new();
    dogs.cluster.wait_for("it is petted", |_| {
        heard += &dogs.heard(&master);
        heard.len() >= 3
    });
    assert!(heard.chars().all(|c| c == 'p'), "petted, and not disarmed: {heard}");
    dogs.cluster.node(&master).stop();
    // Its guardian does it, and may outlive it by a moment.
    dogs.cluster.wait_for("it is disarmed at the end", |_| {
        heard += &dogs.heard(&master);
        heard.ends_with('V')
    });
    assert_eq!(heard.matches('V').count(), 1, "{heard}");
}

#[test]
fn nobody_pets_the_watchdog_of_a_master_that_koid_and_its_guardian_have_left() {
    let dogs = dogs();
    let master = dogs.cluster.wait_healthy();
    let node = dogs.cluster.node(&master);
    let guardian = dogs.cluster.wait_some("a guardian", |_| node.guardian());
    kill(guardian, Signal::SIGSTOP).unwrap();
    dogs.cluster.wait_for("it stands still", |_| is_still(guardian));
    node.kill();
    dogs.heard(&master);
    let other = dogs.cluster.wait_other_master(&master);
    assert_eq!(dogs.heard(&master), "", "the machine would have been reset before {other} was promoted");
    kill(guardian, Signal::SIGCONT).unwrap();
    dogs.cluster.wait_master(&other);
}

#[test]
fn nothing_is_promoted_before_the_watchdog_is_armed() {
    let builder = Cluster::builder().nodes(1).service("db", Service::recorded());
    let builder = builder.set_on(0, "node.fence", "\"watchdog\"");
    let cluster = builder.set_on(0, "node.watchdog", "\"/nonexistent/watchdog\"").start();
    let node = cluster.any();
    cluster.wait_some("the reason in the status", |_| {
        let local = node.local().ok()?;
        let says_why = local.node.message.contains("/nonexistent/watchdog");
        // Its services run, and wait.
        (says_why && local.node.state == "Live").then_some(())
    });
    assert!(cluster.hooks().began(&node.name, "db:promote").is_none());
    cluster.wait_log(&node.name, &["/nonexistent/watchdog", "nothing is promoted here"]);
}
