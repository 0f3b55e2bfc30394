//! From an author to a cluster: a component is signed, pushed to a real registry, pulled and pinned on three nodes, rolled out, and taken
//! back.

use std::fs;
use std::path::PathBuf;

use koi_cluster_tests::{Cluster, Node, Service};
use koi_plugin_tests::guests::Guest;
use koi_plugin_tests::plugins::{Folder, listed, message};
use koi_testkit::docker_registry::DockerRegistry;
use tempfile::TempDir;

/// A component called `db` in this version, which says so in its status.
fn db(version: &str, status: &str) -> Vec<u8> {
    let guest = ["start", "stop", "promote", "demote"]
        .into_iter()
        .fold(Guest::new("db").release(version), |guest, hook| guest.hook(hook, "(call $done)"));
    guest.hook("status", status).build()
}

fn well(version: &str) -> Vec<u8> {
    db(version, &format!("(call $status (i32.const 0) %{{db {version}}} (i32.const 0) (i32.const 0))"))
}

/// Whoever writes the plugin.
struct Author {
    folder: TempDir,
    registry: DockerRegistry,
}

impl Author {
    fn new(registry: DockerRegistry) -> Author {
        let folder = tempfile::tempdir().expect("a folder can be made");
        registry.write_settings(&folder.path().join("registries.toml"));
        Author { folder, registry }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// The public key of a pair that is made now.
    fn make_key(&self, node: &Node) -> String {
        node.koi(&["plugins", "keygen", &self.text("key"), "--no-password"]).exits(0);
        let public = fs::read_to_string(self.path("key.pub")).expect("it was made");
        public.lines().nth(1).expect("a key stands in the second line").to_owned()
    }

    fn reference(&self, version: &str) -> String {
        format!("oci://{}/team/db:{version}", self.registry.host())
    }

    /// Signs a component and brings it to the registry.
    fn publish(&self, node: &Node, version: &str, component: &[u8]) {
        let file = self.text("db.wasm");
        fs::write(&file, component).expect("a file can be written");
        node.koi(&["plugins", "sign", &file, "--key", &self.text("key"), "--no-password"]).exits(0);
        let registries = self.text("registries.toml");
        node.koi(&["plugins", "push", &file, &self.reference(version), "--registries", &registries]).exits(0);
    }

    /// Pulls a version on a node; the line for `service.toml`.
    fn pull(&self, node: &Node, version: &str) -> String {
        self.registry.write_settings(&node.folder.join("registries.toml"));
        let pulled = node.koi(&["plugins", "pull", &self.reference(version)]);
        let line = pulled
            .exits(0)
            .lines()
            .find(|line| line.starts_with("handler = "))
            .expect("a line for service.toml");
        line.to_owned()
    }
}

fn name_in_service(node: &Node, line: &str) {
    let folder = node.services.join("10-db");
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join("new"), format!("{line}\n")).expect("a file can be written");
    fs::rename(folder.join("new"), folder.join("service.toml")).expect("a file can be renamed");
}

/// Waits until every node's service says that it is this version.
fn wait_version(cluster: &Cluster, version: &str) {
    let said = format!("db {version}");
    cluster.wait_for(&format!("every node has {version}"), |cluster| {
        cluster.nodes().iter().all(|node| message(cluster, &node.name, "db").as_ref() == Some(&said))
    });
}

fn version(node: &Node) -> String {
    listed(node, "db").map(|plugin| plugin.version).unwrap_or_default()
}

/// Three nodes with a service of the plugin in version 1.0, which was pulled, and a script that tells of every hook.
fn cluster(author: &Author) -> Cluster {
    let cluster = Cluster::builder().nodes(3).service("20-web", Service::recorded()).build();
    // None runs yet, and none needs to.
    let somebody = &cluster.nodes()[0];
    let key = author.make_key(somebody);
    author.publish(somebody, "1.0", &well("1.0"));
    for node in cluster.nodes() {
        node.set("plugins.trusted_keys", &format!("[{key:?}]"));
        node.set("plugins.require_signature", "true");
        let line = author.pull(node, "1.0");
        name_in_service(node, &line);
        node.start();
    }
    cluster
}

