//! Bytes of a test file: a text, or a table that says in which other form they are written.

use base64ct::{Base64, Encoding};
use toml::de::DeValue;

use crate::scripted::file::error::{SpannedEntryError, TestEntryError};
use crate::scripted::file::fields::{Fields, Result, Value, kind, text};

/// Bytes that one value may stand for.
const MOST_BYTES: usize = 16 << 20;

const FORMS: [&str; 3] = ["hex", "base64", "bytes"];

/// Stands for bytes of which only the number is known.
const ANY: u8 = b'x';

/// How many bytes `{ bytes = 27 }` stands for; none: they are written out.
pub(super) fn count(key: &str, value: &Value<'_>) -> Result<Option<usize>> {
    match value.get_ref() {
        DeValue::Table(_) => {
            Fields::within(key, value, "these bytes", &FORMS)?.number("bytes", "a number of bytes")
        }
        _ => Ok(None),
    }
}

/// A text, `{ hex = "0d0a" }` or `{ base64 = "DQo=" }`.
pub(super) fn bytes(key: &str, value: &Value<'_>) -> Result<Vec<u8>> {
    if let Some(count) = count(key, value)? {
        return Ok(vec![ANY; count.min(MOST_BYTES)]);
    }
    match value.get_ref() {
        DeValue::String(text) => Ok(text.as_bytes().to_vec()),
        DeValue::Table(_) => of_form(key, &Fields::within(key, value, "these bytes", &FORMS)?),
        _ => Err(kind(value, key, "a text, or { hex = \"…\" } or { base64 = \"…\" }")),
    }
}

/// As [`bytes`] has it, of a table that may have other keys beside.
pub(super) fn of_form(key: &str, fields: &Fields<'_, '_>) -> Result<Vec<u8>> {
    let (hex, base64) = (fields.get("hex"), fields.get("base64"));
    let (value, form, decoded) = match (hex, base64) {
        (Some(value), None) => (value, "hexadecimal", from_hex(&text("hex", value)?)),
        (None, Some(value)) => (value, "base64", Base64::decode_vec(&text("base64", value)?).ok()),
        (Some(_), Some(_)) | (None, None) => {
            let what = TestEntryError::OneOf { section: "this value", ways: "`hex` and `base64`" };
            return Err(SpannedEntryError::new(fields.at, what));
        }
    };
    decoded.ok_or_else(|| {
        let text = text(form, value).unwrap_or_default();
        SpannedEntryError::of(value, TestEntryError::Bytes { key: key.to_owned(), text, form })
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_may_have_blanks_and_no_half_bytes() {
        assert_eq!(from_hex("0d 0A\nff"), Some(vec![0x0d, 0x0a, 0xff]));
        assert_eq!(from_hex(""), Some(vec![]));
        assert_eq!((from_hex("0d0"), from_hex("0g")), (None, None));
    }
}
