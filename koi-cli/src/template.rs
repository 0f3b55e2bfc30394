//! The handlers that `koi plugins new` begins with, and the interface that they implement.

use std::path::PathBuf;

use crate::cli::{Language, value_name};

/// The interface of WASM handlers, as it stands in `wit/`.
pub(crate) const WIT: &str = include_str!("../../wit/koi-service.wit");

/// The version of it that the templates are written for.
const TEMPLATE_WIT: &str = include_str!("../../wit/0.1/koi-service.wit");

/// Every file of every template, by its path: the language, then the path in the new folder.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

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

/// The files of a handler called `name`, the interface among them; none: there is no template in this language.
pub(crate) fn files(language: Language, name: &str) -> Vec<TemplateFile> {
    let folder = format!("{}/", value_name(language));
    let own = FILES.iter().filter_map(|(path, content)| Some((path.strip_prefix(&folder)?, content)));
    let mut files: Vec<_> = own
        .map(|(path, content)| TemplateFile {
            path: named(path, name).into(),
            content: named(content, name),
            mode: if path.ends_with(".sh") { PROGRAM_MODE } else { MODE },
        })
        .collect();
    if !files.is_empty() {
        files.push(TemplateFile {
            path: "wit/koi-service.wit".into(),
            content: TEMPLATE_WIT.into(),
            mode: MODE,
        });
    }
    files
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
            let files = files(*language, "my-db");
            let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
            for expected in ["build.sh", "README.md", ".gitignore", "wit/koi-service.wit"] {
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
            let files = files(*language, "my-db");
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
    fn what_builds_is_executable() {
        let files = files(Language::Rust, "my-db");
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
