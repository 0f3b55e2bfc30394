//! A request, read whole and understood.

use bytes::Bytes;
use hyper::Method;
use koi_plugin_api::CallToken;
use koi_proto::api::ApiError;
use serde::de::DeserializeOwned;

use super::Caller;
use super::error::bad_request;
use crate::cluster::requester::Requester;

/// The header of a request that another node passed on, and how often it was: so that none goes in circles.
pub(crate) const PASSED: &str = "x-koi-passed";

/// At most so often: to the leader, which hears everyone, and from there to the node that is meant.
pub(crate) const MOST_PASSED: u8 = 2;

/// What is asked, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What stands behind the `?`; may be empty.
    pub(crate) query: String,
    pub(crate) body: Bytes,
    /// How often other nodes passed it on.
    pub(crate) passed: u8,
    pub(crate) caller: Caller,
    /// The secret of the hook call that asks; none: no hook does.
    pub(crate) token: Option<CallToken>,
    /// Until when it may be begun.
    pub(crate) requester: Requester,
}

impl ApiRequest {
    /// The body's JSON; an empty body is an empty object.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body: &[u8] = if self.body.trim_ascii().is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body)
            .map_err(|e| bad_request(format!("{}: the body is not what is expected: {e}", self.path)))
    }

    /// The value of a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Result<Option<String>, ApiError> {
        let pair =
            self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        let Some((_, value)) = pair else { return Ok(None) };
        decoded(value, true)
            .map(Some)
            .ok_or_else(|| bad_request(format!("?{name}={value} is not well encoded")))
    }
}

/// Percent-encoding undone; in a query `+` is a blank. None: it is not valid, or not UTF-8.
pub(crate) fn decoded(text: &str, is_query: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || (rest.next()? as char).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if is_query => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use koi_proto::api::{Maintenance, OnNode};

    use super::*;

    fn asked(query: &str, body: &'static str) -> ApiRequest {
        ApiRequest {
            method: Method::POST,
            path: "/v1/x".into(),
            query: query.into(),
            body: Bytes::from_static(body.as_bytes()),
            passed: 0,
            caller: Caller::Local { uid: 0 },
            token: None,
            requester: Requester::default(),
        }
    }

    #[test]
    fn parameters_are_found_and_decoded() {
        let asked = asked("since=5&node=a%20b%C3%A4", "");
        assert_eq!(asked.parameter("since"), Ok(Some("5".into())));
        assert_eq!(asked.parameter("node"), Ok(Some("a bä".into())));
        assert_eq!(asked.parameter("other"), Ok(None));
        assert!(self::asked("node=%zz", "").parameter("node").is_err());
    }

    #[test]
    fn an_empty_body_is_an_empty_object_and_a_wrong_one_is_explained() {
        assert_eq!(asked("", " \n").json::<OnNode>().unwrap(), OnNode::default());
        let error = asked("", "").json::<Maintenance>().unwrap_err();
        assert!(error.code == "bad-request" && error.message.contains("`on`"), "{error:?}");
        assert!(asked("", "{").json::<OnNode>().is_err());
    }
}
