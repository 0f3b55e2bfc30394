//! Values of `[config]`, by kind: what they may be, and the form in which a handler gets them.

use std::net::{IpAddr, SocketAddr};

use koi_duration::{BareNumber, DurationError};
use koi_plugin_api::ConfigKind;

use crate::config::nearest::nearest;

/// Why a text is no value of its kind, and what to write. It repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a whole number, or one outside of its bounds. `kind` says which are wanted.
    #[error("{text} is not what is wanted there: {kind}")]
    Integer { text: String, kind: ConfigKind },
    /// Neither true nor false.
    #[error("{text:?} is neither true nor false")]
    Boolean { text: String },
    /// Not a time.
    #[error("{text:?} is not a time: {source}")]
    Duration { text: String, source: DurationError },
    /// No address with a port.
    #[error(
        "{text:?} is not an address to connect to; write it like \"10.0.0.5:6379\", \"[fd00::5]:6379\" or \"db.example:6379\""
    )]
    Address { text: String },
    /// No IP address.
    #[error("{text:?} is not an IP address; write it like \"10.0.0.9\", \"10.0.0.9/24\" or \"fd00::9\"")]
    Ip { text: String },
    /// None of the texts that there are.
    #[error("{text:?} is not {kind}; the nearest is {nearest:?}")]
    OneOf { text: String, kind: ConfigKind, nearest: String },
}

/// The form in which a handler gets `text`.
///
/// # Errors
/// It is no value of this kind. A secret is none that stands in a file of others: [`ConfigKind::Secret`] takes any text.
pub(crate) fn read(kind: &ConfigKind, text: &str) -> Result<String, ValueError> {
    let owned = || text.to_owned();
    match kind {
        ConfigKind::Any | ConfigKind::Text | ConfigKind::Secret => Ok(owned()),
        ConfigKind::Integer { least, most } => match text.parse::<i64>() {
            Ok(number) if (*least..=*most).contains(&number) => Ok(number.to_string()),
            Ok(_) | Err(_) => Err(ValueError::Integer { text: owned(), kind: kind.clone() }),
        },
        ConfigKind::Boolean => match text {
            "true" | "false" => Ok(owned()),
            _ => Err(ValueError::Boolean { text: owned() }),
        },
        ConfigKind::Duration => koi_duration::parse(text, BareNumber::Refused)
            .map(|time| time.as_millis().to_string())
            .map_err(|source| ValueError::Duration { text: owned(), source }),
        ConfigKind::Address if is_address(text) => Ok(owned()),
        ConfigKind::Address => Err(ValueError::Address { text: owned() }),
        ConfigKind::Ip if is_ip(text) => Ok(owned()),
        ConfigKind::Ip => Err(ValueError::Ip { text: owned() }),
        ConfigKind::OneOf(texts) if texts.iter().any(|known| known == text) => Ok(owned()),
        ConfigKind::OneOf(texts) => {
            let nearest = nearest(text, texts.iter().map(String::as_str)).to_owned();
            Err(ValueError::OneOf { text: owned(), kind: kind.clone(), nearest })
        }
    }
}

/// `ip:port`, `[ip]:port` or `name:port`.
fn is_address(text: &str) -> bool {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return address.port() > 0;
    }
    let Some((name, port)) = text.rsplit_once(':') else { return false };
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    // 10.1 would be 10.0.0.1 to some.
    let is_name = name.chars().all(is_of_a_name) && name.contains(|c: char| c.is_ascii_alphabetic());
    is_name && port.parse().is_ok_and(|port: u16| port > 0)
}

/// An IP address, perhaps with `/bits`.
fn is_ip(text: &str) -> bool {
    let (ip, bits) = match text.split_once('/') {
        Some((ip, bits)) => (ip, Some(bits)),
        None => (text, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { return false };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse().is_ok_and(|bits: u8| bits <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_takes_what_it_should_and_gives_it_one_form() {
        let port = ConfigKind::Integer { least: 1, most: 65535 };
        let modes = ConfigKind::OneOf(vec!["fast".into(), "safe".into()]);
        for (kind, text, form) in [
            (&ConfigKind::Any, "1.50", "1.50"),
            (&port, "6379", "6379"),
            (&port, "065", "65"),
            (&ConfigKind::Boolean, "true", "true"),
            (&ConfigKind::Duration, "1500ms", "1500"),
            (&ConfigKind::Duration, "2m", "120000"),
            (&ConfigKind::Duration, "0s", "0"),
            (&ConfigKind::Address, "10.0.0.5:6379", "10.0.0.5:6379"),
            (&ConfigKind::Address, "[fd00::5]:1", "[fd00::5]:1"),
            (&ConfigKind::Address, "db-1.example:5432", "db-1.example:5432"),
            (&ConfigKind::Ip, "10.0.0.9/24", "10.0.0.9/24"),
            (&ConfigKind::Ip, "fd00::9", "fd00::9"),
            (&modes, "safe", "safe"),
        ] {
            assert_eq!(read(kind, text).as_deref(), Ok(form), "{kind}: {text}");
        }
    }

    #[test]
    fn what_a_kind_does_not_take_is_said_with_what_it_does() {
        let error = |kind: &ConfigKind, text: &str| read(kind, text).unwrap_err().to_string();
        let port = ConfigKind::Integer { least: 1, most: 65535 };
        for text in ["0", "65536", "x", "", "1.5"] {
            assert!(error(&port, text).ends_with("wanted there: integer 1 to 65535"), "{text}");
        }
        for text in ["10s5", "10", "-1s", ""] {
            assert!(error(&ConfigKind::Duration, text).contains("is not a time"), "{text}");
        }
        for text in ["db", "db:", "db:0", "db:99999", "fd00::5:1", "10.1:5", "10.0.0.0/24:1", ":1", "a b:1"] {
            assert!(error(&ConfigKind::Address, text).contains("write it like"), "{text}");
        }
        for text in ["10.0.0.9/33", "10.0.0", "db", "fd00::9/129", "10.0.0.9/"] {
            assert!(error(&ConfigKind::Ip, text).contains("write it like"), "{text}");
        }
        assert_eq!(error(&ConfigKind::Boolean, "yes"), "\"yes\" is neither true nor false");
        let modes = ConfigKind::OneOf(vec!["fast".into(), "safe".into()]);
        assert_eq!(error(&modes, "sage"), "\"sage\" is not one of fast, safe; the nearest is \"safe\"");
    }
}
