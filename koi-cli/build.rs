//! Collects the templates of `koi plugins new`: whatever lies in `templates/LANGUAGE/` becomes part of the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a build leaves behind when somebody builds a template in its place.
const LEFT_BY_BUILDS: [&str; 5] = ["target", "node_modules", ".venv", "wit", "__pycache__"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=templates");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("templates");
    let mut table = String::from("&[\n");
    for language in entries(&root)? {
        let mut files = Vec::new();
        collect(&language, &mut files)?;
        for file in files {
            let path = file.strip_prefix(&root).map_err(io::Error::other)?;
            writeln!(table, "    ({path:?}, include_str!({file:?})),").map_err(io::Error::other)?;
        }
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("templates.rs"), table)
}

/// The files below `folder`.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !LEFT_BY_BUILDS.contains(&name) {
                collect(&path, files)?;
            }
        } else if !name.ends_with(".wasm") && !name.ends_with(".o") {
            files.push(path);
        }
    }
    Ok(())
}

/// What lies in `folder`, sorted; nothing when there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
