//! A component that is linked to what it may use, whatever version of `koi:service` it was built against.

use koi_plugin_api::Hook;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::backend::wasm::bindings::v0_2::koi::service::types as wit;
use crate::backend::wasm::bindings::{v0_1, v0_2};
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::guest::run::{convert, older};
use crate::backend::wasm::protocol::{DescribedHandler, HookEnding, HookRequest};

/// What the names of the interfaces of a component of 0.1 begin with, its version last.
const OLDER: &str = "koi:service/lifecycle@0.1.";

/// By the version that it was built against.
pub(crate) enum LinkedComponent {
    V0_1(v0_1::HandlerExecPre<Guest>),
    V0_2(v0_2::HandlerExecPre<Guest>),
}

impl LinkedComponent {
    /// # Errors
    /// Its exports have other types than those of its version.
    pub(crate) fn new(linked: InstancePre<Guest>) -> wasmtime::Result<LinkedComponent> {
        let component = linked.component();
        let outside = component.component_type();
        let is_older = outside.exports(component.engine()).any(|(name, _)| name.starts_with(OLDER));
        Ok(match is_older {
            true => LinkedComponent::V0_1(v0_1::HandlerExecPre::new(linked)?),
            false => LinkedComponent::V0_2(v0_2::HandlerExecPre::new(linked)?),
        })
    }

    /// Asks a new instance what it is.
    pub(crate) async fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<DescribedHandler> {
        match self {
            LinkedComponent::V0_1(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                Ok(older::described(instance.koi_service_metadata().call_describe(store).await?))
            }
            LinkedComponent::V0_2(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                Ok(convert::described(instance.koi_service_metadata().call_describe(store).await?))
            }
        }
    }

    /// Calls a hook of a new instance. The outer error: it trapped; the inner one: the guest said so.
    pub(crate) async fn call(
        &self,
        store: &mut Store<Guest>,
        hook: Hook,
        request: HookRequest,
    ) -> wasmtime::Result<Result<HookEnding, wit::HookError>> {
        let cause = convert::failure(request.cause.as_ref());
        let told = convert::context(request);
        match self {
            LinkedComponent::V0_1(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                older::call(instance.koi_service_lifecycle(), store, hook, (told, cause)).await
            }
            LinkedComponent::V0_2(linked) => {
                let instance = linked.instantiate_async(&mut *store).await?;
                let lifecycle = instance.koi_service_lifecycle();
                let done = match hook {
                    Hook::Start => lifecycle.call_start(store, &told).await?,
                    Hook::Stop => lifecycle.call_stop(store, &told).await?,
                    Hook::Promote => lifecycle.call_promote(store, &told).await?,
                    Hook::Demote => lifecycle.call_demote(store, &told).await?,
                    Hook::Status => {
                        return Ok(lifecycle.call_status(store, &told).await?.map(convert::status));
                    }
                    Hook::Failed => lifecycle.call_failed(store, &told, &cause).await?,
                };
                Ok(done.map(|()| HookEnding::Done))
            }
        }
    }
}
