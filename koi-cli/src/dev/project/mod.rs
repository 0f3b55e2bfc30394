//! The folder of a handler: how it is built, what comes of it, which tests there are.

mod ignored;
pub(super) mod watch;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::Dev;
use crate::error::CommandError;

/// What `koi plugins new` writes to build a handler, and what that makes.
const BUILD: &str = "build.sh";
const COMPONENT: &str = "handler.wasm";

/// The service that a handler is tried in, if there is one, and what makes a folder one.
const SERVICE: &str = "service";
const MANIFEST: &str = "service.toml";

/// Test files end so, or lie in this folder.
const TESTS: &str = ".test.toml";
const TESTS_FOLDER: &str = "tests";

/// A handler's folder.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// Absolute.
    pub(super) folder: PathBuf,
    pub(super) build: Build,
    /// The component, absolute; it need not be there yet.
    pub(super) component: PathBuf,
}

/// How a component comes about.
#[derive(Clone, Debug)]
pub(super) enum Build {
    /// By a program in the folder.
    Program(PathBuf),
    /// By a command line of the shell.
    Command(String),
    /// Elsewhere: the file is watched.
    Elsewhere,
}

/// Why a folder is none of a handler.
#[derive(Debug, thiserror::Error)]
enum ProjectError {
    #[error("{} cannot be looked at: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{} is no folder", .0.display())]
    NoFolder(PathBuf),
    #[error("{} is not executable", .0.display())]
    NotExecutable(PathBuf),
    #[error("{} has no {BUILD} and no component", .0.display())]
    Nothing(PathBuf),
    #[error("{} has no {BUILD}, and several components: {}", folder.display(), names.join(", "))]
    Several { folder: PathBuf, names: Vec<String> },
}

impl ProjectError {
    fn hint(&self) -> String {
        match self {
            ProjectError::Folder { .. } => {
                "name the folder of a handler; `koi plugins new` makes one".to_owned()
            }
            ProjectError::NoFolder(_) => {
                "name the handler's folder; --component names the file in it that is to be run".to_owned()
            }
            ProjectError::NotExecutable(path) => format!("chmod +x {}", path.display()),
            ProjectError::Nothing(_) => {
                "`koi plugins new` makes a folder with both; --build says how another one is built".to_owned()
            }
            ProjectError::Several { .. } => "--component names the one that is to be run".to_owned(),
        }
    }
}

impl From<ProjectError> for CommandError {
    fn from(error: ProjectError) -> CommandError {
        CommandError::usage(error.to_string(), error.hint())
    }
}

impl Project {
    /// Looks at the folder that is named on the command line.
    pub(super) fn find(args: &Dev) -> Result<Project, CommandError> {
        Ok(look(args)?)
    }

    /// The service that lies in the folder, if there is one.
    pub(super) fn service(&self) -> Option<PathBuf> {
        let service = self.folder.join(SERVICE);
        service.join(MANIFEST).is_file().then_some(service)
    }

    /// Whether a file, by its path in the folder, tells of tests only.
    pub(super) fn is_test(path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        name.ends_with(TESTS) || is_toml && path.parent() == Some(Path::new(TESTS_FOLDER))
    }

    /// The test files that lie beside the handler, in the order of their names.
    pub(super) fn tests(&self) -> Vec<PathBuf> {
        let of =
            |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let all = of(&self.folder).chain(of(&self.folder.join(TESTS_FOLDER)));
        let is_test = |path: &PathBuf| path.strip_prefix(&self.folder).is_ok_and(Project::is_test);
        let mut tests: Vec<PathBuf> = all.filter(|path| is_test(path) && path.is_file()).collect();
        tests.sort();
        tests
    }
}

impl Build {
    /// As people would say it.
    pub(super) fn shown(&self) -> String {
        match self {
            Build::Program(_) => format!("./{BUILD}"),
            Build::Command(command) => command.clone(),
            Build::Elsewhere => String::new(),
        }
    }
}

