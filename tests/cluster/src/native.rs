//! Native plugins, compiled by the test that needs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use koi_testkit::skip;

/// The folder of `koi_plugin.h`.
const INCLUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugin-api/include");

/// A plugin that keeps account of its hooks as recorded shell services do, and does what its macros say; see its first lines.
const SOURCE: &str = include_str!("plugin.c");

/// The plugin of `plugin.c` with these macros, as the bytes of a library; none, and a word about it: there is no C compiler.
///
/// # Panics
/// If it does not compile.
pub fn compile(macros: &[(&str, &str)]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let (source, library) = (folder.path().join("plugin.c"), folder.path().join("plugin.so"));
    fs::write(&source, SOURCE).expect("a file can be written");
    let mut command = Command::new(compiler());
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared", "-I", INCLUDE]);
    command.args(macros.iter().map(|(name, value)| format!("-D{name}={value}")));
    let ran = match command.arg("-o").arg(&library).arg(&source).output() {
        Ok(ran) => ran,
        Err(error) => {
            skip(&format!(
                "native plugins: no C compiler can be run ({}: {error}); apt-get install gcc",
                compiler()
            ));
            return None;
        }
    };
    assert!(ran.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&ran.stderr));
    Some(read(&library))
}

/// As cargo's build scripts are told.
fn compiler() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
