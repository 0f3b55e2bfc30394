//! What an author changes runs a moment later, and nothing that goes wrong takes away what runs.

use std::fs;

use koi_plugin_api::Capability;
use koi_testkit::{lives, wait_for, wait_some};

use crate::author::{Author, db, promoting};

#[test]
fn a_change_runs_on_all_three_nodes_and_what_goes_wrong_changes_nothing() {
    let author = Author::new();
    let mut dev = author.dev(&[]);
    dev.hear("✓ running after", 1);
    dev.hear("db 1.0:", 1);
    dev.hear("it wants no grants", 1);
    dev.runs("1.0");
    let promoted = dev.everywhere().1;

    author.put("source", b"two");
    dev.hear("✓ running after", 2);
    dev.runs("2.0");
    assert_eq!(dev.everywhere().1, promoted, "it is promoted where it was");

    author.put("source", b"three");
    dev.hear("there is no three: write another word", 1);
    dev.hear("✗ the build failed: it ended with exit code 3; the version before goes on", 1);
    dev.runs("2.0");

    author.put("source", b"wrong");
    dev.hear("✗ refused: ", 1);
    dev.hear("handler.wasm: not a WebAssembly component", 1);
    dev.runs("2.0");

    author.put("source", b"one");
    dev.hear("✓ running after", 3);
    dev.runs("1.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn what_a_language_brings_along_is_compiled_by_itself_and_kept() {
    let author = Author::new();
    let much = format!("(func {})", "(drop (i64.const 0x7777777777777777))".repeat(20_000));
    author.put("one.wasm", &db("1.0").item(&much).build());
    let mut dev = author.dev(&[]);
    dev.hear("✓ running after", 1);
    dev.runs("1.0");
    let compiled = author.place.path().join("cache/koi/compiled");
    let entries = fs::read_dir(&compiled).expect("code is kept there").flatten();
    let runtimes = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("runtime-"));
    assert_eq!(runtimes.count(), 1);
    dev.ends_and_leaves_nothing();
}

#[test]
fn a_change_while_it_is_built_begins_anew() {
    let author = Author::new();
    author.put("source", b"slow");
    let mut dev = author.dev(&[]);
    dev.hear("building slow", 1);
    let sleeping = || fs::read_to_string(author.path("sleeping.tmp")).ok()?.trim().parse::<i32>().ok();
    let slow = wait_some("the build sleeps", sleeping);
    author.put("source", b"one");
    dev.hear("✓ running after", 1);
    dev.runs("1.0");
    wait_for("what was built first is given up", || !lives(slow));

    author.put("source", b"slow");
    dev.hear("building slow", 2);
    let slow = wait_some("the build sleeps", || sleeping().filter(|pid| *pid != slow));
    dev.ends_and_leaves_nothing();
    assert!(!lives(slow), "a build that hangs ends too");
}

#[test]
fn a_hook_that_fails_is_shown_and_the_mended_one_runs() {
    let author = Author::new();
    let broken = promoting("3.0", "(call $error (i32.const 0) %{the replica is not ready})");
    author.put("broken.wasm", &broken.build());
    author.put("source", b"broken");
    let mut dev = author.dev(&[]);
    dev.hear("✗ it does not run well: ", 1);
    dev.hear("the replica is not ready", 1);

    author.put("source", b"two");
    dev.hear("✓ running after", 1);
    dev.runs("2.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn what_is_wanted_is_granted_here_alone_and_said() {
    let author = Author::new();
    let wants = db("4.0").wants_for(Capability::Tcp("127.0.0.1:5432".into()), "to speak to the database");
    author.put("wants.wasm", &wants.build());
    author.put("source", b"wants");
    let mut dev = author.dev(&[]);
    dev.hear("granted in this cluster, and to be asked of operators under [grants]:", 1);
    dev.hear("# to speak to the database", 1);
    dev.hear("tcp = [\"127.0.0.1:5432\"]", 1);
    dev.runs("4.0");

    // A service that grants nothing is refused, as an operator would see it.
    drop(dev);
    let service = author.place.path().join("service");
    fs::create_dir(&service).expect("a folder can be made");
    fs::write(service.join("service.toml"), "handler = \"db\"\n").expect("a file can be written");
    let mut dev = author.dev(&["--service", &service.to_string_lossy()]);
    dev.hear("✗ refused: ", 1);
    dev.hear("[grants] lacks tcp \"127.0.0.1:5432\" (to speak to the database)", 1);
    fs::write(service.join("service.toml"), "[grants]\ntcp = [\"127.0.0.1:5432\"]\n")
        .expect("a file can be written");
    dev.hear("✓ running after", 1);
    dev.runs("4.0");
    dev.ends_and_leaves_nothing();
}

#[test]
fn a_component_that_is_built_elsewhere_is_watched_and_its_tests_are_run() {
    let author = Author::new();
    fs::remove_file(author.path("build.sh")).expect("it is there");
    let copy = |name: &str| {
        fs::copy(author.path(name), author.path("handler.wasm")).map(drop).expect("a file can be copied")
    };
    copy("one.wasm");
    let test = |version: &str| {
        let call =
            format!("[[test.call]]\nhook = \"status\"\noutcome = \"ok\"\nmessage = \"db {version}\"\n");
        author
            .put("handler.test.toml", format!("[[test]]\nname = \"it says which it is\"\n{call}").as_bytes());
    };
    test("1.0");
    let mut dev = author.dev(&[]);
    dev.hear("✓ tests passed", 1);
    dev.runs("1.0");
    copy("two.wasm");
    dev.hear("✗ tests", 1);
    dev.hear("it says which it is", 1);
    dev.runs("2.0");
    test("2.0");
    dev.hear("✓ tests passed", 2);
    dev.ends_and_leaves_nothing();
}
