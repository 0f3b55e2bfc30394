//! Times as people write them: `"100ms"`, `"10s"`, `"5m"`, `"1h"`.

use std::time::Duration;

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
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let expected = || DurationError::NotATime(text.to_owned());
    let unit_ms: u64 = match unit.trim() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    let count: u64 = number.parse().map_err(|_| expected())?;
    match count.checked_mul(unit_ms) {
        Some(0) => Err(DurationError::Zero(text.to_owned())),
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(DurationError::TooLong(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("10 s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "10", "s", "-1s", "1.5s", "0s", "99999999999999999999s", "9999999999999999h"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
