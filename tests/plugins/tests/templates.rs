//! What `koi plugins new --with exec,tcp,http` writes, built in each language: it keeps to the contract, looks at what it is
//! configured to, and says what is wrong in the same words everywhere.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use koi_cluster_tests::{Cluster, Node};
use koi_plugin_tests::examples;
use koi_plugin_tests::world::web_server;
use tempfile::TempDir;

const LANGUAGES: [&str; 5] = ["rust", "c", "js", "python", "go"];

/// Handlers by hand, beside any cluster: a node that is not started lends its `koi`.
struct Bench {
    cluster: Cluster,
    place: TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            cluster: Cluster::builder().nodes(1).build(),
            place: tempfile::tempdir().expect("a folder can be made"),
        }
    }

    fn node(&self) -> &Node {
        &self.cluster.nodes()[0]
    }

    /// A service whose handler is asked to look at these addresses.
    fn service(&self, name: &str, address: &str, web: &str) -> PathBuf {
        let folder = self.place.path().join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        let toml = format!(
            "[config]\nscore = 7\npath = \"/\"\npatience = \"20s\"\naddress = \"{address}\"\nweb = \"{web}\"\n[grants]\n\
             exec = [\"/usr/bin/df --output=pcent -- /\"]\ntcp = [\"{address}\"]\nhttp = [\"{web}\"]\n"
        );
        fs::write(folder.join("service.toml"), toml).expect("a file can be written");
        folder
    }

    /// Runs a hook as it is run in this service; what the handler stores is there at the next one.
    fn run(&self, handler: &Path, hook: &str, service: &Path) -> (i32, String) {
        let state = self.place.path().join(handler.file_stem().expect("it is a file"));
        let (state, service) = (state.to_string_lossy(), service.to_string_lossy());
        let handler = handler.to_string_lossy();
        let words = ["plugins", "run", &handler, hook, "--service", &service, "--state", &state];
        let ran = self.node().koi(&words);
        (ran.code, format!("{}{}", ran.out, ran.err))
    }
}

/// An address of the loopback where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("it has one").to_string()
}

#[test]
fn it_keeps_to_the_contract() {
    let bench = Bench::new();
    for language in LANGUAGES {
        for file in [format!("template-{language}.wasm"), format!("template-{language}-with.wasm")] {
            let Some(handler) = examples::find(&file) else { continue };
            bench.node().koi(&["plugins", "check", &handler.to_string_lossy(), "--quiet"]).exits(0);
        }
    }
}

#[test]
fn a_new_folder_has_the_service_that_it_is_tried_in() {
    let bench = Bench::new();
    let koi = |words: &[&str]| bench.node().koi(&[&["plugins"], words].concat());
    for language in LANGUAGES {
        for (built, with) in [("", &[][..]), ("-with", &["--with", "exec,tcp,http"])] {
            let name = format!("template-{language}{built}");
            let folder = bench.place.path().join(&name).to_string_lossy().into_owned();
            koi(&[&["new", &name, "--lang", language], with, &[&folder]].concat()).exits(0);
            let Some(handler) = examples::find(&format!("{name}.wasm")) else { continue };
            fs::copy(handler, format!("{folder}/handler.wasm")).expect("a file can be copied");
            let service = format!("{folder}/service");
            let checked = koi(&["check", &service]);
            checked.exits(0);
            assert!(!checked.out.contains("not checked"), "{name}: {}", checked.out);
            let state = format!("{folder}/state");
            koi(&["run", &service, "start", "--state", &state]).exits(0);
            let ran = koi(&["run", &service, "status", "--state", &state]);
            ran.exits(0);
            assert!(ran.out.contains("runs as standby"), "{name}: {}", ran.out);
        }
    }
}

#[test]
fn it_looks_at_what_it_is_configured_to() {
    let bench = Bench::new();
    let there = format!("127.0.0.1:{}", web_server());
    let well = bench.service("well", &there, &there);
    let (gone, silent) = (nobody(), nobody());
    let refused = bench.service("refused", &gone, &there);
    let unanswered = bench.service("unanswered", &there, &silent);
    for language in LANGUAGES {
        let Some(handler) = examples::find(&format!("template-{language}-with.wasm")) else { continue };
        let (code, said) = bench.run(&handler, "start", &well);
        assert_eq!(code, 0, "{language}: {said}");
        let (code, said) = bench.run(&handler, "status", &well);
        assert_eq!(code, 0, "{language}: {said}");
        for words in ["runs as standby", "%", "answers", "200"] {
            assert!(said.contains(words), "{language}: {words:?} in {said}");
        }
        for (service, words) in [
            (&refused, format!("{gone}: connection refused; does it run?")),
            (&unanswered, format!("http://{silent}/: ")),
        ] {
            bench.run(&handler, "start", service);
            let (code, said) = bench.run(&handler, "status", service);
            assert!(code == 1 && said.contains(&words), "{language}: {words:?} in {said}");
        }
    }
}
