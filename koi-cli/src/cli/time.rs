//! Times on the command line.

use std::time::Duration;

use koi_duration::{BareNumber, DurationError, parse_positive};

/// Reads `500ms`, `6s`, `5m`, `1h`, or a bare number of milliseconds (docs/configuration.md).
pub(super) fn duration(text: &str) -> Result<Duration, DurationError> {
    parse_positive(text, BareNumber::Milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(duration("250"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("6s"), Ok(Duration::from_secs(6)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "s", "6 parsecs", "-1s", "0s", "99999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong:?} is not a time");
        }
    }
}
