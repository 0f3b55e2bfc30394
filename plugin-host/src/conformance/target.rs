//! What is to be tried: a plugin's file by itself, or a service.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use koi_plugin_api::HookSet;
use koi_plugin_shell::{Shape, ShellHandler};

use crate::catalog::storage::files;
use crate::catalog::storage::sources;
use crate::catalog::storage::sources::Sources;
use crate::config::setting::Setting;
use crate::conformance::error::TargetError;
use crate::conformance::installed;
use crate::plugin::Kind;
use crate::service::definition::{COMPONENT, MANIFEST, beside};
use crate::service::entry;
use crate::service::entry::EntryKind;
use crate::service::manifest::Manifest;

/// A handler, and the service that it is to run.
#[derive(Debug)]
pub(crate) struct Target {
    /// The service's name; of a plugin alone: the file's.
    pub(crate) name: String,
    /// The service's folder; of a plugin alone: none.
    pub(crate) home: Option<PathBuf>,
    pub(crate) source: TargetSource,
    /// What `service.toml` says.
    pub(crate) manifest: Manifest,
}

/// What runs the hooks.
#[derive(Clone, Debug)]
pub(crate) enum TargetSource {
    /// A file to load.
    Plugin(PathBuf, Kind),
    /// Scripts.
    Scripts(Shape),
}

impl Target {
    /// Finds out what `plugin` is; `service` is the folder of the service that it is to run, and `config` comes before what its
    /// `service.toml` says. A handler that is named there without a path is looked for in `sources`.
    pub(crate) fn find(
        plugin: &Path,
        service: Option<&Path>,
        config: &[(String, String)],
        sources: &Sources,
    ) -> Result<Target, TargetError> {
        let plugin = there(plugin)?;
        let service = service.map(there).transpose()?;
        let mut target = match (plugin.is_dir(), files::kind_of(&plugin), service) {
            (true, _, None) => from_folder(plugin, sources)?,
            (true, _, Some(_)) => {
                return Err(TargetError::ServiceTwice(plugin));
            }
            (false, Some(kind), service) => from_plugin(plugin, kind, service)?,
            (false, None, None) => from_script(plugin)?,
            (false, None, Some(_)) => {
                return Err(TargetError::ServiceOfScript(plugin));
            }
        };
        let said = std::mem::take(&mut target.manifest.config);
        let others = said.into_iter().filter(|setting| config.iter().all(|(own, _)| *own != setting.key));
        let own = config.iter().map(|(key, value)| Setting::of_command_line(key, value));
        target.manifest.config = others.chain(own).collect();
        Ok(target)
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.source {
            TargetSource::Plugin(_, kind) => kind,
            TargetSource::Scripts(_) => Kind::Builtin,
        }
    }

    /// Its file or folder.
    pub(crate) fn path(&self) -> &Path {
        match &self.source {
            TargetSource::Plugin(path, _) => path,
            TargetSource::Scripts(shape) => shape.path(),
        }
    }

    /// It is a service, with all that it needs: its hooks are to go well.
    pub(crate) fn is_service(&self) -> bool {
        self.home.is_some()
    }

    /// Whatever its hooks are asked, they can do no harm.
    pub(crate) fn is_harmless(&self) -> bool {
        !self.is_service() && self.kind() == Kind::Wasm
    }
}

fn there(path: &Path) -> Result<PathBuf, TargetError> {
    fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if files::kind_of(path).is_some() => TargetError::NotBuilt(path.to_owned()),
        _ => TargetError::Unreadable { path: path.to_owned(), source: error },
    })
}

