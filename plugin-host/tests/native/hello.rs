//! The two smallest examples, through all hooks.

use std::path::{Path, PathBuf};
use std::process::Command;

use koi_plugin_api::{Hook, HookError, HookSet, LogLevel, Observed, Outcome};

use crate::support::{Bench, PATIENCE, cc, observed, repository, run};

/// hello-native, built the way its README says; none: there is no cargo.
fn hello_native() -> Option<PathBuf> {
    // A folder of its own: nobody else's build is waited for, whatever profile or target this test is built with.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hello-native");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--offline", "--quiet", "-p", "hello-native", "--target-dir"]).arg(&target);
    // It is built for this machine, with nothing that is meant for another.
    build.env_remove("CARGO_BUILD_TARGET").current_dir(repository(""));
    run(&mut build, "cargo")?;
    Some(target.join("debug/libhello_native.so"))
}

fn hello_c(bench: &Bench) -> Option<PathBuf> {
    let plugin = bench.dir.path().join("hello-c.so");
    cc(&repository("plugins/examples/hello-c/hello.c"), &plugin, &["-std=c99", "-fvisibility=hidden"])?;
    Some(plugin)
}

async fn goes_through_all_hooks(bench: &Bench, plugin: &Path, greeting: &str) {
    let service = bench.service("hello", plugin, &[("greeting", greeting)]);

    assert_eq!(service.call(Hook::Start).await, Ok(Outcome::Done));
    assert_eq!(service.status().await, observed(Observed::Standby, greeting));

    let promote = service.prepare(Hook::Promote, PATIENCE);
    let log = promote.log.clone();
    assert_eq!(promote.run().await, Ok(Outcome::Done));
    assert_eq!(log.at(LogLevel::Info), [format!("{greeting}, node-1")]);
    assert_eq!(service.status().await.observed, Observed::Promoted, "the instance lives on between calls");

    assert_eq!(service.call(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(service.call(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(service.status().await.observed, Observed::Standby);
    assert_eq!(service.call(Hook::Failed).await, Ok(Outcome::Done));
    assert_eq!(service.call(Hook::Stop).await, Ok(Outcome::Done));
}

async fn refuses_an_old_epoch(bench: &Bench, plugin: &Path) {
    let service = bench.service("old", plugin, &[]);
    let promote = service.prepare(Hook::Promote, PATIENCE);
    promote.call.newest_epoch.raise(6);
    let refused = promote.run().await;
    assert!(matches!(refused, Err(HookError::Failed(_))), "epoch 5 is over: {refused:?}");
    assert_eq!(service.status().await.observed, Observed::Standby);
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_native_goes_through_all_hooks() {
    let bench = Bench::new();
    let Some(plugin) = hello_native() else { return };
    goes_through_all_hooks(&bench, &plugin, "good morning").await;
    refuses_an_old_epoch(&bench, &plugin).await;

    let facts = bench.registry.plugin_in(&plugin).unwrap().facts.unwrap();
    let metadata = facts.metadata;
    assert_eq!((metadata.name.as_str(), metadata.version.as_str()), ("hello-native", "0.1.0"));
    assert_eq!((facts.api.as_str(), metadata.hooks), ("native 1.2", HookSet::LIFECYCLE));
    let key = &metadata.config[0];
    assert_eq!(
        (key.name.as_str(), key.required, &key.default[..]),
        ("greeting", false, &["hello".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hello_c_goes_through_all_hooks() {
    let bench = Bench::new();
    let Some(plugin) = hello_c(&bench) else { return };
    goes_through_all_hooks(&bench, &plugin, "good morning").await;
    refuses_an_old_epoch(&bench, &plugin).await;

    let facts = bench.registry.plugin_in(&plugin).unwrap().facts.unwrap();
    let hooks: Vec<_> = facts.metadata.hooks.iter().map(Hook::as_str).collect();
    assert_eq!(hooks, ["promote", "demote", "status"]);
    assert_eq!((facts.api.as_str(), facts.metadata.name.as_str()), ("native 1.2", "hello-c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_of_the_plugin_reaches_the_plugin() {
    let bench = Bench::new();
    let Some(plugin) = hello_c(&bench) else { return };
    assert_eq!(bench.service("hello", &plugin, &[]).status().await.message, "hello");
}
