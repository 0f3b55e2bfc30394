//! The code that was loaded of what is to be tried, and the handlers made of it.

use std::path::Path;
use std::sync::Arc;

use koi_plugin_api::{Handler, Hook};
use koi_plugin_shell::{Shape, ShellHandler};

use crate::backend::code::{Code, Opened};
use crate::backend::{self, PluginFile, Start};
use crate::catalog::storage::blobs;
use crate::catalog::storage::files;
use crate::config::setting::{ServiceConfig, Setting};
use crate::config::settle::settle;
use crate::conformance::error::LoadedHandlerError;
use crate::conformance::scratch::Scratch;
use crate::conformance::target::{Target, TargetSource};
use crate::plugin::{Facts, Kind, Opening, Resolved, Setup};

/// A loaded plugin.
pub(crate) struct LoadedHandler<'t> {
    target: &'t Target,
    scratch: &'t Scratch,
    loaded: Loaded,
    facts: Facts,
    /// Of its file; of scripts: 0.
    pub(crate) size_bytes: usize,
}

enum Loaded {
    Code(Arc<dyn Code>),
    Scripts(Shape),
}

impl<'t> LoadedHandler<'t> {
    /// Loads it. Blocks.
    pub(crate) fn load(
        target: &'t Target,
        scratch: &'t Scratch,
    ) -> Result<LoadedHandler<'t>, LoadedHandlerError> {
        let (loaded, size_bytes) = match &target.source {
            TargetSource::Plugin(path, kind) => load_file((path, *kind), scratch, Start::First)?,
            TargetSource::Scripts(shape) => (Loaded::Scripts(shape.clone()), 0),
        };
        let mut facts = match &loaded {
            Loaded::Code(code) => code.facts().clone(),
            Loaded::Scripts(shape) => Facts {
                metadata: ShellHandler::open(shape.clone(), scratch.home()).metadata(),
                api: ShellHandler::VERSION.into(),
                api_version: ShellHandler::VERSION.into(),
                ..Facts::default()
            },
        };
        if target.manifest.changed == Some(true) {
            facts.metadata.hooks = facts.metadata.hooks.with(Hook::Changed);
        }
        Ok(LoadedHandler { target, scratch, loaded, facts, size_bytes })
    }

    /// Loads it once more, when `facts` are known of it: it is not asked what it is. Blocks.
    pub(crate) fn resume(
        target: &'t Target,
        scratch: &'t Scratch,
        facts: &Facts,
    ) -> Result<LoadedHandler<'t>, LoadedHandlerError> {
        let (loaded, size_bytes) = match &target.source {
            TargetSource::Plugin(path, kind) => load_file((path, *kind), scratch, Start::Resumed(facts))?,
            TargetSource::Scripts(shape) => (Loaded::Scripts(shape.clone()), 0),
        };
        Ok(LoadedHandler { target, scratch, loaded, facts: facts.clone(), size_bytes })
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The folder of the service.
    pub(crate) fn home(&self) -> &Path {
        self.target.home.as_deref().unwrap_or(self.scratch.home())
    }

    /// `given` with the defaults of the handler, if it can have that.
    pub(crate) fn settle(&self, given: &[Setting]) -> Result<ServiceConfig, LoadedHandlerError> {
        let metadata = &self.facts.metadata;
        Ok(settle(&metadata.name, &metadata.config, given)?)
    }

    /// A handler with this configuration, which has been [settled](Self::settle). Blocks.
    pub(crate) fn open(&self, config: &ServiceConfig) -> Result<Opened, LoadedHandlerError> {
        let code = match &self.loaded {
            Loaded::Code(code) => code,
            Loaded::Scripts(shape) => {
                let handler = Arc::new(ShellHandler::open(shape.clone(), self.home()));
                return Ok(Opened {
                    handler,
                    granted: Vec::new(),
                    limits: Vec::new(),
                    resolved: Resolved::default(),
                });
            }
        };
        // A component's store goes by this name. A library hears the name, and has no store of koi's.
        let service = match self.target.kind() {
            Kind::Wasm => self.scratch.store_name(),
            Kind::Native | Kind::Builtin => &self.target.name,
        };
        let setup = Setup {
            service,
            home: self.home(),
            config: &config.values,
            secrets: &config.secrets,
            grants: &self.target.manifest.grants,
            limits: &self.target.manifest.limits,
            opening: Opening::First,
        };
        Ok(code.open(&setup)?)
    }
}

/// What a plugin's file says of itself. Blocks.
pub(crate) fn facts_of(file: (&Path, Kind), scratch: &Scratch) -> Result<Facts, LoadedHandlerError> {
    match load_file(file, scratch, Start::First)? {
        (Loaded::Code(code), _) => Ok(code.facts().clone()),
        (Loaded::Scripts(_), _) => Ok(Facts::default()),
    }
}

fn load_file(
    (path, kind): (&Path, Kind),
    scratch: &Scratch,
    start: Start<'_>,
) -> Result<(Loaded, usize), LoadedHandlerError> {
    let content = files::read(path)?;
    let host = scratch.host();
    let copy = match kind {
        Kind::Wasm => path.to_owned(),
        Kind::Native | Kind::Builtin => blobs::keep(host, content.hash, &content.bytes)?,
    };
    let (bytes, hash) = (&content.bytes[..], content.hash);
    let code = backend::load(&PluginFile { host, path, copy: &copy, kind, bytes, hash }, start)?;
    Ok((Loaded::Code(code), content.bytes.len()))
}
