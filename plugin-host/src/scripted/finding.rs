//! What a test found: something that is not as its file says.

use std::sync::{Arc, Mutex, PoisonError};

/// Findings of one test that are kept.
const FINDINGS: usize = 50;

/// Bytes that are shown on each side of a difference.
const AROUND_BYTES: usize = 60;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Of the test file.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) expected: Option<String>,
    pub(crate) seen: Option<String>,
    /// It may follow from something else that went wrong: something did not happen.
    pub(crate) may_follow: bool,
}

impl Finding {
    /// Something that is wrong as it is.
    pub(crate) fn of(line: usize, what: impl Into<String>) -> Finding {
        Finding { line, what: what.into(), expected: None, seen: None, may_follow: false }
    }

    /// Something else than what was expected.
    pub(crate) fn other(
        line: usize,
        what: impl Into<String>,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) -> Finding {
        let (expected, seen) = (Some(expected.into()), Some(seen.into()));
        Finding { line, what: what.into(), expected, seen, may_follow: false }
    }

    /// The same, where it may follow from something else that went wrong.
    pub(crate) fn following(self) -> Finding {
        Finding { may_follow: true, ..self }
    }

    /// Whether it is wrong whatever else went wrong.
    pub(crate) fn is_a_cause(&self) -> bool {
        !self.may_follow
    }

    /// Other bytes than were expected: both, around the place where they part.
    pub(crate) fn other_bytes(line: usize, what: &str, expected: &[u8], seen: &[u8]) -> Finding {
        let at = parting(expected, seen);
        let what = match at {
            0 => what.to_owned(),
            _ => format!("{what}: the first {at} bytes are the same"),
        };
        Finding::other(line, what, shown_around(expected, at), shown_around(seen, at))
    }
}

/// The findings of one test. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Arc<Mutex<Vec<Finding>>>);

impl Findings {
    pub(crate) fn add(&self, finding: Finding) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < FINDINGS && !all.contains(&finding) {
            all.push(finding);
        }
    }

    /// Adds what there is of these.
    pub(crate) fn extend(&self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// All of them, by line.
    pub(crate) fn take(&self) -> Vec<Finding> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_by_key(|finding| finding.line);
        all
    }
}

/// Where two texts part.
pub(crate) fn parting(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Bytes for people: a text in quotes, or hexadecimal digits where they are none.
pub(crate) fn shown(bytes: &[u8]) -> String {
    shown_around(bytes, 0)
}

fn shown_around(bytes: &[u8], at: usize) -> String {
    let from = at.saturating_sub(AROUND_BYTES);
    let to = bytes.len().min(at + AROUND_BYTES);
    let (before, after) = (if from > 0 { "… " } else { "" }, if to < bytes.len() { " …" } else { "" });
    let part = &bytes[from.min(to)..to];
    let text = String::from_utf8_lossy(part);
    let inner = text.trim_matches('\u{fffd}');
    let shown = match inner.contains('\u{fffd}')
        || inner.contains(|c: char| c.is_control() && !"\r\n\t".contains(c))
    {
        true => part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        false => format!("{:?}", koi_text::escaped(inner, &['\r', '\n', '\t'])),
    };
    match bytes.is_empty() {
        true => "nothing".to_owned(),
        false => format!("{before}{shown}{after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_around_the_place_where_they_part() {
        let (one, other) =
            (format!("{}A", "x".repeat(100)), format!("{}B{}", "x".repeat(100), "y".repeat(100)));
        let finding = Finding::other_bytes(7, "bytes", one.as_bytes(), other.as_bytes());
        assert_eq!(finding.what, "bytes: the first 100 bytes are the same");
        assert_eq!(finding.expected.unwrap(), format!("… \"{}A\"", "x".repeat(60)));
        assert_eq!(finding.seen.unwrap(), format!("… \"{}B{}\" …", "x".repeat(60), "y".repeat(59)));
        assert_eq!(shown(b"PING\r\n"), r#""PING\r\n""#);
        assert_eq!((shown(&[0, 0xff]), shown(b"")), ("00 ff".to_owned(), "nothing".to_owned()));
    }
}
