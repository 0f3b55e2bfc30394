//! Handlers that were built for an earlier interface, one of each language: the koid of today runs them as the one of then did.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use koi_cluster_tests::{Cluster, Service, skip};
use koi_plugin_tests::plugins::{Folder, listed, message};
use koi_proto::api::ServiceStatus;

/// Those of `koi:service@0.1.0`: what `koi plugins new` made in each language.
const LANGUAGES: [&str; 5] = ["rust", "c", "js", "go", "python"];

/// How long it may take to compile them: a minute, if nobody else is there.
const COMPILING: Duration = Duration::from_secs(600);

/// A compiled handler from where it is kept.
fn kept(language: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/before");
    let mut unpack = Command::new("xz");
    unpack.arg("--decompress").arg("--stdout").arg(folder.join(format!("{language}.wasm.xz")));
    match unpack.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => {
            skip(&format!("handlers of before: xz: {error} (apt-get install xz-utils)"));
            None
        }
    }
}

fn service(cluster: &Cluster, name: &str) -> Option<ServiceStatus> {
    cluster.status_of("a")?.services?.into_iter().find(|service| service.name == name)
}

/// Waits until the handler of each language says this.
fn wait_all_say(cluster: &Cluster, words: &str) {
    for language in LANGUAGES {
        cluster.wait_for(&format!("{language} says {words:?}"), |cluster| {
            message(cluster, "a", language).as_deref() == Some(words)
        });
    }
}

#[test]
fn handlers_of_before_go_on_working() {
    let plugins = Folder::default();
    let mut builder = Cluster::builder().nodes(1).set("plugins.dirs", &plugins.setting());
    for language in LANGUAGES {
        let Some(component) = kept(language) else { return };
        plugins.put(&format!("{language}.wasm"), &component);
        let toml = format!("handler = \"template-{language}\"\n[config]\nscore = 7\n");
        builder =
            builder.service(&format!("10-{language}"), Service::empty().file("service.toml", &toml, 0o644));
    }
    let cluster = builder.start();
    let node = cluster.any();
    for language in LANGUAGES {
        let ready = || listed(node, &format!("template-{language}")).filter(|plugin| plugin.state == "ready");
        cluster.wait_for_within(COMPILING, &format!("{language} is ready"), |_| ready().is_some());
        assert!(ready().is_some_and(|plugin| plugin.api == "koi:service@0.1.0"), "{language}: {:?}", ready());
    }

    assert_eq!(cluster.wait_healthy(), "a");
    wait_all_say(&cluster, "runs as promoted");
    // The epoch of its mastership came along, and lies in its store.
    for language in LANGUAGES {
        let details = service(&cluster, language).map(|service| service.details).unwrap_or_default();
        let epoch = cluster.status().map(|status| status.cluster.epoch.to_string()).unwrap_or_default();
        assert!(details.contains(&("last epoch".into(), epoch)), "{language}: {details:?}");
    }

    node.order(&["demote"]).exits(0);
    wait_all_say(&cluster, "runs as standby");
    for language in LANGUAGES {
        assert_eq!(service(&cluster, language).and_then(|service| service.score), Some(7), "{language}");
    }

    node.order(&["stop"]).exits(0);
    for language in LANGUAGES {
        cluster.wait_for(&format!("{language} is stopped"), |cluster| {
            service(cluster, language).is_some_and(|service| service.state == "Stopped")
        });
    }
}
