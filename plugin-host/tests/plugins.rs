//! Plugins of either kind, from their files to their hooks: in a folder of plugins, replaced while they are used, and made again
//! by a guardian after they are gone.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{Hook, HookError, Outcome};
use koi_plugin_host::{Found, HandlerSnapshot, Host, Kind, OnDisk, Registry, Sources, discover};

/// A native plugin in a few lines: `status` says what it was compiled with.
const NATIVE: &str = r#"
#include "koi_plugin.h"
static int32_t create(const koi_host *host, const koi_setup *setup, void **instance) {
    (void)host; (void)setup; *instance = 0; return KOI_DONE;
}
static void destroy(void *instance, const koi_host *host) { (void)instance; (void)host; }
static int32_t call(void *instance, const koi_host *host, uint32_t hook, const koi_context *context) {
    (void)instance; (void)context;
    koi_message(host, SAYS);
    return hook == KOI_HOOK_STATUS ? KOI_STATE_STANDBY : KOI_DONE;
}
KOI_EXPORT const koi_plugin koi_plugin_v1 = {
    .magic = KOI_MAGIC, .abi_major = KOI_ABI_MAJOR, .abi_minor = KOI_ABI_MINOR, .size = sizeof(koi_plugin),
    .hooks = KOI_HAS(KOI_HOOK_STATUS) | KOI_HAS(KOI_HOOK_DEMOTE),
    .name = KOI_TEXT("cee"), .version = KOI_TEXT("1.2"), .description = KOI_TEXT("of a test"),
    .create = create, .destroy = destroy, .call = call,
};
"#;

/// Compiles it; false: there is no compiler here.
fn native(path: &Path, says: &str) -> bool {
    let source = path.with_extension("c");
    fs::write(&source, NATIVE).unwrap();
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../plugin-api/include");
    let define = format!("-DSAYS=\"{says}\"");
    let beside = path.with_extension("new");
    let compiled = Command::new("cc")
        .args(["-std=c99", "-shared", "-fPIC", "-fvisibility=hidden", include, &define, "-o"])
        .args([&beside, &source])
        .status();
    match compiled {
        Ok(status) => assert!(status.success(), "the plugin compiles"),
        Err(error) => {
            koi_testkit::skip(&format!("no C compiler: {error} (apt-get install gcc libc6-dev)"));
            return false;
        }
    }
    fs::rename(beside, path).unwrap();
    true
}

/// Says this in its status.
fn component(says: &str) -> Vec<u8> {
    let status = format!("(call $status (i32.const 2) %{{{says}}} (i32.const 0) (i32.const 0))");
    Guest::new("wat").hook("status", &status).hook("demote", "(call $done)").build()
}

struct World {
    node: Node,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let world = World { node: Node::new(), folder: tempfile::tempdir().unwrap() };
        fs::create_dir(world.path("plugins")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A service that names a plugin.
    fn service(&self, name: &str, handler: &str) {
        let folder = self.path("services").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("service.toml"), format!("handler = \"{handler}\"\n")).unwrap();
    }

    fn load(&self, before: &Registry) -> Registry {
        before.load(Sources::from_dirs(vec![self.path("plugins")]), self.path("services"))
    }

    fn registry(&self) -> Registry {
        self.load(&Registry::new(self.node.host(), self.path("services")))
    }

    fn found(&self, registry: &Registry, name: &str) -> Found {
        let found = discover(&self.path("services"), registry).unwrap().services;
        found.into_iter().find(|found| found.name == name).unwrap()
    }

    fn ask(&self, registry: &Registry, name: &str) -> Ask {
        Ask::new(&registry.open(&self.found(registry, name)).unwrap().opened.handler)
    }

    /// As koid leaves it to its guardian: by way of a file.
    fn pin(&self, registry: &Registry, name: &str) -> HandlerSnapshot {
        let pin = registry.open(&self.found(registry, name)).unwrap().snapshot;
        serde_json::from_str(&serde_json::to_string(&pin).unwrap()).unwrap()
    }
}

