//! The handlers that `koi plugins new` begins with, and the interface that they implement.

mod directives;

use std::path::{Path, PathBuf};

use crate::cli::{Capability, Language, value_name};

/// The interface of WASM handlers, as it stands in `wit/`.
pub(crate) const WIT: &str = include_str!("../../wit/koi-service.wit");

/// The service that a new handler is tried in, in whatever language.
const SERVICE: &str = include_str!("../templates/service.toml");

/// Every file of every template, by its path: the language, then the path in the new folder.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The libraries for handlers, `plugin-api/sdk`: the language, then the path in the library.
const LIBRARIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/libraries.rs"));

/// What the libraries take of WASI, for languages whose tools do not bring it along.
const WASI: &str = "wasi/";

/// Characters of a plugin's name.
const NAME_LENGTH: usize = 64;

/// Only what builds is run by hand.
const MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TemplateFile {
    /// Relative to the new folder.
    pub(crate) path: PathBuf,
    pub(crate) content: String,
    /// Its permissions.
    pub(crate) mode: u32,
}

/// The files of a handler called `name` that shows how to use these capabilities, the library and the interface among them; none: there
/// is no template in this language.
pub(crate) fn files(language: Language, name: &str, with: &[Capability]) -> Vec<TemplateFile> {
    let folder = format!("{}/", value_name(language));
    let mut files: Vec<_> = below(FILES, &folder)
        .map(|(path, content)| TemplateFile {
            path: named(path, name).into(),
            content: named(&directives::carried_out(content, with), name),
            mode: if path.ends_with(".sh") { PROGRAM_MODE } else { MODE },
        })
        .collect();
    if files.is_empty() {
        return files;
    }
    let library =
        below(LIBRARIES, &folder).filter(|(path, _)| language.has_whole_library() || is_for(path, with));
    let wasi = below(LIBRARIES, WASI).filter(|(path, _)| !language.has_whole_library() && is_for(path, with));
    let copied = |folder: &'static str| {
        move |(path, content): (&str, &str)| TemplateFile {
            path: Path::new(folder).join(path),
            content: content.into(),
            mode: MODE,
        }
    };
    files.extend(library.map(copied(language.library_folder())));
    files.extend(wasi.map(copied("wit/wasi")));
    files.push(TemplateFile {
        path: "service/service.toml".into(),
        content: named(&directives::carried_out(SERVICE, with), name),
        mode: MODE,
    });
    files.push(TemplateFile { path: "wit/koi-service.wit".into(), content: WIT.into(), mode: MODE });
    files
}

/// The files that lie in this folder, by their path from there.
fn below<'f>(
    files: &'static [(&str, &str)],
    folder: &'f str,
) -> impl Iterator<Item = (&'static str, &'static str)> + use<'f> {
    files.iter().filter_map(move |(path, content)| Some((path.strip_prefix(folder)?, *content)))
}

/// Whether a file of a library is for a handler with these capabilities. It is named after the one that it is for, and those of
/// WASI's streams are for both that need them.
fn is_for(path: &str, with: &[Capability]) -> bool {
    match Path::new(path).file_stem().and_then(|stem| stem.to_str()) {
        Some("exec" | "exec_wasip1") => with.contains(&Capability::Exec),
        Some("tcp" | "address") => with.contains(&Capability::Tcp),
        Some("http") => with.contains(&Capability::Http),
        Some("io" | "wasi") => with.contains(&Capability::Tcp) || with.contains(&Capability::Http),
        _ => true,
    }
}

impl Language {
    /// Where a new handler has the library.
    fn library_folder(self) -> &'static str {
        match self {
            Language::Rust | Language::C | Language::Js | Language::Go => "koi",
            Language::Python => "src/koi",
        }
    }

    /// Whether the library is taken whole: its package says itself which part of it is built, and takes WASI from another one.
    fn has_whole_library(self) -> bool {
        match self {
            Language::Rust => true,
            Language::C | Language::Js | Language::Go | Language::Python => false,
        }
    }
}

fn named(text: &str, name: &str) -> String {
    text.replace("@NAME@", name).replace("@NAME_SNAKE@", &name.replace('-', "_"))
}

