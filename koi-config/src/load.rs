//! Finds, reads and checks a file.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koi_files::trust::{self, TrustError};

use crate::config::{CLASSIC_PASSWORD, ClusterKey};
use crate::diagnostic::{ConfigError, Diagnostic};
use crate::files::open_file;
use crate::read::{classic, toml};
use crate::source::{Format, Identity, Loaded};

/// Where a configuration is looked for, in this order.
pub const SEARCHED: [&str; 4] = ["./koi.toml", "/etc/koi/koi.toml", "./koi.conf", "/etc/koi/koi.conf"];

/// Bytes that a file may have; no real one comes near.
pub const FILE_BYTES: u64 = 64 << 10;

/// Reads the file at `path`, or else the first of [`SEARCHED`] that exists.
///
/// The format goes by the name (`.toml`, `.conf`), or else by what the file looks like.
///
/// # Errors
/// No file is there, it cannot be read, or something is wrong with it: everything that is, not only the first.
pub fn load(path: Option<&Path>) -> Result<Loaded, ConfigError> {
    load_as(path, Identity::File)
}

/// As [`load`], for this node.
///
/// # Errors
/// As [`load`].
pub fn load_as(path: Option<&Path>, identity: Identity<'_>) -> Result<Loaded, ConfigError> {
    match path {
        Some(path) => match read_file(path) {
            Ok(file) => parse(file, identity),
            Err(e) => Err(unreadable(path, &e)),
        },
        None => load_first(&candidates(), identity),
    }
}

/// Where a configuration is looked for by this user.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The files of [`SEARCHED`], whether or not they are there.
    pub paths: Vec<&'static Path>,
    /// Those that are there and are passed over, and why.
    pub passed_over: Vec<Diagnostic>,
}

/// Where a configuration is looked for. Root does not read the file of whoever owns the folder that root happens to be in: what
/// is in it would run as root.
pub fn candidates() -> Candidates {
    candidates_of(SEARCHED.map(Path::new), trust::is_root())
}

fn candidates_of<const N: usize>(searched: [&'static Path; N], is_root: bool) -> Candidates {
    let mut found = Candidates::default();
    for path in searched {
        let reason = if is_root && path.is_relative() { untrusted(path) } else { None };
        match reason {
            Some(why) => found.passed_over.push(passed_over(path, &why)),
            None => found.paths.push(path),
        }
    }
    found
}

/// Why the file at `path` may be another one's.
fn untrusted(path: &Path) -> Option<TrustError> {
    let file = trust::check(path).ok()?;
    let folder = || trust::check(path.parent().unwrap_or(Path::new("."))).ok()?;
    file.or_else(folder)
}

fn passed_over(path: &Path, why: &TrustError) -> Diagnostic {
    Diagnostic {
        path: path.to_owned(),
        line: None,
        column: None,
        message: format!("is not read by root: {why}"),
        hint: format!("`-f {}` reads it all the same", path.display()),
    }
}

/// Reads `text` as `koi.toml`; `path` is for messages, and relative paths are relative to its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_toml(text: &str, path: &Path) -> Result<Loaded, ConfigError> {
    toml::read(text, path, Identity::File)
}

/// Reads `text` as the classic `koi.conf`; `path` is for messages, and relative paths are relative to its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_classic(text: &str, path: &Path) -> Result<Loaded, ConfigError> {
    classic::read(text, path, Identity::File)
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Every user of this machine may read it.
    world_readable: bool,
}

fn load_first(candidates: &Candidates, identity: Identity<'_>) -> Result<Loaded, ConfigError> {
    let with = |mut warnings: Vec<Diagnostic>| {
        warnings.splice(0..0, candidates.passed_over.iter().cloned());
        warnings
    };
    for path in &candidates.paths {
        return match read_file(path).map(|file| parse(file, identity)) {
            Ok(Ok(loaded)) => Ok(Loaded { warnings: with(loaded.warnings), ..loaded }),
            Ok(Err(error)) => Err(ConfigError { warnings: with(error.warnings), ..error }),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(e) => Err(unreadable(path, &e)),
        };
    }
    let looked: Vec<String> = candidates.paths.iter().map(|path| path.display().to_string()).collect();
    let nothing = Diagnostic {
        path: PathBuf::new(),
        line: None,
        column: None,
        message: format!("no configuration found; looked for {}", looked.join(", ")),
        hint: "`koi init` makes one; -f FILE names one that is elsewhere".to_owned(),
    };
    // Whoever expects the one that was passed over is to read why.
    let problems = candidates.passed_over.iter().cloned().chain([nothing]).collect();
    Err(ConfigError { problems, warnings: Vec::new() })
}

fn read_file(path: &Path) -> io::Result<File> {
    let file = open_file(path)?;
    let mode = file.metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that there is more.
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(File { path: std::path::absolute(path)?, bytes, world_readable: mode & 0o004 != 0 })
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let hint = match error.kind() {
        io::ErrorKind::InvalidInput => "name the file of a configuration",
        io::ErrorKind::NotFound => "check the name; `koi init` makes a configuration",
        io::ErrorKind::PermissionDenied => "run this as root, or as a member of the group that may read it",
        _ => "",
    };
    ConfigError::from(Diagnostic {
        path: path.to_owned(),
        line: None,
        column: None,
        message: format!("cannot be read: {error}"),
        hint: hint.to_owned(),
    })
}

