//! Components that name the processes of their service: koid watches them as it does those of scripts. `status` is asked so rarely by the
//! clock that whatever is seen here is seen because of an end.

use std::fs;
use std::process::{Child, Command};

use koi_cluster_tests::{Cluster, Service};
use koi_plugin_tests::guests::Guest;
use koi_proto::api::ServiceStatus;

/// A process that ends when the test wants it to.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Sleeper {
        Sleeper(Command::new("/bin/sleep").arg("3600").spawn().expect("sleep is there"))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node with one service whose status does this, and has these grants.
fn cluster(status: &str, grants: &str) -> Cluster {
    let component = Guest::new("db").built_against("0.2.0").hook("status", status).build();
    let manifest = format!("handler = \"./handler.wasm\"\n{grants}");
    let service =
        Service::empty().bytes("handler.wasm", &component, 0o644).file("service.toml", &manifest, 0o644);
    let builder = Cluster::builder().nodes(1).set("timing.status_interval", "\"1h\"");
    builder.service("10-db", service).start()
}

fn service(cluster: &Cluster) -> Option<ServiceStatus> {
    cluster.node("a").local().ok()?.node.services?.into_iter().find(|service| service.name == "db")
}

fn wait_watched(cluster: &Cluster, ids: &[u32]) {
    cluster.wait_for("its processes are watched", |c| {
        service(c).is_some_and(|service| service.processes == ids)
    });
}

#[test]
fn the_end_of_a_process_that_a_component_names_is_seen_at_once() {
    let mut sleeper = Sleeper::start();
    let status =
        format!("(call $pid (i32.const 0) (i32.const {})) (call $named (i32.const 1))", sleeper.id());
    let cluster = cluster(&status, "");
    cluster.wait_healthy();
    wait_watched(&cluster, &[sleeper.id()]);
    sleeper.kill();
    cluster.wait_log("a", &["a process of db has ended: its status is asked"]);
    wait_watched(&cluster, &[]);
    assert!(
        service(&cluster).is_some_and(|service| !service.failed),
        "its status still says that it is well"
    );
}

#[test]
fn a_pidfile_is_read_where_the_component_may_read_and_nowhere_else() {
    let mut sleeper = Sleeper::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path().canonicalize().expect("it is there");
    let (granted, other) = (folder.join("run"), folder.join("other"));
    for place in [&granted, &other] {
        fs::create_dir(place).expect("a folder can be made");
        fs::write(place.join("db.pid"), format!("{}\n", sleeper.id())).expect("a file can be written");
    }
    let name = |place: &std::path::Path| format!("%{{{}}}", place.join("db.pid").display());
    let status = format!(
        "(call $pidfile (i32.const 0) {}) (call $pidfile (i32.const 1) {}) (call $named (i32.const 2))",
        name(&other),
        name(&granted)
    );
    let cluster = cluster(&status, &format!("[grants]\nread = [\"{}\"]\n", granted.display()));
    cluster.wait_healthy();
    wait_watched(&cluster, &[sleeper.id()]);
    let line = format!("read = [\"{}\", \"{}\"]", granted.display(), other.display());
    cluster.wait_log("a", &["is ignored: the handler may not read it", &line]);
    sleeper.kill();
    cluster.wait_log("a", &["a process of db has ended: its status is asked"]);
}

#[test]
fn a_wrong_number_does_no_harm() {
    // Nobody's, koid's own, and one that no process can have.
    let mut gone = Sleeper::start();
    gone.kill();
    let status = format!(
        "(call $pid (i32.const 0) (i32.const {})) (call $pid (i32.const 1) (i32.const 0)) (call $pid (i32.const 2) (i32.const -1))
        (call $pid (i32.const 3) (i32.const 1)) (call $named (i32.const 4))",
        gone.id()
    );
    let cluster = cluster(&status, "");
    cluster.wait_healthy();
    cluster.wait_log("a", &["the end of its process is not seen at once"]);
    assert!(service(&cluster).is_some_and(|service| !service.failed && service.processes.is_empty()));
}
