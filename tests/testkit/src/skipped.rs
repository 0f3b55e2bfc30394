//! Tests that cannot do their work here.

use std::fs;
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::PathBuf;

/// Says that a test, or a part of it, is left out, and why: what is missing, and how to get it.
///
/// # Panics
/// With `KOI_TESTS_COMPLETE=1`.
#[track_caller]
pub fn skip(why: &str) {
    let complete = std::env::var_os("KOI_TESTS_COMPLETE").is_some_and(|value| value == "1");
    assert!(!complete, "this test cannot do its work, and KOI_TESTS_COMPLETE=1 asks for that: {why}");
    // The test runner captures what `eprintln!` writes, and not this.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
    if let Some(path) = list()
        && let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = file.write_all(format!("{}\n", why.replace('\n', " ")).as_bytes());
    }
}

/// What the tests of this run of `cargo test` have skipped so far, each reason with how often. It is forgotten by that.
pub fn take_skipped() -> Vec<(String, usize)> {
    let Some(path) = list() else { return Vec::new() };
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let mut reasons: Vec<(String, usize)> = Vec::new();
    for line in text.lines() {
        match reasons.iter_mut().find(|(reason, _)| reason == line) {
            Some((_, times)) => *times += 1,
            None => reasons.push((line.to_owned(), 1)),
        }
    }
    reasons
}

/// Beside the tests' programs; one for each run of cargo, which is their parent.
fn list() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.join(format!("skipped-{}", parent_id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list is this process's, and `cargo test` runs the tests of other crates in others: nothing is lost by taking it.
    #[test]
    fn what_was_skipped_is_counted_and_forgotten() {
        let earlier = take_skipped();
        if std::env::var_os("KOI_TESTS_COMPLETE").is_some_and(|value| value == "1") {
            let caught = std::panic::catch_unwind(|| skip("there is no moon"));
            assert!(caught.is_err(), "it must fail");
            assert_eq!(take_skipped(), []);
        } else {
            skip("there is no moon (a test of the tests)");
            skip("there is no moon (a test of the tests)");
            assert_eq!(take_skipped(), [("there is no moon (a test of the tests)".to_owned(), 2)]);
        }
        // What others have skipped before is still to be told.
        for (reason, times) in earlier {
            (0..times).for_each(|_| skip(&reason));
        }
    }
}
