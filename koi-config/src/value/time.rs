//! Times.

use std::path::Path;
use std::time::Duration;

use koi_duration::{BareNumber, DurationError, format, parse};
use toml::de::DeValue;

use super::error::{Parsed, ValueError};
use super::excerpt::excerpt;
use super::quote::{Escapes, quote};
use super::setting::{NUMBER_CHARS, Setting, mistyped, text};

/// The longest time that a setting may have: more is surely a slip.
const LONGEST: Duration = Duration::from_hours(366 * 24);

impl Setting for Duration {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let expected = "a time such as \"10s\"";
        if let DeValue::Integer(number) = value {
            let hint = if number.as_str().len() > NUMBER_CHARS {
                String::new()
            } else {
                DurationError::NoUnit { digits: number.to_string() }.to_string()
            };
            return mistyped(expected, value, &hint);
        }
        time(text(expected, value)?, BareNumber::Refused)
    }

    fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
        time(text, BareNumber::Milliseconds)
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&format(*self), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(format(*self))
    }
}

fn time(text: &str, bare: BareNumber) -> Parsed<Duration> {
    let too_long =
        || vec![ValueError::new(format!("is too long: {}", excerpt(text)), "the longest time is a year")];
    match parse(text, bare) {
        Ok(time) if time <= LONGEST => Ok(time),
        Ok(_) | Err(DurationError::TooLong) => Err(too_long()),
        Err(error @ DurationError::NoUnit { .. }) => {
            Err(vec![ValueError::new(format!("has no unit: {}", excerpt(text)), error.to_string())])
        }
        Err(error @ (DurationError::Malformed | DurationError::Zero)) => {
            let message = format!("must be a time such as \"10s\", not {}", excerpt(text));
            Err(vec![ValueError::new(message, error.to_string())])
        }
    }
}