async fn says(ask: &Ask) -> String {
    match ask.hook(Hook::Status).await {
        Ok(Outcome::Status(report)) => report.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_of_both_kinds_are_found_run_and_replaced_only_when_told() {
    let world = World::new();
    fs::write(world.path("plugins/a.wasm"), component("one")).unwrap();
    world.service("10-w", "wat");
    let has_native = native(&world.path("plugins/b.so"), "eins");
    world.service("20-c", "cee");
    let first = world.registry();
    let (wat, cee) = (first.plugin("wat").unwrap(), first.plugin("cee"));
    let facts = wat.facts.clone().unwrap();
    assert_eq!((wat.kind, wat.ready, facts.api.as_str()), (Kind::Wasm, true, "koi:service@0.1.0"));
    assert!(facts.compiled.is_some_and(|compiled| compiled.size_bytes > 0));
    assert_eq!(cee.as_ref().map(|cee| cee.kind), has_native.then_some(Kind::Native));
    let ask = world.ask(&first, "w");
    assert_eq!(says(&ask).await, "one");

    fs::write(world.path("plugins/a.wasm"), component("two")).unwrap();
    assert_eq!(first.on_disk(&wat), Some(OnDisk::Changed));
    assert_eq!(says(&world.ask(&first, "w")).await, "one");
    let second = world.load(&first);
    assert_eq!((says(&world.ask(&second, "w")).await, says(&ask).await), ("two".into(), "one".into()));
    if has_native {
        let ask = world.ask(&second, "c");
        assert_eq!(says(&ask).await, "eins");
        assert_eq!(cee.unwrap().facts.unwrap().api, "native 1.2");
        native(&world.path("plugins/b.so"), "zwei");
        assert_eq!(says(&world.ask(&second, "c")).await, "eins");
        let third = world.load(&second);
        assert_eq!((says(&world.ask(&third, "c")).await, says(&ask).await), ("zwei".into(), "eins".into()));
    }

    fs::write(world.path("plugins/a.wasm"), "garbage").unwrap();
    let spoilt = world.load(&second);
    let note = spoilt.plugin("wat").unwrap().error.unwrap().to_string();
    assert!(note.starts_with("the file there now cannot be used: ") && note.ends_with("… stays"), "{note}");
    assert_eq!(says(&world.ask(&spoilt, "w")).await, "two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guardian_runs_the_very_code_that_was_in_force_and_compiles_nothing() {
    let world = World::new();
    fs::write(world.path("plugins/a.wasm"), component("one")).unwrap();
    world.service("w", "wat");
    let has_native = native(&world.path("plugins/b.so"), "eins");
    if has_native {
        world.service("c", "cee");
    }
    let registry = world.registry();
    let pin = world.pin(&registry, "w");
    let native_pin = has_native.then(|| world.pin(&registry, "c"));
    drop(registry);
    fs::remove_dir_all(world.path("plugins")).unwrap();
    fs::remove_dir_all(world.path("services")).unwrap();

    // Whoever compiled something now would fail.
    let host = world.node.host();
    let program = world.path("no-compiler");
    let script = format!("#!/bin/sh\n[ $1 != plugin-compile ] && exec {} \"$@\"\n", host.program.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let host = Host { program, ..host };
    let ask = Ask::new(&pin.handler(&host));
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(says(&ask).await, "one");
    if let Some(pin) = native_pin {
        let ask = Ask::new(&pin.handler(&world.node.host()));
        assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
        assert_eq!(says(&ask).await, "eins");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_be_made_again_is_a_failed_hook_of_its_own_service() {
    let world = World::new();
    fs::write(world.path("plugins/a.wasm"), component("one")).unwrap();
    fs::write(world.path("plugins/b.wasm"), Guest::new("other").hook("demote", "(call $done)").build())
        .unwrap();
    world.service("w", "wat");
    world.service("o", "other");
    let registry = world.registry();
    let (spoilt, good) = (world.pin(&registry, "w"), world.pin(&registry, "o"));
    fs::remove_file(world.node.host().pinned_dir().join(spoilt.hash().unwrap())).unwrap();
    let (spoilt, good) = (spoilt.handler(&world.node.host()), good.handler(&world.node.host()));
    assert_eq!(spoilt.metadata().name, "wat");
    let Err(HookError::CannotRun(why)) = Ask::new(&spoilt).hook(Hook::Demote).await else {
        panic!("it has no code")
    };
    assert!(why.starts_with("its handler cannot be opened: its copy "), "{why}");
    assert_eq!(Ask::new(&good).hook(Hook::Demote).await, Ok(Outcome::Done));
}
