//! A recording as a test file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use toml::Value;

use crate::backend::wasm::script::{ProgramExit, ProgramRunError};
use crate::config::setting::{Setting, SettingValue};
use crate::scripted::compare::Stored;
use crate::scripted::file::call::OutcomeWord;
use crate::scripted::record::redact::{Secrets, hidden, is_secret};
use crate::scripted::record::tape::{Connection, Exchange, Heard};
use crate::service::manifest::Manifest;

/// It cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the recording cannot be written to {}: {source}", path.display())]
pub(crate) struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// All that a test file is made of.
pub(super) struct Recording<'r> {
    pub(super) name: String,
    pub(super) service: &'r str,
    pub(super) manifest: &'r Manifest,
    pub(super) variables: Vec<String>,
    /// Since 1970.
    pub(super) began: Duration,
    pub(super) secrets: Secrets,
    /// The texts of secrets that stand in files, by key.
    pub(super) files: BTreeMap<String, String>,
    pub(super) with_bodies: bool,
    pub(super) calls: Vec<RecordedCall>,
}

/// One call.
pub(super) struct RecordedCall {
    pub(super) hook: &'static str,
    pub(super) outcome: OutcomeWord,
    pub(super) message: String,
    pub(super) score: Option<i64>,
    pub(super) details: Vec<(String, String)>,
    /// Warnings and errors, as a test has them.
    pub(super) log: Vec<String>,
    pub(super) stored: Stored,
    /// As a script prints them.
    pub(super) processes: Vec<String>,
    /// Attributes that it wrote; none: removed.
    pub(super) attributes: Vec<(String, Option<String>)>,
}

/// Writes it to a new file, which nobody else may read.
pub(super) fn write(path: &Path, recording: &Recording<'_>, heard: &Heard) -> Result<(), WriteError> {
    let text = recording.text(heard);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| WriteError { path: path.to_owned(), source })
}

