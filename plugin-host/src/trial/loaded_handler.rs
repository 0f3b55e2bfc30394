//! The code that was loaded of what is to be tried, and the handlers made of it.

use std::path::Path;
use std::sync::Arc;

use koi_plugin_api::Handler;
use koi_plugin_shell::{Shape, ShellHandler};

use super::error::LoadedHandlerError;
use super::scratch::Scratch;
use super::target::{Target, TargetSource};
use crate::config;
use crate::files;
use crate::plugin::{Code, Facts, Kind, Opened, Resolved, Setup};
use crate::{blobs, native, wasm};

/// A loaded plugin.
pub(super) struct LoadedHandler<'t> {
    target: &'t Target,
    scratch: &'t Scratch,
    loaded: Loaded,
    facts: Facts,
    /// Of its file; of scripts: 0.
    pub(super) size_bytes: usize,
}

enum Loaded {
    Code(Arc<dyn Code>),
    Scripts(Shape),
}

impl<'t> LoadedHandler<'t> {
    /// Loads it. Blocks.
    pub(super) fn load(
        target: &'t Target,
        scratch: &'t Scratch,
    ) -> Result<LoadedHandler<'t>, LoadedHandlerError> {
        let (loaded, size_bytes) = match &target.source {
            TargetSource::Plugin(path, kind) => load_file(path, *kind, scratch)?,
            TargetSource::Scripts(shape) => (Loaded::Scripts(shape.clone()), 0),
        };
        let facts = match &loaded {
            Loaded::Code(code) => code.facts().clone(),
            Loaded::Scripts(shape) => Facts {
                metadata: ShellHandler::open(shape.clone(), scratch.home()).metadata(),
                api: ShellHandler::VERSION.into(),
                ..Facts::default()
            },
        };
        Ok(LoadedHandler { target, scratch, loaded, facts, size_bytes })
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The folder of the service.
    pub(super) fn home(&self) -> &Path {
        self.target.home.as_deref().unwrap_or(self.scratch.home())
    }

    /// `given` with the defaults of the handler, if it can have that.
    pub(super) fn settle(
        &self,
        given: &[(String, String)],
    ) -> Result<Vec<(String, String)>, LoadedHandlerError> {
        let metadata = &self.facts.metadata;
        Ok(config::settle(&metadata.name, &metadata.config, given)?)
    }

    /// A handler with this configuration, which has been [settled](Self::settle). Blocks.
    pub(super) fn open(&self, config: &[(String, String)]) -> Result<Opened, LoadedHandlerError> {
        let code = match &self.loaded {
            Loaded::Code(code) => code,
            Loaded::Scripts(shape) => {
                let handler = Arc::new(ShellHandler::open(shape.clone(), self.home()));
                return Ok(Opened {
                    handler,
                    granted: Vec::new(),
                    limits: Vec::new(),
                    resolved: Resolved::new(),
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
            config,
            grants: &self.target.manifest.grants,
            limits: &self.target.manifest.limits,
            resolved: None,
        };
        Ok(code.open(&setup)?)
    }
}

fn load_file(path: &Path, kind: Kind, scratch: &Scratch) -> Result<(Loaded, usize), LoadedHandlerError> {
    let content = files::read(path)?;
    let host = scratch.host();
    let code = match kind {
        Kind::Wasm => wasm::load(host, path, &content.bytes, content.hash),
        Kind::Native | Kind::Builtin => {
            let pinned = blobs::keep(host, content.hash, &content.bytes)?;
            native::load(host, path, &pinned, content.hash)
        }
    };
    Ok((Loaded::Code(code?), content.bytes.len()))
}
