//! Times as people write them: `250ms`, `10s`, `5m`, `1h`.

use std::time::Duration;

use crate::secrecy::excerpt;

/// The longest time that can be written: more is surely a slip.
const LONGEST_MS: u64 = 366 * 24 * 3_600_000;

/// What a bare number means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BareNumber {
    /// Nothing: a unit is needed (`koi.toml`).
    Refused,
    /// Milliseconds (`koi.conf`).
    Milliseconds,
}

/// Reads a time, or says why it is none: the reason, and what to write.
pub(crate) fn parse(text: &str, bare: BareNumber) -> Result<Duration, (String, String)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let units = "a time is a whole number and one of the units ms, s, m, h".to_owned();
    if number.is_empty() {
        return Err((format!("must be a time such as \"10s\", not {}", excerpt(text)), units));
    }
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if bare == BareNumber::Milliseconds => 1,
        "" => return Err((format!("has no unit: {}", excerpt(text)), unit_hint(number))),
        _ => return Err((format!("must be a time such as \"10s\", not {}", excerpt(text)), units)),
    };
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)).filter(|ms| *ms <= LONGEST_MS) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err((format!("is too long: {}", excerpt(text)), "the longest time is a year".to_owned())),
    }
}

/// What to write instead of a number without a unit.
pub(crate) fn unit_hint(number: &str) -> String {
    format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")
}

/// Writes a time in the largest unit that keeps it whole; minutes only from ten on (`60s`, but `30m`).
pub(crate) fn show(time: Duration) -> String {
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
            assert_eq!(show(parse(text, BareNumber::Refused).unwrap()), text);
        }
        assert_eq!(parse("5m", BareNumber::Refused).unwrap(), Duration::from_secs(300));
    }

    #[test]
    fn a_bare_number_is_milliseconds_only_where_that_is_allowed() {
        assert_eq!(parse("250", BareNumber::Milliseconds).unwrap(), Duration::from_millis(250));
        let (message, hint) = parse("250", BareNumber::Refused).unwrap_err();
        assert_eq!(message, "has no unit: \"250\"");
        assert_eq!(hint, "write \"250s\" for seconds or \"250ms\" for milliseconds");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "s", "-1s", "1.5s", "10 s", "10x", "99999999999999999999s", "9000h"] {
            assert!(parse(text, BareNumber::Milliseconds).is_err(), "{text:?}");
        }
    }
}
