//! The last test of `cargo test --workspace`: says what was left out, and how to get it.
#![allow(missing_docs, reason = "tests")]

use std::io::Write;

#[test]
fn what_was_skipped_is_said_at_the_end() {
    let reasons = koi_testkit::take_skipped();
    if reasons.is_empty() {
        return;
    }
    let tests: usize = reasons.iter().map(|(_, times)| times).sum();
    let mut text = format!("\n{tests} tests could not do their work here:\n");
    for (reason, times) in reasons {
        let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
        text += &format!("  {reason}{times}\n");
    }
    text += "As root on Debian, with gcc, g++, iproute2, nftables, iputils-ping, iputils-arping and redis-server installed, and after\n";
    text += "plugins/examples/build --tools, all of them do. KOI_TESTS_COMPLETE=1 makes a test fail that does not.\n";
    // The test runner captures what `eprintln!` writes, and not this.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