/// Why a word cannot be the name of a plugin.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PluginNameError {
    #[error("a name is at most {NAME_LENGTH} of the letters a to z, digits and `-`")]
    Characters,
    #[error("a name begins with a letter, and each `-` stands between letters or digits")]
    Hyphens,
    #[error("`shell` is the built-in handler; choose another name")]
    BuiltIn,
}

/// Whether `text` can be the name of a plugin and, in every language, that of a package.
pub(crate) fn name(text: &str) -> Result<String, PluginNameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > NAME_LENGTH || !text.chars().all(allowed) {
        return Err(PluginNameError::Characters);
    }
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || text.ends_with('-') || text.contains("--") {
        return Err(PluginNameError::Hyphens);
    }
    match text {
        "shell" => Err(PluginNameError::BuiltIn),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_language_has_a_template_with_a_build_and_a_readme() {
        for language in Language::value_variants() {
            let files = files(*language, "my-db", &[]);
            let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
            for expected in
                ["build.sh", "README.md", ".gitignore", "service/service.toml", "wit/koi-service.wit"]
            {
                assert!(
                    paths.iter().any(|path| path == expected),
                    "{language:?} has no {expected}: {paths:?}"
                );
            }
        }
    }

    #[test]
    fn the_name_stands_wherever_it_belongs() {
        for language in Language::value_variants() {
            let files = files(*language, "my-db", &[]);
            assert!(files.iter().any(|file| file.content.contains("my-db")), "{language:?}");
            for file in &files {
                let whole = [file.path.as_os_str().as_bytes(), file.content.as_bytes()].concat();
                let whole = String::from_utf8(whole).unwrap();
                assert!(!whole.contains("@NAME"), "{language:?}: {}", file.path.display());
            }
        }
        assert_eq!(named("@NAME@/@NAME_SNAKE@.c", "my-db"), "my-db/my_db.c");
    }

    #[test]
    fn the_library_comes_along_as_far_as_it_is_asked_for() {
        let paths = |language, with: &[Capability]| -> Vec<String> {
            files(language, "my-db", with).iter().map(|file| file.path.display().to_string()).collect()
        };
        let all = Capability::value_variants();
        for (language, library, http) in [
            (Language::Rust, "koi/src/lib.rs", "koi/src/http.rs"),
            (Language::C, "koi/koi.c", "koi/http.c"),
            (Language::Js, "koi/store.js", "koi/http.js"),
            (Language::Python, "src/koi/__init__.py", "src/koi/http.py"),
            (Language::Go, "koi/koi.go", "koi/http.go"),
        ] {
            let (small, whole) = (paths(language, &[]), paths(language, all));
            assert!(small.iter().any(|path| path == library), "{language:?}: {small:?}");
            assert!(whole.iter().any(|path| path == http), "{language:?}: {whole:?}");
            assert_eq!(
                small.iter().any(|path| path == http),
                language == Language::Rust,
                "{language:?}: {small:?}"
            );
            // The library's own: a test of the handler comes along.
            let tests = |path: &&String| path.contains("tests/") || path.contains("_test.");
            assert_eq!(whole.iter().find(tests), None, "{language:?}");
            assert!(small.iter().any(|path| path == "handler.test.toml"), "{language:?}: {small:?}");
        }
    }

    #[test]
    fn no_directive_is_left() {
        for language in Language::value_variants() {
            for with in [&[][..], &[Capability::Tcp], Capability::value_variants()] {
                for file in files(*language, "my-db", with) {
                    for word in ["@IF", "@ELSE", "@END", "@WITH"] {
                        assert!(!file.content.contains(word), "{language:?}: {}", file.path.display());
                    }
                }
            }
        }
    }

    #[test]
    fn what_builds_is_executable() {
        let files = files(Language::Rust, "my-db", &[]);
        let mode = |path: &str| files.iter().find(|f| f.path.as_os_str() == path).map(|f| f.mode);
        assert_eq!((mode("build.sh"), mode("README.md")), (Some(0o755), Some(0o644)));
    }

    #[test]
    fn a_name_is_one_in_every_language() {
        for good in ["mydb", "my-db", "a1", "a-1-b"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        let long = "x".repeat(65);
        for wrong in ["", "My", "my_db", "1db", "-a", "a-", "a--b", "a/b", "ä", "shell", &long] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
    }
}
