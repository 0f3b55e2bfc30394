//! Times in a `service.toml`. They are read by [`koi_duration`]. The errors here repeat the text that was read.

use std::time::Duration;

use koi_duration::BareNumber;
use koi_duration::DurationError::{Malformed, NoUnit, TooLong, Zero};

/// Why a text is not a time, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It has no number, no unit, or another one.
    #[error("`{0}` is not a time; write it like \"500ms\", \"10s\", \"5m\" or \"1h\"")]
    NotATime(String),
    /// It is nothing.
    #[error("`{0}` is no time at all; write a longer one")]
    Zero(String),
    /// It does not fit in 64 bits of milliseconds.
    #[error("`{0}` is longer than a computer can count; write a shorter one")]
    TooLong(String),
}

/// Reads a time that is longer than nothing.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    koi_duration::parse_positive(text, BareNumber::Refused).map_err(|error| match error {
        Malformed | NoUnit { .. } => DurationError::NotATime(text.to_owned()),
        Zero => DurationError::Zero(text.to_owned()),
        TooLong => DurationError::TooLong(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_the_text() {
        assert_eq!(parse("10 s"), Ok(Duration::from_secs(10)));
        let error = |text: &str| parse(text).unwrap_err().to_string();
        for text in ["", "10", "s", "-1s", "1.5s"] {
            let expected =
                format!("`{text}` is not a time; write it like \"500ms\", \"10s\", \"5m\" or \"1h\"");
            assert_eq!(error(text), expected);
        }
        assert_eq!(error("0s"), "`0s` is no time at all; write a longer one");
        for text in ["9999999999999999h", "99999999999999999999s"] {
            let expected = format!("`{text}` is longer than a computer can count; write a shorter one");
            assert_eq!(error(text), expected);
        }
    }
}