#[test]
fn a_version_comes_to_every_node_that_has_pulled_it_the_master_last_and_goes_back() {
    let Some(registry) = DockerRegistry::start() else { return };
    let mut author = Author::new(registry);
    let cluster = cluster(&author);
    let master = cluster.wait_healthy();
    let signed = listed(cluster.any(), "db").unwrap().signature.unwrap();
    assert_eq!((signed.state.as_str(), signed.signed.as_deref()), ("signed", Some("db 1.0")));
    let old = author.pull(cluster.any(), "1.0");

    // A registry that is away changes nothing for what was pulled.
    author.publish(cluster.any(), "2.0", &well("2.0"));
    let [first, second, third] = cluster.nodes() else { panic!("three") };
    let new = author.pull(first, "2.0");
    author.pull(second, "2.0");
    author.registry.stop();
    let standby = cluster.others(&master).next().unwrap();
    standby.stop();
    standby.start();
    cluster.wait_healthy();

    // One node has not got it: nothing begins.
    for node in cluster.nodes() {
        name_in_service(node, &new);
    }
    let refused = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    refused.refuses(
        1,
        &[
            "c could not take",
            "it is not on this node",
            "koi plugins pull oci://",
            "nothing has been changed",
        ],
    );
    wait_version(&cluster, "1.0");

    // It comes there in a file.
    let reference = new.trim_start_matches("handler = ").trim_matches('"');
    let archive = author.text("db.tar");
    first.koi(&["plugins", "save", reference, &archive]).exits(0);
    let loaded = third.koi(&["plugins", "load", &archive]);
    assert!(loaded.exits(0).contains(&new), "{}", loaded.out);

    let plan = cluster.any().koi(&["plugins", "rollout", "db@2.0", "--dry-run"]);
    let steps: Vec<&str> = plan.exits(0).lines().skip(1).collect();
    assert_eq!(steps.len(), 4, "{}", plan.out);
    assert!(steps[2].contains(&format!("becomes master in place of {master}")), "{}", plan.out);
    assert!(steps[3].contains(&format!("{master} takes it")), "{}", plan.out);
    wait_version(&cluster, "1.0");

    cluster.any().koi(&["plugins", "rollout", "db@2.0"]).exits(0);
    wait_version(&cluster, "2.0");
    assert_ne!(cluster.wait_healthy(), master);
    let again = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    assert!(again.exits(0).contains("has it already"), "{}", again.out);

    for node in cluster.nodes() {
        name_in_service(node, &old);
    }
    cluster.any().koi(&["plugins", "rollout", "db@1.0"]).exits(0);
    wait_version(&cluster, "1.0");
    cluster.wait_healthy();
    cluster.hooks().assert_one_promoted();
}

#[test]
fn a_rollout_stops_at_the_first_node_that_is_not_well_with_it_and_the_master_goes_on() {
    let Some(registry) = DockerRegistry::start() else { return };
    let author = Author::new(registry);
    let cluster = cluster(&author);
    let master = cluster.wait_healthy();
    author.publish(cluster.any(), "2.0", &db("2.0", "(call $error (i32.const 0) %{the disk is full})"));
    for node in cluster.nodes() {
        let line = author.pull(node, "2.0");
        name_in_service(node, &line);
    }
    let stopped = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    let standby = cluster.others(&master).map(|node| node.name.clone()).min().unwrap();
    let said = [
        "stopped where",
        "the disk is full",
        "to go back",
        &format!("{standby} has 2.0"),
        &format!("{master} has 1.0"),
    ];
    stopped.refuses(1, &said);
    assert_eq!(cluster.master().as_ref(), Some(&master));
    assert_eq!(message(&cluster, &master, "db").as_deref(), Some("db 1.0"));
    cluster.hooks().assert_one_promoted();
}

