//! The attributes of a call's group, for handlers that koid runs without a script.

use koi_core::attributes::{AttributeChange, AttributeKey, AttributeValue};
use koi_core::io::CommandError;
use koi_core::reason::NotNowReason;
use koi_plugin_api::{AttributesAsked, AttributesError, AttributesRead, CallAttributes};
use koi_proto::api::GroupAttributes;

use super::live_calls::{CallNumber, CallScope};
use super::store::AttributesStore;
use crate::cluster::handle::RequestError;
use crate::cluster::requester::Requester;

/// What one call may do with the attributes of its group.
#[derive(Debug)]
pub(crate) struct AttributesOfCall {
    pub(crate) call: CallNumber,
    pub(crate) store: AttributesStore,
}

impl AttributesOfCall {
    fn scope(&self) -> Result<CallScope, AttributesError> {
        let over = || AttributesError::Unavailable("the call is over: attributes end with it".to_owned());
        self.call.scope().ok_or_else(over)
    }
}

impl CallAttributes for AttributesOfCall {
    fn read(&self, fresh: bool) -> AttributesAsked<'_, AttributesRead> {
        Box::pin(async move {
            let CallScope { group, .. } = self.scope()?;
            let said = match fresh {
                false => self.store.local(&group),
                true => {
                    let said = self.store.fresh(&group, false, &Requester::default()).await;
                    said.map_err(|e| AttributesError::Unavailable(with_hint(&e.message, &e.hint)))?
                }
            };
            let GroupAttributes { state, .. } = said;
            Ok(AttributesRead { version: state.version, values: state.values.into_iter().collect() })
        })
    }

    fn write(&self, key: String, value: Option<String>) -> AttributesAsked<'_, ()> {
        Box::pin(async move {
            let scope = self.scope()?;
            let change = change(&key, value).map_err(AttributesError::Invalid)?;
            tracing::debug!("{scope} writes attribute {}", change.key);
            let written = self.store.write(&scope.group, scope.epoch, change, &Requester::default()).await;
            written.map_err(refused)
        })
    }
}

/// For a call that cannot use attributes: why. It does not say that there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoAttributes(pub(crate) &'static str);

impl NoAttributes {
    fn refused<T>(self) -> Result<T, AttributesError> {
        Err(AttributesError::Unavailable(format!("attributes cannot be used in this call: {}", self.0)))
    }
}

impl CallAttributes for NoAttributes {
    fn read(&self, _fresh: bool) -> AttributesAsked<'_, AttributesRead> {
        Box::pin(std::future::ready(self.refused()))
    }

    fn write(&self, _key: String, _value: Option<String>) -> AttributesAsked<'_, ()> {
        Box::pin(std::future::ready(self.refused()))
    }
}

/// A write, as it is asked for; none removes. What is wrong with it is said without the value.
pub(crate) fn change(key: &str, value: Option<String>) -> Result<AttributeChange, String> {
    let key: AttributeKey = key.parse().map_err(|e| format!("{}: {e}", shown(key)))?;
    let too_long = |e| format!("attribute {key}: {e}");
    let value = value.map(AttributeValue::try_from).transpose().map_err(too_long)?;
    Ok(AttributeChange { key, value })
}

/// What was given as a key, in one short line.
fn shown(key: &str) -> String {
    const CHARS: usize = 80;
    format!("{:?}", crate::reporting::say::short(key, CHARS))
}

fn refused(failed: RequestError) -> AttributesError {
    match failed {
        RequestError::Refused(CommandError::NotNow(why)) => {
            let text = with_hint(&why.to_string(), &why.hint());
            match why {
                NotNowReason::NotMaster { .. } => AttributesError::NotMaster(text),
                NotNowReason::TooManyAttributes => AttributesError::Invalid(text),
                _ => AttributesError::Unavailable(text),
            }
        }
        RequestError::Refused(CommandError::LostLease | CommandError::LostLeadership)
        | RequestError::Timeout(_) => AttributesError::Unknown(failed.to_string()),
        RequestError::Refused(_)
        | RequestError::NotBegun
        | RequestError::SeveralGroups(_)
        | RequestError::Ending => AttributesError::Unavailable(failed.to_string()),
    }
}

fn with_hint(message: &str, hint: &str) -> String {
    if hint.is_empty() { message.to_owned() } else { format!("{message}; {hint}") }
}

#[cfg(test)]
mod tests {
    use koi_core::group::GroupName;

    use super::*;

    #[test]
    fn a_write_is_checked_and_its_value_is_never_repeated() {
        let long = "geheim".repeat(50);
        let wrong = change("sync", Some(long)).unwrap_err();
        assert_eq!(wrong, "attribute sync: the value of an attribute has 300 bytes: 256 are allowed");
        let wrong = change("a b", Some("geheim".into())).unwrap_err();
        assert!(
            wrong.starts_with("\"a b\": not a key of an attribute") && !wrong.contains("geheim"),
            "{wrong}"
        );
        assert!(change("sync", None).unwrap().value.is_none());
    }

    #[test]
    fn a_refusal_says_whether_something_may_have_been_written() {
        let not_now = |why: NotNowReason| refused(RequestError::Refused(why.into()));
        let group = GroupName::MAIN;
        assert!(matches!(not_now(NotNowReason::NotMaster { group }), AttributesError::NotMaster(_)));
        assert!(matches!(not_now(NotNowReason::TooManyAttributes), AttributesError::Invalid(_)));
        assert!(matches!(not_now(NotNowReason::QuorumOff), AttributesError::Unavailable(_)));
        let lost = refused(RequestError::Refused(CommandError::LostLease));
        assert!(matches!(lost, AttributesError::Unknown(_)));
        assert!(matches!(refused(RequestError::Ending), AttributesError::Unavailable(_)));
    }
}
