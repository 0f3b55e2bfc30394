//! All of the examples at once, in one cluster.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use koi_cluster_tests::{Cluster, Node, Service, is_root, skip};
use koi_plugin_tests::examples;
use koi_plugin_tests::plugins::{Folder, listed};
use koi_plugin_tests::redis::Server;
use koi_plugin_tests::world::{IP, interface, own_network, web_server};
use koi_proto::api::ServiceStatus;

/// The address that follows the master: one of those that are for documentation.
const ADDRESS: &str = "192.0.2.10";

/// Those that are plugins: their names and files.
const PLUGINS: [(&str, &str); 6] = [
    ("disk-space", "disk-space.wasm"),
    ("virtual-ip", "virtual-ip.wasm"),
    ("redis", "redis.wasm"),
    ("hello-native", "hello-native.so"),
    ("hello-c", "hello-c.so"),
    ("http-check", "http-check.wasm"),
];

/// The one that is a script; its folder in `/run` is named after it, and other tests may have one.
const LIVENESS: &str = "classic-liveness/classic-liveness";

/// How long the first node may take to compile what others have made of Python and JavaScript: a minute, if nobody else is there.
const COMPILING: Duration = Duration::from_secs(600);

/// A service of an example, and how its status is to be on the master and on the others.
struct Example {
    name: String,
    install: Box<dyn Fn(&Node) -> Service>,
    well: fn(&ServiceStatus, master: bool) -> bool,
}

fn example(
    name: &str,
    install: impl Fn(&Node) -> Service + 'static,
    well: fn(&ServiceStatus, bool) -> bool,
) -> Example {
    Example { name: name.to_owned(), install: Box::new(install), well }
}

fn of(toml: String) -> Service {
    Service::empty().file("service.toml", &toml, 0o644)
}

fn says(service: &ServiceStatus, words: &str) -> bool {
    service.message.as_ref().is_some_and(|message| message.contains(words))
}

fn detail<'s>(service: &'s ServiceStatus, key: &str) -> Option<&'s str> {
    service.details.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

fn disk() -> Example {
    let toml = "handler = \"disk-space\"\n[config]\nlimit = 100\n[grants]\nexec = [\"/usr/bin/df --block-size=1 --output=used,avail -- *\"]\n";
    example(
        "05-disk",
        |_| of(toml.to_owned()),
        |s, _| says(s, "% full") && s.score.is_some() && detail(s, "free").is_some(),
    )
}

/// All nodes share a network here, and each has an interface of its own.
fn address() -> Example {
    let install = |node: &Node| {
        let dev = interface(&node.name);
        of(format!(
            "handler = \"virtual-ip\"\n[config]\nhost = \"{ADDRESS}\"\nprefix = 32\ninterface = \"{dev}\"\nannounce = 1\n[grants]\nexec = [\n  \
             \"{IP} -o addr show dev {dev} to {ADDRESS}\",\n  \"{IP} addr add {ADDRESS}/32 dev {dev} nodad\",\n  \
             \"{IP} addr del {ADDRESS}/32 dev {dev}\",\n  \"/usr/bin/arping -q -U -c 1 -I {dev} {ADDRESS}\",\n]\n"
        ))
    };
    example("20-vip", install, |s, master| says(s, if master { "is on vip-" } else { "is for" }))
}

fn redis(servers: &[Server]) -> Example {
    let names = ["a", "b", "c"];
    let of_node: Vec<String> = servers.iter().map(Server::address).collect();
    let peers: Vec<String> = names.iter().zip(&of_node).map(|(name, at)| format!("{name}={at}")).collect();
    let install = move |node: &Node| {
        let own = names.iter().position(|name| *name == node.name).expect("a, b or c");
        of(format!(
            "handler = \"redis\"\n[config]\naddress = {:?}\npeers = {:?}\n[grants]\ntcp = {of_node:?}\n",
            of_node[own],
            peers.join(" ")
        ))
    };
    // Whoever is master has the two others as replicas, and they are in step.
    example("10-redis", install, |s, master| match master {
        true => detail(s, "replicas") == Some("2"),
        false => detail(s, "link") == Some("up"),
    })
}