#[test]
fn what_nobody_has_signed_is_not_pulled_and_not_taken_and_what_runs_goes_on() {
    let Some(registry) = DockerRegistry::start() else { return };
    let author = Author::new(registry);
    let cluster = cluster(&author);
    let master = cluster.wait_healthy();
    let file = author.text("unsigned.wasm");
    fs::write(&file, well("2.0")).unwrap();
    let (node, registries) = (cluster.node(&master), author.text("registries.toml"));
    node.koi(&["plugins", "push", &file, &author.reference("2.0"), "--registries", &registries]).exits(0);
    node.koi(&["plugins", "pull", &author.reference("2.0")])
        .refuses(1, &["it is not signed", "nothing has changed"]);
    // An old file for a new version is found out too.
    let wrong = node.koi(&[
        "plugins",
        "push",
        &author.text("db.wasm"),
        &author.reference("3.0"),
        "--registries",
        &registries,
    ]);
    wrong.refuses(1, &["calls itself db 1.0"]);

    fs::write(node.services.join("10-db/plain.wasm"), well("2.0")).unwrap();
    name_in_service(node, "handler = \"plain.wasm\"");
    node.koi(&["reconfigure"]).exits(1);
    // Whether the list still has the version that runs depends on whether the folder was looked at before.
    assert_ne!(version(node), "2.0");
    let status = cluster.wait_status("the status says what does not come along", |status| {
        status.cluster.warnings.iter().any(|warning| warning.contains("plain.wasm: it is not signed"))
    });
    assert_eq!(status.cluster.master.as_ref(), Some(&master));
    assert_eq!(message(&cluster, &master, "db").as_deref(), Some("db 1.0"));
    assert_eq!(cluster.hooks().assert_one_promoted(), [master]);
}

#[test]
fn a_file_that_was_copied_is_rolled_out_too_and_only_the_version_that_is_named() {
    let plugins = Folder::default();
    plugins.put("db.wasm", &well("1.0"));
    let named = Service::empty().file("service.toml", "handler = \"db\"\n", 0o644);
    let cluster = Cluster::builder().nodes(1).service("10-db", named).service("20-web", Service::recorded());
    let cluster = cluster.set("plugins.dirs", &plugins.setting()).start();
    cluster.wait_healthy();
    let (node, hooks) = (cluster.any(), cluster.hooks().count());
    plugins.put("db.wasm", &well("2.0"));
    node.koi(&["plugins", "rollout", "db@3.0"])
        .refuses(1, &["a would take db 2.0, and not db 3.0", "nothing has been changed"]);
    node.koi(&["plugins", "rollout", "other@1.0"])
        .refuses(1, &["no service on any node uses a plugin called other"]);
    let plan = node.koi(&["plugins", "rollout", "db@2.0", "--dry-run"]);
    assert!(
        plan.exits(0).contains("a, the master, for whom nobody could take over, takes it"),
        "{}",
        plan.out
    );
    assert_eq!(listed(node, "db").unwrap().version, "1.0");
    let done = node.koi(&["-o", "json", "plugins", "rollout", "db@2.0"]);
    assert!(done.exits(0).contains("\"done\": true"), "{}", done.out);
    assert_eq!(done.err, "", "who reads JSON reads nothing else");
    assert_eq!(message(&cluster, "a", "db").as_deref(), Some("db 2.0"));
    cluster.assert_undisturbed("a", hooks);
}