fn look(args: &Dev) -> Result<Project, ProjectError> {
    let folder = fs::canonicalize(&args.folder)
        .map_err(|source| ProjectError::Folder { folder: args.folder.clone(), source })?;
    if !folder.is_dir() {
        return Err(ProjectError::NoFolder(args.folder.clone()));
    }
    let program = folder.join(BUILD);
    let build = match (&args.build, fs::metadata(&program)) {
        (Some(command), _) => Build::Command(command.clone()),
        (None, Ok(meta)) if meta.permissions().mode() & 0o111 == 0 => {
            return Err(ProjectError::NotExecutable(args.folder.join(BUILD)));
        }
        (None, Ok(_)) => Build::Program(program),
        (None, Err(_)) => Build::Elsewhere,
    };
    let component = match (&args.component, &build) {
        (Some(named), _) => folder.join(named),
        (None, Build::Elsewhere) => only_component(&folder, &args.folder)?,
        (None, Build::Program(_) | Build::Command(_)) => folder.join(COMPONENT),
    };
    Ok(Project { folder, build, component })
}

/// The component of a folder in which nothing is built.
fn only_component(folder: &Path, named: &Path) -> Result<PathBuf, ProjectError> {
    let usual = folder.join(COMPONENT);
    if usual.is_file() {
        return Ok(usual);
    }
    let entries = fs::read_dir(folder)
        .map_err(|source| ProjectError::Folder { folder: named.to_owned(), source })?
        .flatten()
        .map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "wasm")).collect();
    found.sort();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match &found[..] {
        [] => Err(ProjectError::Nothing(named.to_owned())),
        [one] => Ok(one.clone()),
        several => {
            let names = several.iter().map(name).collect();
            Err(ProjectError::Several { folder: named.to_owned(), names })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn args(folder: &Path) -> Dev {
        Dev { folder: folder.to_owned(), ..Dev::default() }
    }

    #[test]
    fn a_folder_says_how_it_is_built_or_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(look(&args(folder.path())), Err(ProjectError::Nothing(_))));
        assert!(matches!(look(&args(&at("gone"))), Err(ProjectError::Folder { .. })));

        fs::write(at("b.wasm"), "").unwrap();
        let found = look(&args(folder.path())).unwrap();
        assert!(found.component.ends_with("b.wasm") && matches!(found.build, Build::Elsewhere));
        assert!(matches!(look(&args(&at("b.wasm"))), Err(ProjectError::NoFolder(_))));
        fs::write(at("a.wasm"), "").unwrap();
        let several = look(&args(folder.path())).unwrap_err();
        assert!(several.to_string().ends_with("several components: a.wasm, b.wasm"), "{several}");

        fs::write(at("build.sh"), "#!/bin/sh\n").unwrap();
        assert!(matches!(look(&args(folder.path())), Err(ProjectError::NotExecutable(_))));
        fs::set_permissions(at("build.sh"), Permissions::from_mode(0o755)).unwrap();
        let found = look(&args(folder.path())).unwrap();
        assert!(found.component.ends_with(COMPONENT) && matches!(found.build, Build::Program(_)));
    }

    #[test]
    fn the_service_that_it_is_tried_in_may_lie_there() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(COMPONENT), "").unwrap();
        let project = look(&args(folder.path())).unwrap();
        fs::create_dir(folder.path().join(SERVICE)).unwrap();
        assert_eq!(project.service(), None);
        fs::write(folder.path().join("service/service.toml"), "").unwrap();
        assert_eq!(project.service(), Some(project.folder.join("service")));
    }

    #[test]
    fn tests_lie_beside_the_handler_or_in_their_folder() {
        for test in ["handler.test.toml", "a/b.test.toml", "tests/a.toml"] {
            assert!(Project::is_test(Path::new(test)), "{test}");
        }
        for other in ["Cargo.toml", "tests/a.rs", "src/tests/a.toml"] {
            assert!(!Project::is_test(Path::new(other)), "{other}");
        }
    }
}
