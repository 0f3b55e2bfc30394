//! The programs under test, built before the first of them is needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with `koid` and `koi` in it: nothing is built then.
const READY_MADE: &str = "KOI_TEST_BINARIES";

/// The folder of `koid` and `koi`.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os(READY_MADE) {
        Some(folder) => PathBuf::from(folder),
        None => build(),
    })
}

/// `cargo test` builds what tests depend on, and a binary of another crate is nothing that one can depend on.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it lies");
    // target[/TRIPLE]/PROFILE/deps/TEST
    let output = test.ancestors().nth(2).expect("a test lies in PROFILE/deps").to_owned();
    let profile = match file_name(&output).as_str() {
        "debug" => "dev".to_owned(),
        other => other.to_owned(),
    };
    let above = output.parent().expect("a profile's folder lies in the target folder");
    let is_target = above.join("CACHEDIR.TAG").exists();
    let target = if is_target { above } else { above.parent().unwrap_or(above) };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    // Of the workspace, as the tests: with single packages cargo chooses other features of what is from outside, and builds all
    // of it once more.
    command.args(["build", "--quiet", "--workspace", "--bin", "koid", "--bin", "koi", "--profile", &profile]);
    command.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    command.arg("--target-dir").arg(target);
    if !is_target {
        command.arg("--target").arg(file_name(above));
    }
    // What cargo told this test about its package is a change to the build scripts that look at it: they, and all that depends on
    // them, would be built once more.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_MANIFEST_") || n.starts_with("CARGO_PKG_")) {
            command.env_remove(name);
        }
    }
    let status = command.status().expect("cargo can be run");
    assert!(
        status.success(),
        "koid and koi could not be built ({command:?}): mend that first, then run the tests again"
    );
    output
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
