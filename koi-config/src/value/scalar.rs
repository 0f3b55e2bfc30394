//! Truth values, numbers and texts.

use std::path::Path;

use toml::de::DeValue;

use super::error::Parsed;
use super::excerpt::excerpt;
use super::quote::{Escapes, quote};
use super::setting::{Setting, mistyped, refuse, text};

impl Setting for bool {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let quoted = value.as_str().is_some_and(|text| text.parse::<bool>().is_ok());
        let hint = if quoted { "write it without quotes" } else { "" };
        value.as_bool().map_or_else(|| mistyped("true or false", value, hint), Ok)
    }

    fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => refuse(format!("must be true or false, not {}", excerpt(text)), ""),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A whole number of a width that `koi.toml` and `koi.conf` share.
macro_rules! number {
    ($($type:ty => $least:expr),*) => {$(
        impl Setting for $type {
            fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
                let expected = format!("a whole number from {} to {}", $least, <$type>::MAX);
                let quoted = value.as_str().is_some_and(|text| text.parse::<$type>().is_ok());
                let hint = if quoted { "write it without quotes" } else { "" };
                let DeValue::Integer(digits) = value else { return mistyped(&expected, value, hint) };
                match <$type>::from_str_radix(digits.as_str(), digits.radix()) {
                    Ok(number) if number >= $least => Ok(number),
                    Ok(_) | Err(_) => mistyped(&expected, value, ""),
                }
            }

            fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
                match text.parse::<$type>() {
                    Ok(number) if number >= $least => Ok(number),
                    Ok(_) | Err(_) => {
                        let (least, most) = ($least, <$type>::MAX);
                        let text = excerpt(text);
                        refuse(format!("must be a whole number from {least} to {most}, not {text}"), "")
                    }
                }
            }

            fn toml(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    )*};
}

// The only u16 is a port, and port 0 does not exist.
number!(u16 => 1, u32 => u32::MIN, u64 => u64::MIN, i32 => i32::MIN);

impl Setting for String {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        text("a text", value).map(str::to_owned)
    }

    fn toml(&self) -> Option<String> {
        Some(quote(self, Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(quote(self, Escapes::Info))
    }
}

/// A password: errors do not repeat it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl Setting for Secret {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        match value.as_str() {
            Some(text) => Ok(Secret(text.to_owned())),
            None => refuse("must be a text", "write it in double quotes"),
        }
    }

    fn toml(&self) -> Option<String> {
        self.0.toml()
    }

    fn classic(&self) -> Option<String> {
        self.0.classic()
    }
}
