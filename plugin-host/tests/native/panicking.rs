//! A plugin that panics.

use koi_plugin_api::native::{Error, Host, NativeHandler, Setup};
use koi_plugin_api::{Context, Hook};

struct Panicking;

impl NativeHandler for Panicking {
    const NAME: &'static str = "panicking";
    const VERSION: &'static str = "0.1.0";
    const DESCRIPTION: &'static str = "Panics";
    const HOOKS: &'static [Hook] = &[Hook::Promote, Hook::Stop];

    fn create(setup: Setup, _: &Host<'_>) -> Result<Self, Error> {
        assert!(setup.config.is_empty(), "no instance today");
        Ok(Panicking)
    }

    fn promote(&mut self, context: &Context, _: &Host<'_>) -> Result<(), Error> {
        panic!("epoch {} is odd", context.epoch)
    }

    fn stop(&mut self, _: &Context, _: &Host<'_>) -> Result<(), Error> {
        Err("retried in vain".into())
    }
}

koi_plugin_api::export_plugin!(Panicking);