impl Recording<'_> {
    fn text(&self, heard: &Heard) -> String {
        let mut text =
            String::from("# Recorded by koi plugins test --record. Look through it before others see it.\n");
        let has_bodies = !heard.connections.is_empty() || !heard.requests.is_empty();
        if has_bodies && !self.with_bodies {
            text.push_str("# Bytes and bodies were left out, and `bytes` says how many there were: what the handler makes of others is another thing.\n");
        }
        text.push_str("\n[given]\n");
        let _ = writeln!(text, "service = {}", string(self.service));
        let _ = writeln!(text, "clock = {}", moment(self.began));
        let config = self.manifest.config.iter().map(|setting| (setting.key.clone(), self.setting(setting)));
        section(&mut text, "given.config", config);
        section(
            &mut text,
            "given.env",
            self.variables.iter().map(|name| {
                let value = std::env::var(name).unwrap_or_default();
                (name.clone(), string(&hidden(&value)))
            }),
        );
        let raw = |table: &toml::Table| {
            table.iter().map(|(key, value)| (key.clone(), value.to_string())).collect::<Vec<_>>()
        };
        section(&mut text, "given.grants", raw(&self.manifest.grants));
        section(&mut text, "given.limits", raw(&self.manifest.limits));
        let names = heard.names.iter().map(|(name, ips)| {
            let ips: Vec<Value> = ips.iter().map(|ip| Value::from(ip.to_string())).collect();
            (name.clone(), Value::from(ips).to_string())
        });
        section(&mut text, "given.names", names);
        let _ = write!(text, "\n[[test]]\nname = {}\n", string(&self.name));
        heard.connections.iter().for_each(|connection| self.connection(&mut text, connection));
        heard.requests.iter().for_each(|exchange| self.exchange(&mut text, exchange));
        for (asked, input, ended) in &heard.programs {
            let words = std::iter::once(&asked.program).chain(&asked.args);
            let words: Vec<Value> = words.map(|word| self.secrets.hide_text(word).into()).collect();
            let _ = write!(text, "\n[[test.exec]]\nrun = {}\n", Value::from(words));
            if !input.is_empty() && self.with_bodies {
                let _ = writeln!(text, "stdin = {}", self.bytes(input));
            }
            self.program_end(&mut text, ended);
        }
        self.calls.iter().for_each(|call| self.call(&mut text, call));
        text
    }

    /// What stands behind a key of `[config]`: a secret is there with its length alone.
    fn setting(&self, setting: &Setting) -> String {
        let shown = |text: &str| match is_secret(&setting.key) {
            true => hidden(text),
            false => self.secrets.hide_text(text),
        };
        match &setting.value {
            SettingValue::One(text) => string(&shown(text)),
            SettingValue::Many(all) => {
                Value::from(all.iter().map(|text| Value::from(shown(text))).collect::<Vec<_>>()).to_string()
            }
            SettingValue::File(_) => {
                string(&hidden(self.files.get(&setting.key).map(String::as_str).unwrap_or_default()))
            }
        }
    }

    fn connection(&self, text: &mut String, connection: &Connection) {
        let _ = write!(text, "\n[[test.tcp]]\nat = \"{}\"\n", connection.at);
        if connection.refused {
            text.push_str("refuse = true\n");
            return;
        }
        text.push_str("talk = [\n");
        for (by_peer, bytes) in &connection.talk {
            let _ = writeln!(
                text,
                "    {{ {} = {} }},",
                if *by_peer { "say" } else { "expect" },
                self.body(bytes)
            );
        }
        text.push_str(if connection.closed { "    \"close\",\n]\n" } else { "]\n" });
    }

    fn exchange(&self, text: &mut String, exchange: &Exchange) {
        let request = self.secrets.hide_text(&format!("{} {}", exchange.method, exchange.url));
        let _ = write!(text, "\n[[test.http]]\nrequest = {}\n", string(&request));
        if !exchange.body.is_empty() && self.with_bodies {
            let _ = writeln!(text, "body = {}", self.bytes(&exchange.body));
        }
        let Some(answer) = &exchange.answer else { return text.push_str("answer = { fault = \"close\" }\n") };
        let headers = answer
            .headers
            .iter()
            .map(|(name, value)| format!("{} = {}", key(name), string(&self.secrets.hide_text(value))));
        let headers = headers.collect::<Vec<_>>().join(", ");
        let (status, body) = (answer.status, self.body(&answer.body));
        let _ = writeln!(text, "answer = {{ status = {status}, headers = {{ {headers} }}, body = {body} }}");
    }

    fn program_end(&self, text: &mut String, ended: &Result<ProgramExit, ProgramRunError>) {
        match ended {
            Ok(ProgramExit { code, stdout, stderr, .. }) => {
                let _ = writeln!(text, "code = {}", code.unwrap_or(-1));
                for (key, bytes) in [("stdout", stdout), ("stderr", stderr)] {
                    if !bytes.is_empty() {
                        let _ = writeln!(text, "{key} = {}", self.bytes(bytes));
                    }
                }
            }
            Err(ProgramRunError::TimedOut) => text.push_str("error = \"timed-out\"\n"),
            Err(_) => text.push_str("error = \"not-found\"\n"),
        }
    }

    fn call(&self, text: &mut String, call: &RecordedCall) {
        let _ = write!(
            text,
            "\n[[test.call]]\nhook = \"{}\"\noutcome = \"{}\"\n",
            call.hook,
            call.outcome.as_str()
        );
        if !call.message.is_empty() {
            let _ = writeln!(text, "message = {}", string(&self.secrets.hide_text(&call.message)));
        }
        if let Some(score) = call.score {
            let _ = writeln!(text, "score = {score}");
        }
        let pairs = |pairs: Vec<(String, String)>| {
            let pairs = pairs.into_iter().map(|(name, value)| format!("{} = {value}", key(&name)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        };
        if !call.details.is_empty() {
            let details = call.details.iter().map(|(k, v)| (k.clone(), string(&self.secrets.hide_text(v))));
            let _ = writeln!(text, "details = {}", pairs(details.collect()));
        }
        if !call.log.is_empty() {
            let log: Vec<Value> = call.log.iter().map(|line| self.secrets.hide_text(line).into()).collect();
            let _ = writeln!(text, "log = {}", Value::from(log));
        }
        if !call.stored.is_empty() {
            let stored = call.stored.iter().map(|(key, value)| (key.clone(), self.bytes(value)));
            let _ = writeln!(text, "store = {}", pairs(stored.collect()));
        }
        if !call.processes.is_empty() {
            let named = call.processes.iter().map(|process| self.secrets.hide_text(process).into());
            let _ = writeln!(text, "processes = {}", Value::from(named.collect::<Vec<Value>>()));
        }
        if !call.attributes.is_empty() {
            let shown = |value: &Option<String>| match value {
                Some(value) => string(&self.secrets.hide_text(value)),
                None => "false".to_owned(),
            };
            let written = call.attributes.iter().map(|(key, value)| (key.clone(), shown(value)));
            let _ = writeln!(text, "attributes = {}", pairs(written.collect()));
        }
    }

    /// What belongs to a body: left out, unless it is wanted.
    fn body(&self, bytes: &[u8]) -> String {
        match self.with_bodies {
            true => self.bytes(bytes),
            false => format!("{{ bytes = {} }}", bytes.len()),
        }
    }

    /// Without secrets.
    fn bytes(&self, bytes: &[u8]) -> String {
        let bytes = self.secrets.hide(bytes);
        match str::from_utf8(&bytes) {
            Ok(text) if !text.contains(|c: char| koi_text::is_harmful(c) && !"\r\n\t".contains(c)) => {
                string(text)
            }
            Ok(_) | Err(_) => format!("{{ base64 = \"{}\" }}", Base64::encode_string(&bytes)),
        }
    }
}

/// A section, unless it is empty.
fn section(text: &mut String, name: &str, entries: impl IntoIterator<Item = (String, String)>) {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_some() {
        let _ = write!(text, "\n[{name}]\n");
    }
    for (key, value) in entries {
        let _ = writeln!(text, "{} = {value}", self::key(&key));
    }
}

/// A key of TOML.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => string(name),
    }
}

/// A text of TOML, on one line.
fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\r' => quoted.push_str("\\r"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A moment since 1970, to the second, as TOML writes it.
fn moment(since_1970: Duration) -> String {
    let (days, of_day) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    // Years begin in March, so that a leap day is the last of its year; 400 of them have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = match month {
        0..10 => (month + 3, year + era * 400),
        _ => (month - 9, year + era * 400 + 1),
    };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_they_are_read() {
        let shown = |seconds| moment(Duration::from_secs(seconds));
        assert_eq!(shown(0), "1970-01-01T00:00:00Z");
        assert_eq!(shown(951_825_601), "2000-02-29T12:00:01Z");
        assert_eq!(shown(1_767_225_600), "2026-01-01T00:00:00Z");
        assert_eq!(shown(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
