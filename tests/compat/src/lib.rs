//! What other programs, scripts and older nodes build on, compared with what was recorded of an earlier koi: the JSON of `koi`, the
//! keys of the configuration, the datagrams, the state on disk. Additions are allowed. Nothing that was there may go, change its type, or say
//! something else.
//!
//! The files in `recorded` are of the koi before its parts were given other names. They are changed for one reason only: something that others build on
//! is changed on purpose. `KOI_COMPAT_RECORD=1` records what was not recorded yet, and replaces nothing.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// What the file of this name in `recorded` says of `subject`. With `KOI_COMPAT_RECORD=1`, and where it says nothing, `now` is recorded
/// first.
///
/// # Panics
/// If nothing was recorded of it, or nothing can be recorded.
pub fn as_recorded(file: &str, subject: &str, now: &Value) -> Value {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/recorded")).join(file);
    let read =
        fs::read(&path).ok().map(|bytes| serde_json::from_slice(&bytes).expect("a recorded file is JSON"));
    let mut all: Map<String, Value> = read.unwrap_or_default();
    if let Some(then) = all.get(subject) {
        return then.clone();
    }
    let records = std::env::var_os("KOI_COMPAT_RECORD").is_some_and(|value| value == "1");
    assert!(records, "{} says nothing of {subject}", path.display());
    all.insert(subject.to_owned(), now.clone());
    let text = serde_json::to_string_pretty(&all).expect("JSON has a text");
    fs::write(&path, format!("{text}\n")).expect("a file can be written");
    now.clone()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
///
/// # Panics
/// If they are none.
pub fn from_hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a hexadecimal digit");
    let byte = |pair: &[u8]| u8::try_from(digit(pair[0]) * 16 + digit(pair[1])).expect("two digits");
    text.as_bytes().chunks_exact(2).map(byte).collect()
}

/// What was there `then` and is not there `now`, or is something else: a line each. More may be there now.
pub fn differences(then: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", then, now, &mut found);
    // How JSON is kept, sorted or as it came, depends on what else is built.
    found.sort();
    found
}

fn compare(at: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, then) in then {
                match now.get(key) {
                    Some(now) => compare(&format!("{at}.{key}"), then, now, found),
                    None => found.push(format!("{at}.{key} is gone; it was {then}")),
                }
            }
        }
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            for (n, (then, now)) in then.iter().zip(now).enumerate() {
                compare(&format!("{at}[{n}]"), then, now, found);
            }
        }
        _ if then == now => {}
        _ => found.push(format!("{at} was {then} and is {now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn additions_are_allowed_and_nothing_else() {
        let then = json!({ "name": "a", "nodes": [{ "up": true, "score": null }] });
        let more = json!({ "name": "a", "new": 1, "nodes": [{ "up": true, "score": null, "lag": 2 }] });
        assert_eq!(differences(&then, &more), [""; 0]);

        let renamed = json!({ "called": "a", "nodes": [{ "up": true, "score": null }] });
        assert_eq!(differences(&then, &renamed), [".name is gone; it was \"a\""]);
        let retyped = json!({ "name": "a", "nodes": [{ "up": "true", "score": 0 }] });
        assert_eq!(
            differences(&then, &retyped),
            [".nodes[0].score was null and is 0", ".nodes[0].up was true and is \"true\""]
        );
        let fewer = json!({ "name": "a", "nodes": [] });
        assert_eq!(differences(&then, &fewer).len(), 1);
    }

    #[test]
    fn hexadecimal_digits_read_back() {
        assert_eq!(hex(&[0, 0x1f, 0xa0]), "001fa0");
        assert_eq!(from_hex("001fa0"), [0, 0x1f, 0xa0]);
    }
}
