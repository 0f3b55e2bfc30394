//! Collects what `koi plugins new` writes: whatever lies in `templates/LANGUAGE/`, and the library of the language in
//! `plugin-api/sdk/LANGUAGE/`, becomes part of the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a build leaves behind when somebody builds a template or a library in its place, and what is for the library alone.
const LEFT_OUT: [&str; 7] = ["target", "node_modules", ".venv", "wit", "__pycache__", "tests", "Cargo.lock"];
const LEFT_OUT_ENDINGS: [&str; 3] = [".wasm", ".o", "_test.go"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    collect("templates", &root.join("templates"))?;
    collect("libraries", &root.join("../plugin-api/sdk"))
}

/// Makes a table of the files below `root`, without what lies in `root` itself.
fn collect(name: &str, root: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", root.display());
    let mut table = String::from("&[\n");
    for language in entries(root)?.into_iter().filter(|path| path.is_dir() && !is_left_out(path)) {
        let mut files = Vec::new();
        files_below(&language, &mut files)?;
        for file in files {
            let path = file.strip_prefix(root).map_err(io::Error::other)?;
            writeln!(table, "    ({path:?}, include_str!({file:?})),").map_err(io::Error::other)?;
        }
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join(format!("{name}.rs")), table)
}

/// The files below `folder`.
fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in entries(folder)?.into_iter().filter(|path| !is_left_out(path)) {
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    LEFT_OUT.contains(&name) || LEFT_OUT_ENDINGS.iter().any(|ending| name.ends_with(ending))
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
