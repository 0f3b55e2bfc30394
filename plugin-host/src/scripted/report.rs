//! What people and programs are told of tests.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::conformance::report::{json as write_json, last, millis, painted, shown, write};
use crate::scripted::args::TestArgs;
use crate::scripted::compare::log_line;
use crate::scripted::file::Test;
use crate::scripted::finding::Finding;
use crate::scripted::junit::JunitCase;
use crate::scripted::run::TestReport;

/// Colours of a terminal.
const GREEN: &str = "32";
const RED: &str = "1;31";
const BOLD: &str = "1";
const FAINT: &str = "2";

/// A report: people read each test as it ends, programs the whole at the end.
pub(crate) struct Report {
    json: bool,
    color: bool,
    quiet: bool,
    began: Instant,
    file: String,
    /// The file's name has been written.
    is_titled: bool,
    passed: usize,
    failed: usize,
    tests: Vec<Value>,
    pub(crate) junit: Vec<JunitCase>,
}

impl Report {
    pub(crate) fn new(args: &TestArgs) -> Report {
        Report {
            json: args.json,
            color: args.color,
            quiet: args.quiet,
            began: Instant::now(),
            file: String::new(),
            is_titled: false,
            passed: 0,
            failed: 0,
            tests: Vec::new(),
            junit: Vec::new(),
        }
    }

    /// What follows is in this file, about this handler.
    pub(crate) fn file(&mut self, file: &Path, handler: &Path) {
        self.file = file.display().to_string();
        self.is_titled = false;
        if !self.quiet {
            self.title();
            self.text(&painted(
                &format!("  of {}\n", koi_text::blanked(&handler.display().to_string())),
                FAINT,
                self.color,
            ));
        }
    }

    fn title(&mut self) {
        if !self.is_titled {
            self.text(&format!("{}\n", painted(&koi_text::blanked(&self.file), BOLD, self.color)));
            self.is_titled = true;
        }
    }

    /// One test.
    pub(crate) fn add(&mut self, test: &Test, ran: &TestReport) {
        let is_well = ran.findings.is_empty();
        if is_well {
            self.passed += 1
        } else {
            self.failed += 1
        }
        if !is_well || !self.quiet {
            self.title();
            let mark =
                if is_well { painted("ok  ", GREEN, self.color) } else { painted("FAIL", RED, self.color) };
            let name = koi_text::blanked(&test.name);
            self.text(&format!("  {mark}  {name} ({})\n", shown(ran.took)));
        }
        for finding in &ran.findings {
            self.text(&self.page(finding));
        }
        if !is_well {
            let lines: Vec<_> =
                ran.log.iter().map(|(level, text)| (*level, log_line(*level, text))).collect();
            for line in last(&lines) {
                self.text(&painted(&format!("          | {}\n", koi_text::blanked(line)), FAINT, self.color));
            }
        }
        self.keep(test, ran);
    }

    fn page(&self, finding: &Finding) -> String {
        let what = koi_text::blanked(&finding.what);
        let mut page = format!("        {}:{}: {what}\n", koi_text::blanked(&self.file), finding.line);
        let pairs = [("expected", GREEN, &finding.expected), ("seen    ", RED, &finding.seen)];
        for (word, color, text) in pairs {
            if let Some(text) = text {
                page.push_str(&format!(
                    "          {word}  {}\n",
                    painted(&koi_text::blanked(text), color, self.color)
                ));
            }
        }
        page
    }

    fn keep(&mut self, test: &Test, ran: &TestReport) {
        let finding = |finding: &Finding| {
            json!({
                "line": finding.line, "message": finding.what, "expected": finding.expected, "seen": finding.seen,
            })
        };
        let findings: Vec<Value> = ran.findings.iter().map(finding).collect();
        let log: Vec<String> = ran.log.iter().map(|(level, text)| log_line(*level, text)).collect();
        self.tests.push(json!({
            "file": self.file, "line": test.line, "test": test.name, "ok": ran.findings.is_empty(),
            "ms": millis(ran.took), "findings": findings, "log": log,
        }));
        let pages = ran.findings.iter().map(|finding| {
            let Finding { line, what, expected, seen, .. } = finding;
            let more = [("expected", expected), ("seen", seen)];
            let more =
                more.into_iter().filter_map(|(word, text)| Some(format!("\n  {word}  {}", text.as_ref()?)));
            format!("{}:{line}: {what}{}", self.file, more.collect::<String>())
        });
        self.junit.push(JunitCase {
            file: self.file.clone(),
            name: test.name.clone(),
            took: ran.took,
            failures: pages.collect(),
            log,
        });
    }

    /// Whether some test did not pass.
    pub(crate) fn failed(&self) -> bool {
        self.failed > 0
    }

    /// The end. `left_out` tests did not have what was filtered for.
    pub(crate) fn finish(&self, left_out: usize) {
        let took: Duration = self.began.elapsed();
        let (passed, failed) = (self.passed, self.failed);
        if self.json {
            return write_json(&json!({
                "ok": !self.failed(), "passed": passed, "failed": failed, "left_out": left_out, "ms": millis(took),
                "tests": self.tests,
            }));
        }
        let failures = if failed == 1 { "1 failure".to_owned() } else { format!("{failed} failures") };
        let word = if self.failed() {
            painted("FAILED", RED, self.color)
        } else {
            painted("passed", GREEN, self.color)
        };
        let others = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
        let gap = if self.passed + self.failed > 0 && (!self.quiet || self.failed()) { "\n" } else { "" };
        self.text(&format!("{gap}{word}: {passed} ok, {failures}{others}, in {}\n", shown(took)));
    }

    fn text(&self, text: &str) {
        if !self.json {
            write(text);
        }
    }
}
