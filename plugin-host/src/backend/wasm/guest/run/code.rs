//! The one place where compiled code is taken for what it says it is.

use std::os::fd::{AsRawFd, OwnedFd};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Module, Store};

use crate::backend::wasm::guest::run::data::Guest;

/// A component whose code is in memory, with the modules that it imports from its [runtime](crate::backend::wasm::load::parts).
pub(crate) struct LoadedComponent {
    component: Component,
    modules: Vec<(String, Module)>,
}

impl LoadedComponent {
    /// Of the code that lies sealed behind these descriptors: the component's, and its runtime's if it has one.
    pub(crate) fn from_sealed(engine: &Engine, code: &[OwnedFd]) -> wasmtime::Result<LoadedComponent> {
        let mut loaded = code.iter().map(|descriptor| deserialized(engine, descriptor));
        let component = loaded.next().ok_or_else(|| wasmtime::Error::msg("there is no code"))??;
        let modules = loaded.next().transpose()?.map(|runtime| modules(engine, &runtime)).transpose()?;
        Ok(LoadedComponent { component, modules: modules.unwrap_or_default() })
    }

    /// The names of what it imports from koid.
    pub(crate) fn imports(&self) -> Vec<String> {
        let own = |name: &str| self.modules.iter().any(|(module, _)| module == name);
        let outside = self.component.component_type();
        let names = outside.imports(self.component.engine()).map(|(name, _)| name.to_owned());
        names.filter(|name| !own(name)).collect()
    }

    /// The names of what it exports.
    pub(crate) fn exports(&self) -> Vec<String> {
        let outside = self.component.component_type();
        outside.exports(self.component.engine()).map(|(name, _)| name.to_owned()).collect()
    }

    /// Links it to what `linker` has, and to its runtime.
    pub(crate) fn link(&self, mut linker: Linker<Guest>) -> wasmtime::Result<InstancePre<Guest>> {
        for (name, module) in &self.modules {
            linker.root().module(name, module)?;
        }
        linker.instantiate_pre(&self.component)
    }
}

fn deserialized(engine: &Engine, code: &OwnedFd) -> wasmtime::Result<Component> {
    let path = format!("/proc/self/fd/{}", code.as_raw_fd());
    // SAFETY: koid, which started this process, has had it compiled by its own program, or has found it in a folder to which only koid's
    // user can write and compared it with its digest. It is sealed: nobody has changed it since, and nobody will.
    unsafe { Component::deserialize_file(engine, path) }
}

/// All modules that a runtime exports. Nothing of it is run.
fn modules(engine: &Engine, runtime: &Component) -> wasmtime::Result<Vec<(String, Module)>> {
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate(&mut store, runtime)?;
    let outside = runtime.component_type();
    let exported = outside.exports(engine).filter(|(_, item)| matches!(item.ty, ComponentItem::Module(_)));
    let module = |name: &str| Some((name.to_owned(), instance.get_module(&mut store, name)?));
    Ok(exported.map(|(name, _)| name).filter_map(module).collect())
}