fn from_folder(folder: PathBuf, sources: &Sources) -> Result<Target, TargetError> {
    let manifest = manifest(&folder)?;
    let component = folder.join(COMPONENT);
    let source = match &manifest.handler {
        Some(name) if name == ShellHandler::NAME => TargetSource::Scripts(Shape::Folder(folder.clone())),
        Some(named) if sources::is_reference(Path::new(named)) => {
            TargetSource::Plugin(installed::pulled(&folder, named, sources)?, Kind::Wasm)
        }
        Some(named) => match files::kind_of(Path::new(named)) {
            Some(kind) => TargetSource::Plugin(there(&folder.join(named))?, kind),
            None if sources.dirs.is_empty() => {
                return Err(TargetError::NamedHandler { handler: named.clone(), folder });
            }
            None => {
                let (file, kind) = installed::named(&folder, named, sources)?;
                TargetSource::Plugin(file, kind)
            }
        },
        None if component.exists() => TargetSource::Plugin(component, Kind::Wasm),
        None => TargetSource::Scripts(Shape::Folder(folder.clone())),
    };
    if let TargetSource::Scripts(shape) = &source
        && shape.hooks() == HookSet::default()
    {
        return Err(TargetError::NoService(folder));
    }
    Ok(Target { name: name_of(&folder), home: Some(folder), source, manifest })
}

fn from_plugin(plugin: PathBuf, kind: Kind, service: Option<PathBuf>) -> Result<Target, TargetError> {
    let manifest = match &service {
        Some(folder) if !folder.is_dir() => return Err(TargetError::NotAFolder(folder.clone())),
        Some(folder) => manifest(folder)?,
        None => Manifest::default(),
    };
    let name = match &service {
        Some(folder) => name_of(folder),
        None => plugin.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    Ok(Target { name, home: service, source: TargetSource::Plugin(plugin, kind), manifest })
}

fn from_script(script: PathBuf) -> Result<Target, TargetError> {
    let meta =
        fs::metadata(&script).map_err(|source| TargetError::Script { path: script.clone(), source })?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Err(TargetError::NotExecutable(script));
    }
    let home = script.parent().unwrap_or(Path::new("/")).to_owned();
    let manifest = Manifest::load(&beside(&script))?.unwrap_or_default();
    let (name, source) = (name_of(&script), TargetSource::Scripts(Shape::File(script)));
    Ok(Target { name, home: Some(home), source, manifest })
}

fn manifest(folder: &Path) -> Result<Manifest, TargetError> {
    Ok(Manifest::load(&folder.join(MANIFEST))?.unwrap_or_default())
}

/// The name that koid would give the service.
fn name_of(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default();
    match entry::read(file) {
        EntryKind::Service { name, .. } => name.to_owned(),
        EntryKind::Ignored(_) | EntryKind::Refused(_) => file.to_string_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(folder: &Path, name: &str) -> Result<Target, TargetError> {
        Target::find(&folder.join(name), None, &[], &Sources::default())
    }

    fn executable(path: &Path) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn whatever_can_run_hooks_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("redis.wasm"), "").unwrap();
        fs::create_dir(at.join("10-web")).unwrap();
        executable(&at.join("10-web/start"));
        executable(&at.join("20-vip"));
        let alone = find(at, "redis.wasm").unwrap();
        assert_eq!((alone.name.as_str(), alone.kind(), alone.is_harmless()), ("redis", Kind::Wasm, true));
        let scripts = find(at, "10-web").unwrap();
        assert_eq!((scripts.name.as_str(), scripts.is_service()), ("web", true));
        assert_eq!(find(at, "20-vip").unwrap().name, "vip");
        fs::write(at.join("10-web/service.toml"), "handler = \"../redis.wasm\"\n[config]\na = 1\nb = 2\n")
            .unwrap();
        let given = [("b".to_owned(), "3".to_owned())];
        let named = Target::find(&at.join("10-web"), None, &given, &Sources::default()).unwrap();
        assert_eq!((named.kind(), named.is_harmless()), (Kind::Wasm, false));
        let expected = [Setting { line: 3, ..Setting::said("a", "1") }, Setting::said("b", "3")];
        assert_eq!(named.manifest.config, expected);
    }

    #[test]
    fn what_is_nothing_to_try_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("notes"), "").unwrap();
        fs::create_dir(at.join("named")).unwrap();
        fs::write(at.join("named/service.toml"), "handler = \"redis\"\n").unwrap();
        fs::create_dir(at.join("empty")).unwrap();
        for (name, said) in [
            ("gone", "No such file"),
            ("gone.wasm", "./build.sh"),
            ("notes", "chmod +x"),
            ("named", "--service"),
            ("empty", "is no service"),
        ] {
            let why = find(at, name).unwrap_err().to_string();
            assert!(why.contains(said) && why.contains(name), "{name}: {why}");
        }
    }
}
