//! What of a handler's folder its author does not write: it is not watched.

use std::fs;
use std::path::Path;

/// Folders that tools fill.
const FOLDERS: [&str; 4] = ["target", "node_modules", "venv", "__pycache__"];

/// Files that tools write.
const FILES: [&str; 4] = ["Cargo.lock", "package-lock.json", "yarn.lock", "uv.lock"];

/// What tools write ends so, and so does what editors leave beside a file for a moment.
const ENDINGS: [&str; 8] = [".wasm", ".wasm.wit", ".cwasm", ".pyc", "~", ".swp", ".tmp", ".bak"];

/// vim makes a file of this name to see whether it may.
const PROBE: &str = "4913";

/// Bytes of a `.gitignore` that are read.
const READ_BYTES: usize = 64 * 1024;

/// What is passed over.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    /// Names, and endings behind a `*`, that the folder's `.gitignore` has.
    lines: Vec<String>,
}

impl Ignored {
    /// For a folder: of its `.gitignore`, plain names and lines like `*.o` count; what is more than that is left to git.
    pub(super) fn of(folder: &Path) -> Ignored {
        let text = fs::read(folder.join(".gitignore")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[..text.len().min(READ_BYTES)]).into_owned();
        let is_plain = |line: &&str| {
            !line.is_empty()
                && !line.starts_with(['#', '!'])
                && !line.trim_matches('/').contains(['/', '?', '['])
        };
        let lines =
            text.lines().map(str::trim).filter(is_plain).map(|line| line.trim_matches('/').to_owned());
        Ignored { lines: lines.collect() }
    }

    /// Whether an entry of this name is passed over, with all that is in it.
    pub(super) fn has(&self, name: &str, is_folder: bool) -> bool {
        let by_kind = match is_folder {
            true => FOLDERS.contains(&name),
            false => FILES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending)),
        };
        by_kind
            || name.starts_with(['.', '#'])
            || name == PROBE
            || self.lines.iter().any(|line| fits(line, name))
    }
}

/// Whether a line of a `.gitignore` means this name.
fn fits(line: &str, name: &str) -> bool {
    match line.split_once('*') {
        None => line == name,
        Some((before, after)) if !after.contains('*') => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_and_editors_write_is_passed_over() {
        let ignored = Ignored::default();
        for (name, is_folder) in [
            ("target", true),
            (".git", true),
            ("handler.wasm", false),
            (".a.rs.swp", false),
            ("a.rs~", false),
        ] {
            assert!(ignored.has(name, is_folder), "{name}");
        }
        for (name, is_folder) in
            [("src", true), ("target", false), ("lib.rs", false), ("koi-service.wit", false)]
        {
            assert!(!ignored.has(name, is_folder), "{name}");
        }
    }

    #[test]
    fn a_gitignore_counts_as_far_as_it_is_plain() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".gitignore"), "# mine\n/dist/\n*.log\ngen_*.py\n!keep\na/b\n").unwrap();
        let ignored = Ignored::of(folder.path());
        for name in ["dist", "x.log", "gen_a.py"] {
            assert!(ignored.has(name, false), "{name}");
        }
        for name in ["keep", "b", "log", "gen.py"] {
            assert!(!ignored.has(name, false), "{name}");
        }
    }
}
