//! What `plugins/examples/build` has built.

use std::fs;
use std::path::PathBuf;

use koi_cluster_tests::skip;

/// A folder with built guests: these are taken instead.
const READY_MADE: &str = "KOI_GUESTS";

/// Where the file of that name (`redis.wasm`, `hello-c.so`) would be.
pub fn path(file: &str) -> PathBuf {
    let folder = std::env::var_os(READY_MADE).map(PathBuf::from);
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/examples/target"));
    let folder = folder.unwrap_or_else(usual);
    fs::canonicalize(&folder).unwrap_or(folder).join(file)
}

/// That file, or a word about its absence.
pub fn find(file: &str) -> Option<PathBuf> {
    let path = path(file);
    if path.exists() {
        return Some(path);
    }
    let name = file.split('.').next().unwrap_or_default();
    skip(&format!("{name}: {} is not there; `plugins/examples/build {name}` makes it", path.display()));
    None
}