#[test]
fn two_versions_that_services_use_at_once_are_told_apart_by_their_numbers() {
    let plugins = Folder::default();
    plugins.put("one.wasm", &well("1.0"));
    plugins.put("two.wasm", &well("2.0"));
    let service = |file: &str| {
        let handler = format!("handler = {:?}\n", plugins.path(file));
        Service::empty().file("service.toml", &handler, 0o644)
    };
    let cluster = Cluster::builder().nodes(1);
    let cluster =
        cluster.service("10-old", service("one.wasm")).service("20-new", service("two.wasm")).start();
    cluster.wait_healthy();
    let node = cluster.any();
    let known = "known are: db 1.0 (used by old), db 2.0 (used by new)";
    node.koi(&["plugins", "inspect", "db"]).refuses(2, &["several versions of db", known, "db@VERSION"]);
    for version in ["1.0", "2.0"] {
        let shown = node.koi(&["plugins", "inspect", &format!("db@{version}")]);
        assert!(shown.exits(0).starts_with(&format!("db {version}: ready")), "{}", shown.out);
    }
    node.koi(&["plugins", "inspect", "db@3.0"]).refuses(1, &["no db 3.0 is known", known]);
    node.koi(&["plugins", "inspect", "web@1.0"]).refuses(1, &["a has no plugin called web"]);
}

/// Three nodes with a service of the plugin `db`, which lies in a folder of theirs all.
fn cluster_of_files(plugins: &Folder) -> Cluster {
    plugins.put("db.wasm", &well("1.0"));
    let named = Service::empty().file("service.toml", "handler = \"db\"\n", 0o644);
    let cluster = Cluster::builder().nodes(3).service("10-db", named).service("20-web", Service::recorded());
    cluster.set("plugins.dirs", &plugins.setting()).start()
}

#[test]
fn the_way_back_is_open_when_the_only_node_that_is_not_well_failed_with_the_new_version() {
    let plugins = Folder::default();
    let cluster = cluster_of_files(&plugins);
    let master = cluster.wait_healthy();
    plugins.put("db.wasm", &db("2.0", "(call $error (i32.const 0) %{the disk is full})"));
    let stopped = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    stopped.refuses(1, &["stopped where", "the disk is full", "to go back", "koi plugins rollout db@1.0"]);
    let standby = cluster.others(&master).map(|node| node.name.clone()).min().unwrap();

    // The same version again would not mend it.
    let again = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    again.refuses(1, &[&format!("{standby} is Failed now, and has this version already"), "koi recover"]);

    plugins.put("db.wasm", &well("1.0"));
    let plan = cluster.any().koi(&["plugins", "rollout", "db@1.0", "--dry-run"]);
    let step = format!("{standby}, which has failed, takes it, recovers and reports a good status of db");
    assert!(plan.exits(0).contains(&step), "{}", plan.out);
    let back = cluster.any().koi(&["plugins", "rollout", "db@1.0"]);
    assert!(back.exits(0).contains(&format!("{standby} has it")), "{}", back.out);
    assert!(back.err.contains(&format!("koi: asking {master} what it would take …")), "{}", back.err);
    assert!(back.err.contains(&format!("koi: {step}")), "{}", back.err);
    wait_version(&cluster, "1.0");
    assert_eq!(cluster.wait_healthy(), master);
    cluster.hooks().assert_one_promoted();
}

#[test]
fn a_promotion_that_fails_ends_the_rollout_at_once_with_its_reason() {
    let plugins = Folder::default();
    let cluster = cluster_of_files(&plugins);
    cluster.wait_healthy();
    let broken = ["start", "stop", "demote"]
        .into_iter()
        .fold(Guest::new("db").release("2.0"), |guest, hook| guest.hook(hook, "(call $done)"))
        .hook("promote", "(call $error (i32.const 0) %{the bulb is broken})")
        .hook("status", "(call $status (i32.const 0) %{db 2.0} (i32.const 0) (i32.const 0))");
    plugins.put("db.wasm", &broken.build());
    let stopped = cluster.any().koi(&["plugins", "rollout", "db@2.0"]);
    stopped.refuses(1, &["becomes master in place of", "the bulb is broken", "to go back"]);
    assert!(!stopped.err.contains("not within"), "{}", stopped.err);

    plugins.put("db.wasm", &well("1.0"));
    cluster.any().koi(&["plugins", "rollout", "db@1.0"]).exits(0);
    wait_version(&cluster, "1.0");
    cluster.wait_healthy();
    cluster.hooks().assert_one_promoted();
}
