//! A component, loaded: compiled, checked, asked what it is.

use std::sync::Arc;
use std::time::Instant;

use koi_plugin_api::Hook;
use tokio::sync::Mutex;

use crate::backend::code::HandlerError;
use crate::backend::code::{Code, Opened};
use crate::backend::helper::Slot;
use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::host::allowance::Allowance;
use crate::backend::wasm::host::exec::kept::Kept;
use crate::backend::wasm::host::exec::program_watch::ProgramWatch;
use crate::backend::wasm::host::handler::{WasmHandler, WasmService};
use crate::backend::wasm::host::helper;
use crate::backend::wasm::host::lookups::Lookups;
use crate::backend::wasm::host::named_processes::NamedProcesses;
use crate::backend::wasm::host::store::StateStore;
use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::limits::Limits;
use crate::backend::wasm::load::describe::{DescribeError, describe};
use crate::backend::wasm::load::machine_code;
use crate::backend::wasm::load::machine_code::{MachineCode, MachineCodeError};
use crate::backend::wasm::load::placeholders;
use crate::backend::wasm::load::sealed::ComponentCode;
use crate::backend::wasm::load::sections::runs_when_made;
use crate::backend::wasm::load::versions::Outside;
use crate::backend::wasm::protocol::{GuestSetup, HostMessage, ServiceSetup, user_of};
use crate::config::secret::Secrets;
use crate::host::Host;
use crate::plugin::{Compiled, Facts, FileHash, Setup};

/// Why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// There is no code of it.
    #[error(transparent)]
    MachineCode(#[from] MachineCodeError),
    /// It does not say what it is, or is no handler for this koid.
    #[error(transparent)]
    Describe(#[from] DescribeError),
}

/// A component that can be made the handler of any number of services.
pub(crate) struct WasmCode {
    code: Arc<ComponentCode>,
    host: Host,
    facts: Facts,
    runs_when_made: bool,
}

impl WasmCode {
    /// Loads the component in `bytes`.
    pub(crate) fn load(host: &Host, bytes: &[u8], hash: FileHash) -> Result<WasmCode, ComponentError> {
        let began = Instant::now();
        let found = machine_code::for_component(host, bytes, hash)?;
        let took = began.elapsed();
        let (outside, metadata) = describe(host, &found.code)?;
        let MachineCode { code, cached, lacking } = found;
        let compiled = Compiled { size_bytes: code.size_bytes(), cached, took, lacking };
        let Outside { api, api_version, imports, hears_changes: _ } = outside;
        let facts = Facts { metadata, api, api_version, imports, compiled: Some(compiled) };
        Ok(WasmCode {
            code: Arc::new(code),
            host: host.clone(),
            facts,
            runs_when_made: runs_when_made(bytes),
        })
    }

    /// Loads the component in `bytes`, of which `facts` are known already.
    pub(crate) fn resume(
        host: &Host,
        bytes: &[u8],
        hash: FileHash,
        facts: Facts,
    ) -> Result<WasmCode, ComponentError> {
        let found = machine_code::for_component(host, bytes, hash)?;
        let code = Arc::new(found.code);
        Ok(WasmCode { code, host: host.clone(), facts, runs_when_made: runs_when_made(bytes) })
    }
}

impl Code for WasmCode {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn open(&self, setup: &Setup<'_>) -> Result<Opened, HandlerError> {
        let limits = Limits::read(setup.limits)?;
        let grants = Grants::read(setup, &self.host)?;
        if setup.opening.is_first() {
            grants.check_kept(self.facts.metadata.hooks.has(Hook::Stop))?;
            grants.check_secrets(setup.secrets)?;
            let wanted = placeholders::fill_in(&self.facts.metadata.wants, setup.config);
            grants.check_wanted(&wanted, &self.host.resolver)?;
        }
        for import in &self.facts.imports {
            grants.check_import(import)?;
        }
        let secrets = match setup.opening.is_first() {
            true => Secrets::open(setup.secrets)?,
            false => Secrets::resume(setup.secrets),
        };
        let granted = grants.granted();
        let resolved = grants.resolved();
        let (setup_for_guests, grants) = self.setup_for(setup.service, grants, limits)?;
        let store = self.host.store_file(setup.service);
        let allowance = Arc::new(Allowance::new());
        let lookups = Lookups::new(store.clone(), self.host.resolver.clone(), allowance.clone());
        let service = WasmService {
            metadata: self.facts.metadata.clone(),
            program: self.host.program.clone(),
            name: setup.service.to_owned(),
            code: self.code.clone(),
            setup: setup_for_guests,
            desk: Desk {
                watch: Arc::new(ProgramWatch::new(&grants)),
                grants,
                limits,
                kept: Kept::in_file(self.host.kept_file(setup.service)),
                secrets: Arc::new(secrets),
                store: StateStore::open(store),
                lookups,
                allowance,
                stand_in: self.host.stand_in.clone(),
            },
            limits,
            config: setup.config.to_vec(),
            slot: Mutex::new(Slot::default()),
            processes: NamedProcesses::default(),
        };
        let handler = Arc::new(WasmHandler(Arc::new(service)));
        Ok(Opened { handler, granted, limits: limits.lines(), resolved })
    }
}

impl WasmCode {
    /// What a service's helpers are told, and the grants that they are told of.
    fn setup_for(
        &self,
        service: &str,
        grants: Grants,
        limits: Limits,
    ) -> Result<(HostMessage, Arc<Grants>), HandlerError> {
        let value = |name: &String| match &self.host.stand_in {
            Some(stand_in) => stand_in.machine().variable(name),
            None => std::env::var(name).ok(),
        };
        let variable = |name: &String| Some((name.clone(), value(name)?));
        let variables = grants.variables().iter().filter_map(variable).collect();
        let (user, runs_when_made) = (user_of(service), self.runs_when_made);
        let setup = ServiceSetup { grants, variables, limits, user, runs_when_made };
        let setup = GuestSetup::Serve(Box::new(setup));
        let message = helper::message(&setup).map_err(HandlerError::Setup)?;
        let GuestSetup::Serve(setup) = setup else { return Ok((message, Arc::default())) };
        Ok((message, Arc::new(setup.grants)))
    }
}
