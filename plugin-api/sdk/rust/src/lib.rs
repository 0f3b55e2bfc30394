//! For koi handlers in Rust: the interface with koi, `wit/koi-service.wit`, and what most of them need besides.
//!
//! A handler implements [`metadata::Guest`] and [`lifecycle::Guest`], and names itself: `koi_sdk::handler!(Handler);`. One that is told who comes and
//! goes implements [`changes::Guest`] besides: `koi_sdk::hears_changes!(Handler);`.

#![warn(missing_docs)]

// What the macro writes calls across the border of the component.
#[allow(missing_docs, unsafe_code)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "handler-exec",
        pub_export_macro: true,
        default_bindings_module: "koi_sdk::bindings",
    });
}

// The world that adds `changed`; its types are those of the other.
#[allow(missing_docs, unsafe_code)]
#[doc(hidden)]
pub mod changes_bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "with-changes",
        pub_export_macro: true,
        default_bindings_module: "koi_sdk::changes_bindings",
        with: { "koi:service/types@0.2.0": crate::bindings::koi::service::types },
    });
}

pub use bindings::exports::koi::service::{lifecycle, metadata};
pub use changes_bindings::exports::koi::service::changes;
pub use bindings::koi::service::host::{self, LogLevel};
pub use bindings::koi::service::types::{
    Capability, ConfigKey, ConfigType, Context, Failure, Hook, HookError, HookSet, IntegerRange, Metadata,
    Process, Program, Role, ServiceState, StatusReport, Want,
};
pub use bindings::koi::service::{attributes, exec as raw_exec, state as raw_state};

use std::fmt;

mod cluster;
pub mod config;
pub mod exec;
pub mod store;
pub mod want;

#[cfg(all(any(feature = "tcp", feature = "http"), target_family = "wasm"))]
mod deadline;
#[cfg(all(feature = "http", target_family = "wasm"))]
pub mod http;
#[cfg(all(feature = "tcp", target_family = "wasm"))]
pub mod tcp;

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Start => "start",
            Hook::Stop => "stop",
            Hook::Promote => "promote",
            Hook::Demote => "demote",
            Hook::Status => "status",
            Hook::Failed => "failed",
            Hook::Changed => "changed",
        })
    }
}

/// The state alone. `StatusReport { message, ..state.into() }` stays as it is when a report gets more to say.
impl From<ServiceState> for StatusReport {
    fn from(state: ServiceState) -> StatusReport {
        StatusReport {
            state,
            message: String::new(),
            promotion_score: None,
            details: Vec::new(),
            processes: Vec::new(),
        }
    }
}

/// Exports `changed` of a handler that implements [`changes::Guest`]: beside [`handler!`], for one that says `HookSet::CHANGED` among its hooks.
#[macro_export]
macro_rules! hears_changes {
    ($type:ident) => {
        $crate::changes_bindings::export!($type with_types_in $crate::changes_bindings);
    };
}

/// Makes a type the handler of the component.
#[macro_export]
macro_rules! handler {
    ($type:ident) => {
        $crate::bindings::export!($type with_types_in $crate::bindings);

        // Runs before each call. Standard error, where a panic says why, leads nowhere in some builds for WASM; koi's log is always there.
        #[cfg(target_family = "wasm")]
        #[used]
        #[unsafe(link_section = ".init_array")]
        static LOG_PANICS: extern "C" fn() = $crate::log_panics;
    };
}

/// Sends what panics say to koi's log. [`handler!`] sees to it.
#[doc(hidden)]
pub extern "C" fn log_panics() {
    std::panic::set_hook(Box::new(|panic| host::log(LogLevel::Error, &panic.to_string())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_named_as_koi_names_it() {
        assert_eq!(format!("{} and {}", Hook::Promote, Hook::Failed), "promote and failed");
    }
}
