//! A component, loaded: compiled, checked, asked what it is.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{Component, Linker};

use crate::backend::code::HandlerError;
use crate::backend::code::{Code, Opened};
use crate::backend::wasm::bindings::HandlerExecPre;
use crate::backend::wasm::capabilities::grants::Grants;
use crate::backend::wasm::capabilities::host_functions;
use crate::backend::wasm::capabilities::state::StateStore;
use crate::backend::wasm::load::describe::{DescribeError, describe};
use crate::backend::wasm::load::machine_code;
use crate::backend::wasm::load::machine_code::MachineCodeError;
use crate::backend::wasm::load::placeholders;
use crate::backend::wasm::load::versions::{InterfaceError, Outside};
use crate::backend::wasm::run::guest::Guest;
use crate::backend::wasm::run::handler::{WasmHandler, WasmService};
use crate::backend::wasm::run::limits::Limits;
use crate::backend::wasm::run::runtime::{RuntimeError, WasmRuntime};
use crate::host::Host;
use crate::plugin::{Compiled, Facts, FileHash, Setup};

/// Why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// No component can be run in this process.
    #[error("{0}")]
    Runtime(&'static RuntimeError),
    /// There is no code of it.
    #[error(transparent)]
    MachineCode(#[from] MachineCodeError),
    /// It is no handler for this koid.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// It does not say what it is.
    #[error(transparent)]
    Describe(#[from] DescribeError),
}

/// A component that can be made the handler of any number of services.
pub(crate) struct WasmCode {
    machine: &'static WasmRuntime,
    component: Component,
    host: Host,
    facts: Facts,
}

impl WasmCode {
    /// Loads the component in `bytes`.
    pub(crate) fn load(host: &Host, bytes: &[u8], hash: FileHash) -> Result<WasmCode, ComponentError> {
        let machine = WasmRuntime::get().map_err(ComponentError::Runtime)?;
        let began = Instant::now();
        let code = machine_code::for_component(host, machine.engine(), bytes, hash)?;
        let took = began.elapsed();
        let outside = Outside::from_component(&code.component, machine.engine())?;
        let metadata = describe(machine, &code.component)?;
        let compiled = Compiled { size_bytes: code.size_bytes, cached: code.cached, took };
        let Outside { api, api_version, imports } = outside;
        let facts = Facts { metadata, api, api_version, imports, compiled: Some(compiled) };
        Ok(WasmCode { machine, component: code.component, host: host.clone(), facts })
    }

    /// Loads the component in `bytes`, of which `facts` are known already.
    pub(crate) fn resume(
        host: &Host,
        bytes: &[u8],
        hash: FileHash,
        facts: Facts,
    ) -> Result<WasmCode, ComponentError> {
        let machine = WasmRuntime::get().map_err(ComponentError::Runtime)?;
        let code = machine_code::for_component(host, machine.engine(), bytes, hash)?;
        Ok(WasmCode { machine, component: code.component, host: host.clone(), facts })
    }

    fn link(&self, grants: &Grants) -> Result<HandlerExecPre<Guest>, HandlerError> {
        let mut linker = Linker::new(self.machine.engine());
        let linked = host_functions::link(&mut linker)
            .and_then(|()| grants.link(&mut linker))
            .and_then(|()| linker.instantiate_pre(&self.component))
            .and_then(HandlerExecPre::new);
        linked.map_err(HandlerError::Link)
    }
}

impl Code for WasmCode {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError> {
        let limits = Limits::read(setup.limits)?;
        let grants = Arc::new(Grants::read(setup, &self.host)?);
        if setup.opening.is_first() {
            grants.check_wanted(&placeholders::fill_in(&self.facts.metadata.capabilities, setup.config))?;
        }
        for import in &self.facts.imports {
            grants.check_import(import)?;
        }
        let service = WasmService {
            machine: self.machine,
            metadata: self.facts.metadata.clone(),
            linked: self.link(&grants)?,
            grants: grants.clone(),
            limits,
            store: StateStore::open(self.host.store_file(setup.service)),
            config: setup.config.to_vec(),
        };
        let handler = Arc::new(WasmHandler(Arc::new(service)));
        Ok(Opened { handler, granted: grants.granted(), limits: limits.lines(), resolved: grants.resolved() })
    }
}