fn parse(file: File, identity: Identity<'_>) -> Result<Loaded, ConfigError> {
    let refuse = |line: Option<usize>, message: String, hint: &str| {
        let (path, hint) = (file.path.clone(), hint.to_owned());
        ConfigError::from(Diagnostic { path, line, column: None, message, hint })
    };
    if file.bytes.len() as u64 > FILE_BYTES {
        let message = format!("is larger than {FILE_BYTES} bytes");
        return Err(refuse(None, message, "this cannot be a configuration of koi; check the name"));
    }
    let text = std::str::from_utf8(&file.bytes).map_err(|e| {
        let line = file.bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        refuse(Some(line), "is not UTF-8 text".to_owned(), "save it as UTF-8")
    })?;
    // Editors elsewhere begin UTF-8 files with this mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut loaded = match format_of(&file.path, text) {
        Format::Toml => toml::read(text, &file.path, identity)?,
        Format::Classic => classic::read(text, &file.path, identity)?,
    };
    // The classic default stands in no file, and has a warning of its own.
    let secret =
        matches!(&loaded.config.cluster.key, ClusterKey::Password(password) if password != CLASSIC_PASSWORD);
    if secret && file.world_readable {
        loaded.warnings.push(Diagnostic {
            path: file.path.clone(),
            line: None,
            column: None,
            message: "every user of this machine can read the password in this file".to_owned(),
            hint: format!("chmod o-rwx {}", file.path.display()),
        });
    }
    Ok(loaded)
}

fn format_of(path: &Path, text: &str) -> Format {
    match path.extension().and_then(|e| e.to_str()) {
        Some("toml") => Format::Toml,
        Some("conf" | "info") => Format::Classic,
        Some(_) | None => {
            let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
            let classic = first.starts_with(';') || !first.starts_with(['#', '[']) && !first.contains('=');
            if classic { Format::Classic } else { Format::Toml }
        }
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn at(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    const TOML: &str = "[cluster]\nelectors = 3\ntransport = [\"127.0.0.1\"]\npassword = \"a long one\"\n";
    const CLASSIC: &str = "node {\n port 1\n}\ncluster {\n password x\n transport 127.0.0.1\n}\n";

    #[test]
    fn the_first_file_that_exists_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (toml, classic) = (folder.path().join("koi.toml"), folder.path().join("koi.conf"));
        let leak = |path: PathBuf| -> &'static Path { Box::leak(path.into_boxed_path()) };
        let paths = [folder.path().join("none"), toml.clone(), classic].map(leak).to_vec();
        let candidates = Candidates { paths, passed_over: Vec::new() };

        let first = || load_first(&candidates, Identity::File);
        let error = first().unwrap_err().to_string();
        assert!(error.contains("no configuration found") && error.contains("koi.conf"), "{error}");
        assert!(error.contains("koi init"), "{error}");

        at(folder.path(), "koi.conf", CLASSIC, 0o640);
        assert_eq!(first().unwrap().format, Format::Classic);
        at(folder.path(), "koi.toml", TOML, 0o640);
        let loaded = first().unwrap();
        assert_eq!((loaded.format, loaded.path), (Format::Toml, toml));
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn a_password_that_everyone_can_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(folder.path(), "koi.toml", TOML, 0o644);
        let warning = load(Some(&path)).unwrap().warnings.remove(0);
        assert!(warning.message.contains("every user"), "{warning}");
        assert_eq!(warning.hint, format!("chmod o-rwx {}", path.display()));
    }

    #[test]
    fn a_daemon_may_be_told_its_name_and_a_client_needs_none() {
        let folder = tempfile::tempdir().unwrap();
        let names = TOML.replace("electors = 3", "electors = [\"a\", \"b\", \"c\"]");
        let path = at(folder.path(), "koi.toml", &format!("[node]\nname = \"x\"\n{names}"), 0o640);
        let name = |identity| load_as(Some(&path), identity).map(|loaded| loaded.config.node.name);

        assert!(name(Identity::File).unwrap_err().to_string().contains("does not name this node, \"x\""));
        assert_eq!(name(Identity::Named("b")).unwrap(), "b");
        assert_eq!(name(Identity::Client).unwrap(), "x");
        let error = name(Identity::Named("a b")).unwrap_err();
        assert!(
            error.problems.iter().any(|p| p.message.starts_with("node.name must") && p.line.is_none()),
            "{error}"
        );
    }

    #[test]
    fn a_file_of_another_name_is_read_by_its_looks() {
        let folder = tempfile::tempdir().unwrap();
        let format = |text: &str| load(Some(&at(folder.path(), "x", text, 0o640))).unwrap().format;
        assert_eq!(format(TOML), Format::Toml);
        assert_eq!(format(CLASSIC), Format::Classic);
        assert_eq!(format(&format!("# a note\n{TOML}")), Format::Toml);
        assert_eq!(format(&format!("; a note\n{CLASSIC}")), Format::Classic);
    }

    #[test]
    fn what_is_no_text_or_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("koi.toml");
        assert!(load(Some(&path)).unwrap_err().to_string().contains("koi init"));
        std::fs::write(&path, b"[node]\nname = \"\xff\"").unwrap();
        let problem = load(Some(&path)).unwrap_err().problems.remove(0);
        assert_eq!((problem.line, &*problem.message), (Some(2), "is not UTF-8 text"));
        std::fs::write(&path, vec![b' '; FILE_BYTES as usize + 1]).unwrap();
        assert!(load(Some(&path)).unwrap_err().to_string().contains("larger"));
        assert!(load(Some(folder.path())).unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = at(folder.path(), "koi.toml", &format!("{TOML}[services]\nfolder = \"./svc\"\n"), 0o640);
        let services = load(Some(&path)).unwrap().config.services;
        assert_eq!(services.folder, folder.path().join("svc"));
        assert_eq!(services.workingdir, services.folder);
    }
}
