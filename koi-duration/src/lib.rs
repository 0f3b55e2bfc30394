//! Times as people write them: `250ms`, `10s`, `5m`, `1h`. The configuration and the command line read them here.
//!
//! The forms are fewer than those of the crate humantime on purpose. A cluster's times are short, and `1M` for a month beside `1m` for a
//! minute would be a trap.

#![forbid(unsafe_code)]

use std::time::Duration;

/// What a number without a unit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNumber {
    /// Nothing: a unit is needed.
    Refused,
    /// Milliseconds, as in the classic configuration.
    Milliseconds,
}

/// Why a text is no time. Shown, it says what to write; it does not repeat the text, which may be a secret in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It is not a whole number and a unit.
    #[error("a time is a whole number and one of the units ms, s, m, h")]
    Malformed,
    /// It is a number alone, and a unit is needed.
    #[error("write \"{digits}s\" for seconds or \"{digits}ms\" for milliseconds")]
    NoUnit {
        /// The number as it was written: ASCII digits only.
        digits: String,
    },
    /// It is longer than 2⁶⁴ milliseconds.
    #[error("write a shorter time")]
    TooLong,
    /// It is zero, and [`parse_positive`] was asked.
    #[error("write a time longer than zero")]
    Zero,
}

/// Reads a whole number and a unit: `ms`, `s`, `m` or `h`. White space may stand between the two.
///
/// # Errors
/// The text is no time.
pub fn parse(text: &str, bare: BareNumber) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(DurationError::Malformed);
    }
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if bare == BareNumber::Milliseconds => 1,
        "" => return Err(DurationError::NoUnit { digits: number.to_owned() }),
        _ => return Err(DurationError::Malformed),
    };
    let count = number.parse::<u64>().ok();
    count.and_then(|n| n.checked_mul(unit_ms)).map(Duration::from_millis).ok_or(DurationError::TooLong)
}

/// As [`parse`], and not zero.
///
/// # Errors
/// The text is no time, or zero.
pub fn parse_positive(text: &str, bare: BareNumber) -> Result<Duration, DurationError> {
    match parse(text, bare)? {
        Duration::ZERO => Err(DurationError::Zero),
        time => Ok(time),
    }
}

/// Writes a time in the largest unit that keeps it whole, so that [`parse`] reads it back; minutes only from ten on (`60s`, but `30m`).
pub fn format(time: Duration) -> String {
    match u64::try_from(time.as_millis()).unwrap_or(u64::MAX) {
        0 => "0s".to_owned(),
        ms if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        ms if ms.is_multiple_of(60_000) && ms >= 600_000 => format!("{}m", ms / 60_000),
        ms if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for text in ["0s", "1ms", "250ms", "10s", "60s", "360s", "30m", "1h", "48h"] {
            assert_eq!(format(parse(text, BareNumber::Refused).unwrap()), text);
        }
        assert_eq!(parse("5m", BareNumber::Refused), Ok(Duration::from_secs(300)));
        assert_eq!(parse("10 s", BareNumber::Refused), Ok(Duration::from_secs(10)));
    }

    #[test]
    fn a_bare_number_is_milliseconds_only_where_that_is_allowed() {
        assert_eq!(parse("250", BareNumber::Milliseconds), Ok(Duration::from_millis(250)));
        let error = parse("250", BareNumber::Refused).unwrap_err();
        assert_eq!(error.to_string(), "write \"250s\" for seconds or \"250ms\" for milliseconds");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s", "-1s", "1.5s", "10x", "ten", "10 ss"] {
            assert_eq!(parse(text, BareNumber::Milliseconds), Err(DurationError::Malformed), "{text:?}");
        }
        for text in ["99999999999999999999s", "9999999999999999h"] {
            assert_eq!(parse(text, BareNumber::Refused), Err(DurationError::TooLong), "{text:?}");
        }
        assert_eq!(parse_positive("0ms", BareNumber::Refused), Err(DurationError::Zero));
    }
}
