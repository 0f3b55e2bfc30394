//! What a registry demands of whoever asks it (`WWW-Authenticate`), and who may be given the password for that.

use base64ct::{Base64, Encoding};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::error::RegistryError;
use crate::http::authority;
use crate::settings::{Login, RegistrySettings};

/// What a registry demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password.
    Basic,
    /// A token, which the service at `realm` gives.
    Bearer { realm: String, service: Option<String> },
}

/// What a token service answers.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
}

impl TokenAnswer {
    pub(crate) fn token(self) -> Option<Zeroizing<String>> {
        self.token.or(self.access_token).filter(|token| !token.is_empty()).map(Zeroizing::new)
    }
}

impl Challenge {
    /// Of an answer that says 401; none: it demands nothing that koi can give.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Challenge> {
        let all = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Challenge> = all.filter_map(Challenge::parse).collect();
        let bearer = all.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        bearer.or(all.first()).cloned()
    }

    fn parse(text: &str) -> Option<Challenge> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest);
        let value = |name: &str| parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let value = |name: &str| value(name).map(|(_, value)| value.clone());
        Some(Challenge::Bearer { realm: value("realm")?, service: value("service") })
    }
}

/// `key="value",other=value`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_owned();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((key, value.to_owned()));
        rest = left;
    }
    found
}

/// Where a token for `scope` is asked for, and whether the password goes along.
///
/// # Errors
/// The registry names a place that nobody has configured for the password, or one without TLS.
pub(crate) fn token_request<'s>(
    realm: &str,
    service: Option<&str>,
    scope: &str,
    registry: &str,
    settings: &'s RegistrySettings,
) -> Result<(Url, Option<&'s Login>), RegistryError> {
    let bad = || RegistryError::BadRealm { registry: registry.to_owned(), realm: realm.to_owned() };
    let mut url = Url::parse(realm).map_err(|_| bad())?;
    let host = authority(&url);
    let is_own = host == registry;
    match url.scheme() {
        "https" => {}
        "http" if settings.plain_http && is_own => {}
        _ => return Err(bad()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    let login = settings.login.as_ref();
    if login.is_some() && !is_own && !settings.token_hosts.contains(&host) {
        return Err(RegistryError::ForeignRealm { registry: registry.to_owned(), realm: host });
    }
    url.query_pairs_mut().append_pair("scope", scope);
    if let Some(service) = service {
        url.query_pairs_mut().append_pair("service", service);
    }
    Ok((url, login))
}

/// The header that logs in; none: the password has characters that no header has.
pub(crate) fn basic(login: &Login) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{}:{}", login.user, *login.password));
    secret(&format!("Basic {}", Base64::encode_string(pair.as_bytes())))
}

/// The header with a token.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(text: &str) -> Option<Challenge> {
        let headers = [(header::WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())];
        Challenge::of(&headers.into_iter().collect())
    }

    #[test]
    fn what_registries_demand_is_understood() {
        let text = "Bearer realm=\"https://auth.example/token\",service=\"registry.example\",scope=\"repository:a:pull\"";
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: Some("registry.example".into()),
        };
        assert_eq!(challenge(text), Some(expected));
        assert_eq!(challenge("basic realm=\"Registry\""), Some(Challenge::Basic));
        for nothing in ["Negotiate", "Bearer", "Bearer realm", "Bearer service=x", ""] {
            assert_eq!(challenge(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_password_is_for_the_configured_hosts_alone() {
        let login = Login { user: "me".into(), password: Zeroizing::new("s3cret".into()) };
        let settings = RegistrySettings {
            login: Some(login),
            token_hosts: vec!["auth.example".into()],
            ..RegistrySettings::default()
        };
        let ask = |realm: &str, settings: &RegistrySettings| {
            let asked = token_request(realm, None, "s", "registry.example", settings);
            asked.map(|(url, login)| (url.to_string(), login.is_some())).map_err(|error| error.to_string())
        };
        for realm in ["https://registry.example/token", "https://auth.example/token"] {
            assert_eq!(ask(realm, &settings), Ok((format!("{realm}?scope=s"), true)));
        }
        let foreign = ask("https://auth.example.evil/token", &settings).unwrap_err();
        assert!(foreign.contains("auth.example.evil") && foreign.contains("token_hosts"), "{foreign}");
        assert!(
            ask("https://registry.example:444/token", &settings).is_err(),
            "another port is another server"
        );
        for realm in
            ["http://registry.example/token", "ftp://auth.example", "/token", "https://a:b@auth.example/"]
        {
            assert!(ask(realm, &settings).unwrap_err().contains("cannot be asked for a token"), "{realm}");
        }
        let nobody = RegistrySettings::default();
        assert_eq!(
            ask("https://anywhere.example/", &nobody),
            Ok(("https://anywhere.example/?scope=s".into(), false))
        );
    }
}