fn liveness() -> Option<Example> {
    if !is_root() {
        skip("classic-liveness: it keeps its files in /run, where root may write");
        return None;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples").join(LIVENESS);
    let text = fs::read_to_string(&path).expect("the example is in the repository");
    let well =
        |s: &ServiceStatus, master| if master { says(s, "primary since epoch") } else { s.score.is_some() };
    Some(example(&format!("30-{}", liveness_name()), move |_| Service::single_file(&text), well))
}

fn liveness_name() -> String {
    format!("liveness-{}", std::process::id())
}

/// Takes away what the killed services of classic-liveness have left.
struct Tidy;

impl Drop for Tidy {
    fn drop(&mut self) {
        for node in ["a", "b", "c"] {
            let _ = fs::remove_dir_all(format!("/run/{}.{node}", liveness_name()));
        }
    }
}

fn greeting(name: &str, handler: &'static str) -> Example {
    let install =
        move |_: &Node| of(format!("handler = \"{handler}\"\n[config]\ngreeting = \"good morning\"\n"));
    example(name, install, |s, _| says(s, "good morning"))
}

fn web() -> Example {
    let port = web_server();
    let toml = format!(
        "handler = \"http-check\"\n[config]\nserver = \"127.0.0.1:{port}\"\npath = \"/health\"\ncontains = \"ready\"\n[grants]\nhttp = [\"127.0.0.1:{port}\"]\n"
    );
    example(
        "50-web",
        move |_| of(toml.clone()),
        |s, _| says(s, "answers 200 in") && detail(s, "status") == Some("200"),
    )
}

/// Every example that is a plugin and for which everything is there.
fn examples(plugins: &Folder, servers: &[Server], network: bool) -> Vec<Example> {
    let there = |name: &str| {
        let (_, file) = PLUGINS.into_iter().find(|(known, _)| *known == name).expect("one of them");
        let found = examples::find(file);
        if let Some(path) = &found {
            plugins.put(file, &fs::read(path).expect("a plugin can be read"));
        }
        found.is_some()
    };
    let mut all = Vec::new();
    all.extend(there("disk-space").then(disk));
    all.extend((there("redis") && servers.len() == 3).then(|| redis(servers)));
    all.extend((there("virtual-ip") && network).then(address));
    all.extend(there("hello-native").then(|| greeting("40-hello", "hello-native")));
    all.extend(there("hello-c").then(|| greeting("41-hello-c", "hello-c")));
    all.extend(there("http-check").then(web));
    all
}

/// Starts the nodes one after the other: compiling is a matter of the first, whose cache the others get.
fn start(cluster: &Cluster, examples: &[Example]) {
    let [first, rest @ ..] = cluster.nodes() else { panic!("there are three") };
    for node in cluster.nodes() {
        examples.iter().for_each(|example| node.add(&example.name, &(example.install)(node)));
    }
    first.start();
    for (name, file) in PLUGINS {
        if examples::path(file).exists() {
            let ready = || listed(first, name).is_some_and(|plugin| plugin.state == "ready");
            cluster.wait_for_within(COMPILING, &format!("{name} is ready"), |_| ready());
        }
    }
    for node in rest {
        fs::create_dir_all(&node.state_dir).expect("a folder can be made");
        let cache = first.state_dir.join("plugins");
        let copied = Command::new("cp").arg("-a").arg(cache).arg(&node.state_dir).status();
        assert!(copied.is_ok_and(|status| status.success()));
        node.start();
    }
}

/// Waits until the status of every example is as it should be with this master.
fn all_well(cluster: &Cluster, examples: &[Example]) -> String {
    let master = cluster.wait_healthy();
    for example in examples {
        let (_, name) = example.name.split_once('-').expect("it has a priority");
        cluster.wait_status(&format!("{name} is well everywhere"), |status| {
            status.nodes.iter().all(|node| {
                let service = node.services.iter().flatten().find(|service| service.name == name);
                service.is_some_and(|service| (example.well)(service, node.name == master))
            })
        });
    }
    master
}

#[test]
fn all_of_them_run_at_once_and_follow_the_master() {
    let network = own_network();
    let servers: Vec<Server> = (0..3).map_while(|_| Server::start()).collect();
    let _tidy = Tidy;
    let plugins = Folder::default();
    let mut examples = examples(&plugins, &servers, network);
    let cluster = Cluster::builder().nodes(3).set("plugins.dirs", &plugins.setting()).build();
    start(&cluster, &examples);
    cluster.wait_healthy();
    // A script needs no plugin, and may come at any time.
    if let Some(script) = liveness() {
        cluster.nodes().iter().for_each(|node| node.add(&script.name, &(script.install)(node)));
        examples.push(script);
    }

    let first = all_well(&cluster, &examples);
    assert_eq!(with_address(&cluster), owner(network, &first), "{}", cluster.report());
    show(&cluster, &examples, &servers);

    let next = cluster.others(&first).next().expect("there are three").name.clone();
    cluster.any().order(&["promote", &next]).exits(0);
    cluster.wait_master(&next);
    assert_eq!(all_well(&cluster, &examples), next);
    assert_eq!(with_address(&cluster), owner(network, &next), "{}", cluster.report());
    cluster.nodes().iter().for_each(Node::stop);
    assert_eq!(with_address(&cluster), [""; 0], "nobody is master any more\n{}", cluster.report());
}

/// Who is to have the address.
fn owner(network: bool, master: &str) -> Vec<&str> {
    if network && examples::path("virtual-ip.wasm").exists() { vec![master] } else { Vec::new() }
}

/// The nodes whose interface has the address.
fn with_address(cluster: &Cluster) -> Vec<&str> {
    let has = |node: &&Node| {
        let args = ["-o", "addr", "show", "dev", &interface(&node.name), "to", ADDRESS];
        Command::new(IP).args(args).output().is_ok_and(|shown| !shown.stdout.is_empty())
    };
    cluster.nodes().iter().filter(has).map(|node| node.name.as_str()).collect()
}

/// What people see of the plugins, if every example is there.
fn show(cluster: &Cluster, examples: &[Example], servers: &[Server]) {
    if examples.len() < PLUGINS.len() + 1 {
        skip("what `koi plugins` shows: not every example is there");
        return;
    }
    let node = cluster.node("a");
    let ports: Vec<String> = servers.iter().map(|server| format!(":{}", server.port)).collect();
    let redact = |text: &str| {
        let text = text.replace(&liveness_name(), "liveness");
        ports.iter().enumerate().fold(text, |text, (n, port)| text.replace(port, &format!(":[PORT {n}]")))
    };
    let listed = redact(node.koi(&["plugins", "list"]).exits(0));
    // Behind them stands what they cost, which is never the same.
    let (plugins, costs) = listed.split_once("\n\n").expect("two tables");
    insta::assert_snapshot!("plugins-list", plugins);
    assert!(costs.starts_with("NAME ") && costs.contains("\nredis "), "{costs}");
    let inspected = redact(node.koi(&["plugins", "inspect", "redis"]).exits(0));
    let (plugin, costs) = inspected.split_once("\n  HOOK ").expect("what it is, and what its hooks cost");
    insta::assert_snapshot!("plugins-inspect", without_builds(plugin));
    assert!(
        costs.contains("\n  promote ") && costs.contains(" of memory, of 64 MiB; counted since "),
        "{costs}"
    );
}

/// The text without what depends on the compiler of the day and on the folder.
fn without_builds(inspected: &str) -> String {
    let mut lines = Vec::new();
    let mut imports = false;
    for line in inspected.lines() {
        imports = line == "imports" || (imports && !line.is_empty());
        match line.split_ascii_whitespace().next() {
            Some(word @ ("size" | "compiled" | "file" | "SHA-256")) => lines.push(format!("  {word} […]")),
            Some(_) if imports && line != "imports" => {
                // The libraries of languages import what they please.
                let ours = line
                    .split([',', ' '])
                    .filter(|import| import.starts_with("koi:") || import.contains(":sockets/"));
                lines.extend(ours.map(|import| format!("  {}", without_patch_version(import))));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// `wasi:io/streams@0.2` for `wasi:io/streams@0.2.6`; our own versions stay.
fn without_patch_version(import: &str) -> &str {
    match import.split_once("@0.2.") {
        Some((name, _)) => &import[..name.len() + "@0.2".len()],
        None => import,
    }
}
