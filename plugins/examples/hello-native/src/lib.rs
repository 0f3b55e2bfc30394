//! The smallest native handler in Rust: a service that is nothing but a flag, and says hello.

use koi_plugin_api::native::{Error, Host, Key, NativeHandler, Setup};
use koi_plugin_api::{Context, Observed, StatusReport};

struct Hello {
    greeting: String,
    promoted: bool,
}

impl NativeHandler for Hello {
    const NAME: &'static str = "hello-native";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Says hello (an example in Rust)";
    const CONFIG: &'static [Key] = &[Key {
        name: "greeting",
        description: "what it says when it is promoted",
        required: false,
        default: Some("hello"),
    }];

    fn create(setup: Setup, _: &Host<'_>) -> Result<Self, Error> {
        let greeting = setup.config.into_iter().find(|(key, _)| key == "greeting").unwrap_or_default().1;
        Ok(Hello { greeting, promoted: false })
    }

    fn promote(&mut self, context: &Context, host: &Host<'_>) -> Result<(), Error> {
        if !host.epoch_current() {
            return Err(format!("epoch {} is over", context.epoch).into());
        }
        host.info(&format!("{}, {}", self.greeting, context.node));
        self.promoted = true;
        Ok(())
    }

    fn demote(&mut self, _: &Context, _: &Host<'_>) -> Result<(), Error> {
        self.promoted = false;
        Ok(())
    }

    fn status(&mut self, _: &Context, _: &Host<'_>) -> Result<StatusReport, Error> {
        let observed = if self.promoted { Observed::Promoted } else { Observed::Standby };
        Ok(StatusReport { message: self.greeting.clone(), ..observed.into() })
    }
}

koi_plugin_api::export_plugin!(Hello);
