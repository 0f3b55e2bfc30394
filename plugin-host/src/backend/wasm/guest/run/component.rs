//! A component that is linked to what it may use, whatever version of `koi:service` it was built against.

use koi_plugin_api::Hook;
use wasmtime::Store;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, ComponentType, Instance, InstancePre, Lift, Lower,
};

use crate::backend::wasm::bindings::v0_2::koi::service::types as wit;
use crate::backend::wasm::bindings::{v0_1, v0_2};
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::guest::run::{convert, older};
use crate::backend::wasm::protocol::{DescribedHandler, HookEnding, HookRequest};

/// What the names of the interfaces of a component of 0.1 begin with, its version last.
const OLDER: &str = "koi:service/lifecycle@0.1.";

/// What the names of the interfaces with the hooks begin with.
const LIFECYCLE: &str = "koi:service/lifecycle@";
const CHANGES: &str = "koi:service/changes@";

/// A component that can be asked.
pub(crate) struct LinkedComponent {
    version: LinkedVersion,
    /// Where its hooks are, in the order of [`Hook::ALL`]; none: it has no such hook.
    hooks: Vec<Option<ComponentExportIndex>>,
}

/// By the version that it was built against.
enum LinkedVersion {
    V0_1(v0_1::HandlerExecPre<Guest>),
    V0_2(v0_2::HandlerExecPre<Guest>),
}

impl LinkedComponent {
    /// # Errors
    /// Its exports are not those of its version.
    pub(crate) fn new(linked: InstancePre<Guest>) -> wasmtime::Result<LinkedComponent> {
        let component = linked.component().clone();
        let outside = component.component_type();
        let named = |begins: &str| {
            let mut exports = outside.exports(component.engine());
            exports.find(|(name, _)| name.starts_with(begins)).map(|(name, _)| name.to_owned())
        };
        let lifecycle = named(LIFECYCLE).unwrap_or_default();
        let hook = |hook: Hook| {
            let interface = match hook {
                Hook::Changed => named(CHANGES)?,
                Hook::Start | Hook::Stop | Hook::Promote | Hook::Demote | Hook::Status | Hook::Failed => {
                    lifecycle.clone()
                }
            };
            let interface = component.get_export_index(None, &interface)?;
            component.get_export_index(Some(&interface), hook.as_str())
        };
        let hooks = Hook::ALL.into_iter().map(hook).collect();
        let version = match lifecycle.starts_with(OLDER) {
            true => LinkedVersion::V0_1(v0_1::HandlerExecPre::new(linked)?),
            false => LinkedVersion::V0_2(v0_2::HandlerExecPre::new(linked)?),
        };
        Ok(LinkedComponent { version, hooks })
    }

    /// Asks a new instance what it is. Finds out whether all of its exports have the types of its version.
    pub(crate) async fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<DescribedHandler> {
        match &self.version {
            LinkedVersion::V0_1(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                Ok(older::described(instance.koi_service_metadata().call_describe(store).await?))
            }
            LinkedVersion::V0_2(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                Ok(convert::described(instance.koi_service_metadata().call_describe(store).await?))
            }
        }
    }

    /// A new instance, for one call.
    pub(crate) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
        let linked = match &self.version {
            LinkedVersion::V0_1(linked) => linked.instance_pre(),
            LinkedVersion::V0_2(linked) => linked.instance_pre(),
        };
        linked.instantiate_async(store).await
    }

    /// Calls a hook of an instance. The outer error: it trapped; the inner one: the guest said so.
    pub(crate) async fn call(
        &self,
        store: &mut Store<Guest>,
        instance: Instance,
        hook: Hook,
        request: HookRequest,
    ) -> wasmtime::Result<Result<HookEnding, wit::HookError>> {
        let cause = convert::failure(request.cause.as_ref());
        let told = convert::context(request);
        let export = HookExport { instance, export: self.hooks.get(hook as usize).and_then(Option::as_ref) };
        match &self.version {
            LinkedVersion::V0_1(_) => older::call(&export, store, hook, (told, cause)).await,
            LinkedVersion::V0_2(_) => {
                let done = match hook {
                    Hook::Status => {
                        let said: Result<wit::StatusReport, _> = export.call(store, (&told,)).await?;
                        return Ok(said.map(convert::status));
                    }
                    Hook::Failed => export.call(store, (&told, &cause)).await?,
                    _ => export.call(store, (&told,)).await?,
                };
                Ok(done.map(|()| HookEnding::Done))
            }
        }
    }
}

/// One hook of an instance. Only this one is looked up, and its types compared: to do that for all takes longer than a small hook.
pub(crate) struct HookExport<'a> {
    instance: Instance,
    export: Option<&'a ComponentExportIndex>,
}

impl HookExport<'_> {
    /// The outer error: it trapped, or its types are others.
    pub(crate) async fn call<P, T, E>(
        &self,
        store: &mut Store<Guest>,
        told: P,
    ) -> wasmtime::Result<Result<T, E>>
    where
        P: ComponentNamedList + Lower,
        T: ComponentType + Lift + Send + Sync + 'static,
        E: ComponentType + Lift + Send + Sync + 'static,
    {
        let export = self.export.ok_or_else(|| wasmtime::Error::msg("the component has no such hook"))?;
        let hook = self.instance.get_typed_func::<P, (Result<T, E>,)>(&mut *store, export)?;
        let (said,) = hook.call_async(store, told).await?;
        Ok(said)
    }
}
