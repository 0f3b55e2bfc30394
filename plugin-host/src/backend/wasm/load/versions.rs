//! What a component was built against, read off the names of its imports and exports (wit/README.md).

/// The package that handlers implement.
const PACKAGE: &str = "koi:service/";

/// Components of these `major.minor` are taken, whatever their patch number. The last is that of new handlers.
const TAKEN: [&str; 2] = ["0.1", NEWEST];
const NEWEST: &str = "0.2";

/// What a component must export.
const EXPORTS: [&str; 2] = ["metadata", "lifecycle"];

/// What one exports that has the hook `changed`.
const CHANGES: &str = "changes";

/// What koid offers of the package, in every version.
const IMPORTS: [&str; 4] = ["types", "host", "state", "exec"];

/// What came with the newest version.
const NEW_IMPORTS: [&str; 1] = ["attributes"];

/// Why a component is no handler for this koid.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// It lacks an interface that every handler has.
    #[error(
        "it does not export {PACKAGE}{interface}, as handlers do: build it for the world `handler` of koi:service@{NEWEST} \
         (`koi wit` prints it)"
    )]
    NotExported { interface: &'static str },
    /// It needs an interface of a later koid.
    #[error("it imports {import}, which this koid does not have: upgrade koi")]
    TooNew { import: String },
    /// It names an interface of ours without a version.
    #[error("it names {name} without a version: build it against koi:service@{NEWEST}")]
    NoVersion { name: String },
    /// It was built against a version that this koid does not take.
    #[error(
        "built against koi:service@{version}; this koid takes {}: rebuild it, or run a koi that takes it", TAKEN.join(" and ")
    )]
    OtherVersion { version: String },
    /// It names interfaces of two versions.
    #[error(
        "it was built against koi:service@{first} and against koi:service@{second}: build all of it against one"
    )]
    TwoVersions { first: String, second: String },
}

/// The outside of a component.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outside {
    /// `koi:service@0.1.0`.
    pub(crate) api: String,
    /// `0.1.0`.
    pub(crate) api_version: String,
    /// The names of its imports.
    pub(crate) imports: Vec<String>,
    /// It exports the interface of `changed`.
    pub(crate) hears_changes: bool,
}

impl Outside {
    /// Of a component with these imports and exports, if that is a handler for this koid.
    pub(crate) fn read(imports: Vec<String>, exports: &[String]) -> Result<Outside, InterfaceError> {
        let mut minor: Option<&str> = None;
        for name in imports.iter().chain(exports) {
            let Some(version) = check_version(name)? else { continue };
            match minor {
                Some(other) if other != version => {
                    let (first, second) = (other.to_owned(), version.to_owned());
                    return Err(InterfaceError::TwoVersions { first, second });
                }
                _ => minor = Some(version),
            }
        }
        let mut api_version = String::new();
        for interface in EXPORTS {
            let found = exports.iter().filter_map(|name| item(name)).find(|(name, _)| *name == interface);
            let Some((_, version)) = found else {
                return Err(InterfaceError::NotExported { interface });
            };
            api_version = version.to_owned();
        }
        let is_offered =
            |of: &str| IMPORTS.contains(&of) || (minor == Some(NEWEST) && NEW_IMPORTS.contains(&of));
        let newer = imports.iter().find(|name| item(name).is_some_and(|(of, _)| !is_offered(of)));
        match newer {
            Some(name) => Err(InterfaceError::TooNew { import: name.clone() }),
            None => {
                let hears_changes = minor == Some(NEWEST)
                    && exports.iter().any(|name| item(name).is_some_and(|(of, _)| of == CHANGES));
                Ok(Outside { api: format!("koi:service@{api_version}"), api_version, imports, hears_changes })
            }
        }
    }
}

/// Interface and version of a name in our package.
fn item(name: &str) -> Option<(&str, &str)> {
    let inside = name.strip_prefix(PACKAGE)?;
    Some(inside.split_once('@').unwrap_or((inside, "")))
}

/// The `major.minor` of a name in our package; none: it is in another.
fn check_version(name: &str) -> Result<Option<&'static str>, InterfaceError> {
    let Some((_, version)) = item(name) else { return Ok(None) };
    let is_of = |taken: &&&str| version.strip_prefix(**taken).is_some_and(|patch| patch.starts_with('.'));
    match TAKEN.iter().find(is_of) {
        Some(taken) => Ok(Some(taken)),
        None if version.is_empty() => Err(InterfaceError::NoVersion { name: name.to_owned() }),
        None => Err(InterfaceError::OtherVersion { version: version.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(imports: &[&str], exports: &[&str]) -> Result<Outside, InterfaceError> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Outside::read(owned(imports), &owned(exports))
    }

    #[test]
    fn every_patch_of_our_version_is_taken() {
        let outside = read(
            &["koi:service/host@0.1.3", "wasi:io/poll@0.2.6"],
            &["koi:service/metadata@0.1.3", "koi:service/lifecycle@0.1.3"],
        );
        let outside = outside.unwrap();
        assert_eq!((outside.api.as_str(), outside.api_version.as_str()), ("koi:service@0.1.3", "0.1.3"));
    }

    #[test]
    fn the_version_before_is_taken_too_and_not_both_in_one() {
        for version in ["0.1.0", "0.2.0"] {
            let exports = ["metadata", "lifecycle"].map(|name| format!("koi:service/{name}@{version}"));
            assert_eq!(read(&[], &[&exports[0], &exports[1]]).unwrap().api_version, version);
        }
        let mixed =
            read(&["koi:service/host@0.1.0"], &["koi:service/metadata@0.2.0", "koi:service/lifecycle@0.2.0"]);
        assert!(mixed.unwrap_err().to_string().ends_with("build all of it against one"));
    }

    #[test]
    fn another_version_is_refused_by_name() {
        for (version, imports) in
            [("0.3.0", vec![]), ("0.10.0", vec![]), ("1.0.0", vec!["koi:service/types@1.0.0"])]
        {
            let exports = ["metadata", "lifecycle"].map(|name| format!("koi:service/{name}@{version}"));
            let refused = read(&imports, &[&exports[0], &exports[1]]).unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!(
                    "built against koi:service@{version}; this koid takes 0.1 and 0.2:"
                )),
                "{refused}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_too_new_is_named() {
        let missing =
            read(&[], &["koi:service/metadata@0.1.0", "wasi:cli/run@0.2.0"]).unwrap_err().to_string();
        assert!(missing.starts_with("it does not export koi:service/lifecycle"), "{missing}");
        let newer =
            read(&["koi:service/gpio@0.1.9"], &["koi:service/metadata@0.1.9", "koi:service/lifecycle@0.1.9"]);
        assert_eq!(
            newer.unwrap_err().to_string(),
            "it imports koi:service/gpio@0.1.9, which this koid does not have: upgrade koi"
        );
    }

    #[test]
    fn attributes_came_with_the_newest_version() {
        let of = |version: &str| {
            let exports = EXPORTS.map(|name| format!("koi:service/{name}@{version}"));
            let imports = [format!("koi:service/attributes@{version}")];
            read(&[&imports[0]], &[&exports[0], &exports[1]])
        };
        assert!(of("0.2.0").is_ok());
        assert!(matches!(of("0.1.9"), Err(InterfaceError::TooNew { .. })));
    }
}
