//! A report in the form of JUnit, which servers for continuous integration read.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// One test.
pub(crate) struct JunitCase {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) took: Duration,
    /// What was not as it should be.
    pub(crate) failures: Vec<String>,
    pub(crate) log: Vec<String>,
}

/// It cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the report cannot be written to {}: {source}", path.display())]
pub(crate) struct JunitError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the report to `path`.
pub(crate) fn write(path: &Path, cases: &[JunitCase]) -> Result<(), JunitError> {
    fs::write(path, document(cases)).map_err(|source| JunitError { path: path.to_owned(), source })
}

/// A suite for each file, in their order.
fn document(cases: &[JunitCase]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!("<testsuites {}>\n", counts(cases)));
    for suite in cases.chunk_by(|one, other| one.file == other.file) {
        let name = suite.first().map(|case| attribute(&case.file)).unwrap_or_default();
        text.push_str(&format!("  <testsuite name=\"{name}\" {}>\n", counts(suite)));
        suite.iter().for_each(|case| text.push_str(&element(case)));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn counts(cases: &[JunitCase]) -> String {
    let failed = cases.iter().filter(|case| !case.failures.is_empty()).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{:.3}\"", cases.len(), took.as_secs_f64())
}

fn element(case: &JunitCase) -> String {
    let (name, class) = (attribute(&case.name), attribute(&case.file));
    let mut text = format!(
        "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{:.3}\">\n",
        case.took.as_secs_f64()
    );
    for failure in &case.failures {
        let first = failure.lines().next().unwrap_or_default();
        text.push_str(&format!(
            "      <failure message=\"{}\">{}</failure>\n",
            attribute(first),
            content(failure)
        ));
    }
    if !case.log.is_empty() {
        text.push_str(&format!("      <system-out>{}</system-out>\n", content(&case.log.join("\n"))));
    }
    text.push_str("    </testcase>\n");
    text
}

/// A text in quotes: one line.
fn attribute(text: &str) -> String {
    content(&text.replace(['\n', '\t'], " ")).replace('"', "&quot;")
}

/// A text between tags. XML has no word for most control characters.
fn content(text: &str) -> String {
    let is_known = |c: char| {
        matches!(c, '\n' | '\t') || !koi_text::is_harmful(c) && !matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    let plain: String = text.chars().map(|c| if is_known(c) { c } else { '\u{fffd}' }).collect();
    plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_handler_says_is_text() {
        let case = |name: &str, failures: &[&str], log: &[&str]| JunitCase {
            file: "handler.test.toml".into(),
            name: name.into(),
            took: Duration::from_millis(1500),
            failures: failures.iter().map(|text| text.to_string()).collect(),
            log: log.iter().map(|text| text.to_string()).collect(),
        };
        let cases = [
            case("it \"starts\"", &[], &[]),
            case("a < b & c", &["a:1: message\n  seen  </failure>"], &["info: \x1b[2J]]>\u{ffff}"]),
        ];
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuites tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\">\n  \
              <testsuite name=\"handler.test.toml\" tests=\"2\" failures=\"1\" errors=\"0\" time=\"3.000\">\n    \
                <testcase name=\"it &quot;starts&quot;\" classname=\"handler.test.toml\" time=\"1.500\">\n    \
                </testcase>\n    \
                <testcase name=\"a &lt; b &amp; c\" classname=\"handler.test.toml\" time=\"1.500\">\n      \
                  <failure message=\"a:1: message\">a:1: message\n  seen  &lt;/failure&gt;</failure>\n      \
                  <system-out>info: \u{fffd}[2J]]&gt;\u{fffd}</system-out>\n    \
                </testcase>\n  \
              </testsuite>\n</testsuites>\n";
        assert_eq!(document(&cases), expected);
    }
}
