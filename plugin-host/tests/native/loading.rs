//! What cannot be loaded is refused with a sentence that says why.

use std::fs;
use std::path::Path;

use koi_plugin_api::Hook;

use crate::support::{Bench, failed};

/// Why `plugin` is refused, without its path.
fn refusal(bench: &Bench, plugin: &Path) -> String {
    let Err(text) = bench.try_service("refused", plugin, "") else { panic!("it was loaded") };
    let path = format!("{}: ", plugin.display());
    let (_, why) = text.split_once(&path).unwrap_or_else(|| panic!("no {path} in: {text}"));
    why.to_owned()
}

/// Why misbehaving.c, compiled with `flags`, is refused; none: there is no compiler.
fn refusal_of(flags: &[&str]) -> Option<String> {
    let bench = Bench::new();
    let plugin = bench.misbehaving(flags)?;
    Some(refusal(&bench, &plugin))
}

#[test]
fn a_text_that_is_called_a_library_is_none() {
    let bench = Bench::new();
    let plugin = bench.dir.path().join("text.so");
    fs::write(&plugin, "#!/bin/sh\necho this is not a shared library\n").unwrap();
    let why = refusal(&bench, &plugin);
    assert!(why.starts_with("is not a shared library (no ELF file); build it with"), "{why}");
}

#[test]
fn half_a_library_is_refused_by_the_dynamic_loader() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let whole = fs::read(&plugin).unwrap();
    fs::write(&plugin, &whole[..whole.len() / 4]).unwrap();
    let why = refusal(&bench, &plugin);
    assert!(why.contains("cannot be loaded") || why.contains("ended by SIG"), "{why}");
}

#[test]
fn a_library_without_the_table_is_asked_whether_it_is_a_plugin() {
    let Some(why) = refusal_of(&["-DSYMBOL=another"]) else { return };
    assert_eq!(why, "exports no koi_plugin_v1: is it a koi plugin?");
}

#[test]
fn another_magic_another_abi_and_another_size_are_seen_before_anything_is_called() {
    let Some(magic) = refusal_of(&["-DMAGIC=0x1234"]) else { return };
    assert!(
        magic.starts_with("its koi_plugin_v1 is no plugin table (magic 0x00001234, not 0x31696f6b)"),
        "{magic}"
    );
    let Some(abi) = refusal_of(&["-DABI=2"]) else { return };
    assert!(abi.starts_with("built for native ABI 2; this koid takes 1"), "{abi}");
    let Some(size) = refusal_of(&["-DSIZE=8"]) else { return };
    assert!(size.contains("has 8 bytes where"), "{size}");
}

#[test]
fn a_name_that_is_none_is_refused() {
    let Some(why) = refusal_of(&["-DNAME=\"Bad Name\""]) else { return };
    assert!(why.contains("names it \"Bad Name\""), "{why}");
}

#[test]
fn what_is_missing_at_the_time_of_loading_is_named() {
    let Some(why) = refusal_of(&["-DUNDEFINED"]) else { return };
    assert!(
        why.contains("undefined symbol: a_function_that_nobody_has; link the library that has it"),
        "{why}"
    );
}

#[test]
fn a_constructor_that_crashes_or_exits_takes_nobody_along() {
    let Some(why) = refusal_of(&["-DIN_CONSTRUCTOR=raise(SIGSEGV)"]) else { return };
    assert!(why.starts_with("the process that loads it was ended by SIGSEGV"), "{why}");
    let Some(why) = refusal_of(&["-DIN_CONSTRUCTOR=exit(4)"]) else { return };
    assert!(why.starts_with("the process that loads it exited by itself with status 4"), "{why}");
}

#[test]
fn a_constructor_that_hangs_is_not_waited_for() {
    let Some(why) = refusal_of(&["-DIN_CONSTRUCTOR=pause()"]) else { return };
    assert!(why.starts_with("loading it did not end within 10s"), "{why}");
}

#[test]
fn grants_and_limits_would_be_an_empty_promise() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let open = |rest: &str| bench.try_service("held", &plugin, rest).err().unwrap();
    let grants = open("[grants]\ntcp = [\"10.0.0.1:80\"]\n");
    assert!(grants.contains("[grants] means nothing to `misbehaving`: it is a native plugin"), "{grants}");
    let limits = open("[limits]\nmemory = \"1MiB\"\n");
    assert!(limits.contains("[limits] means nothing"), "{limits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_fails_fails_the_hook_that_needed_it() {
    let bench = Bench::new();
    let Some(plugin) = bench.misbehaving(&[]) else { return };
    let wrong = bench.service("wrong", &plugin, &[("create", "misconfigured")]);
    let lasting = koi_plugin_api::HookError::Lasting("misconfigured: no such planet".into());
    assert_eq!(wrong.call(Hook::Start).await, Err(lasting));
    let crashing = bench.service("crashing", &plugin, &[("create", "segfault")]);
    assert_eq!(
        failed(crashing.call(Hook::Start).await),
        "the plugin's process was ended by SIGSEGV in create"
    );
}
