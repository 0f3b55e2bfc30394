//! The `attributes` interface: those of the service's group, as its guests see them. koid asks the cluster.

use crate::backend::wasm::bindings::v0_2::koi::service::attributes::{self, AttributesError, Reading};
use crate::backend::wasm::guest::run::data::Guest;
use crate::backend::wasm::protocol::{AttributesRefusal, GuestQuestion, HostAnswer};

/// What is larger is not sent: koid would refuse it.
const MOST_BYTES: usize = 256 * 1024;

impl Guest {
    /// Any other answer than a refusal.
    async fn ask_attributes(&mut self, question: GuestQuestion) -> Result<HostAnswer, AttributesError> {
        match self.call.link.ask(question).await {
            Some(HostAnswer::AttributesRefused(refusal)) => Err(match refusal {
                AttributesRefusal::NotMaster(why) => AttributesError::NotMaster(why),
                AttributesRefusal::Invalid(why) => AttributesError::Invalid(why),
                AttributesRefusal::Unavailable(why) => AttributesError::Unavailable(why),
                AttributesRefusal::Unknown(why) => AttributesError::Unknown(why),
            }),
            Some(answer) => Ok(answer),
            None => Err(AttributesError::Unavailable("koid answers no attributes outside of a hook".into())),
        }
    }

    async fn write_attribute(&mut self, key: String, value: Option<String>) -> Result<(), AttributesError> {
        let bytes = key.len() + value.as_ref().map_or(0, String::len);
        if bytes > MOST_BYTES {
            let why =
                format!("key and value have {bytes} bytes, and no attribute has so many; make them shorter");
            return Err(AttributesError::Invalid(why));
        }
        match self.ask_attributes(GuestQuestion::WriteAttribute(key, value)).await? {
            HostAnswer::AttributeWritten => Ok(()),
            _ => Err(AttributesError::Unknown("koid answered something else".into())),
        }
    }
}

impl attributes::Host for Guest {
    async fn read(&mut self, fresh: bool) -> Result<Reading, AttributesError> {
        match self.ask_attributes(GuestQuestion::ReadAttributes(fresh)).await? {
            HostAnswer::Attributes(version, values) => Ok(Reading { version, values }),
            _ => Err(AttributesError::Unavailable("koid answered something else".into())),
        }
    }

    async fn set(&mut self, key: String, value: String) -> Result<(), AttributesError> {
        self.write_attribute(key, Some(value)).await
    }

    async fn remove(&mut self, key: String) -> Result<(), AttributesError> {
        self.write_attribute(key, None).await
    }
}
