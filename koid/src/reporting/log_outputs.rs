//! Where lines of the log go, and in which form.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::time::UNIX_EPOCH;

use super::log_line::LogLine;
use crate::os::sys;

/// Takes lines. Errors are dropped: there is nowhere else to log them.
pub(super) trait Output: Send {
    fn write(&mut self, line: &LogLine);
}

pub(super) struct Console {
    color: bool,
}

impl Console {
    pub(super) fn new(no_color: bool) -> Console {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && !no_color;
        Console { color: wanted && io::stderr().is_terminal() }
    }
}

impl Output for Console {
    fn write(&mut self, line: &LogLine) {
        let _ = io::stderr().write_all(console_line(line, self.color).as_bytes());
    }
}

pub(super) fn console_line(line: &LogLine, color: bool) -> String {
    let at = line.at.unwrap_or(UNIX_EPOCH);
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let local = sys::local_time(since.as_secs());
    let (word, paint) = match line.loudness {
        1 => ("error", "\x1b[31m"),
        2 => ("warn ", "\x1b[33m"),
        3 => ("info ", "\x1b[32m"),
        4 => ("debug", "\x1b[34m"),
        _ => ("trace", "\x1b[35m"),
    };
    let (paint, plain) = if color { (paint, "\x1b[0m") } else { ("", "") };
    format!("{local}.{:03} {paint}{word}{plain} {}\n", since.subsec_millis(), one_line(line))
}

/// The text of a line, with its fields in a form for people.
fn one_line(line: &LogLine) -> String {
    let mut text = String::new();
    if !line.hook.is_empty() {
        // Tells the output of a hook from what koi says of it.
        let _ = write!(text, "[{} {}] ", line.service, line.hook);
    }
    text.push_str(&line.message);
    text.push_str(&line.rest);
    text
}

/// Each line a datagram to a local socket.
pub(super) struct Datagrams {
    path: &'static str,
    render: fn(&LogLine) -> Vec<u8>,
    socket: Option<UnixDatagram>,
}

impl Datagrams {
    pub(super) fn new(path: &'static str, render: fn(&LogLine) -> Vec<u8>) -> Datagrams {
        Datagrams { path, render, socket: None }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(self.path)?;
            self.socket = Some(socket);
        }
        self.socket.as_ref().map_or(Ok(()), |socket| socket.send(bytes).map(drop))
    }
}

impl Output for Datagrams {
    fn write(&mut self, line: &LogLine) {
        let bytes = (self.render)(line);
        if self.send(&bytes).is_err() {
            // The other end may have been restarted.
            self.socket = None;
            let _ = self.send(&bytes);
        }
    }
}

/// The severity of RFC 5424.
fn severity(line: &LogLine) -> u8 {
    match line.loudness {
        1 => 3,
        2 => 4,
        3 => 6,
        _ => 7,
    }
}

/// The local form of RFC 3164: facility daemon, the time, the tag.
pub(super) fn syslog_line(line: &LogLine) -> Vec<u8> {
    const DAEMON: u8 = 3 << 3;
    let at = line.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let stamp = sys::local_time(at.as_secs()).for_syslog();
    format!("<{}>{stamp} koid[{}]: {}", DAEMON | severity(line), std::process::id(), one_line(line))
        .into_bytes()
}

/// The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): no value here has a newline.
pub(super) fn journal_entry(line: &LogLine) -> Vec<u8> {
    let mut entry = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=koid\nSYSLOG_PID={}\n",
        one_line(line),
        severity(line),
        std::process::id()
    );
    for (field, value) in [("KOI_SERVICE", &line.service), ("KOI_HOOK", &line.hook)] {
        if !value.is_empty() {
            let _ = writeln!(entry, "{field}={value}");
        }
    }
    entry.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line() -> LogLine {
        LogLine {
            at: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_123)),
            loudness: 2,
            message: "two lines".into(),
            service: "vip".into(),
            hook: "start".into(),
            rest: " exit=1".into(),
        }
    }

    #[test]
    fn a_console_line_is_one_line_with_time_level_and_hook() {
        let text = console_line(&line(), false);
        assert!(text.ends_with(".123 warn  [vip start] two lines exit=1\n"), "{text}");
        assert!(console_line(&line(), true).contains("\x1b[33mwarn \x1b[0m"));
    }

    #[test]
    fn the_journal_gets_fields_of_its_own() {
        let entry = String::from_utf8(journal_entry(&line())).unwrap();
        assert!(
            entry.contains("PRIORITY=4\n") && entry.contains("\nKOI_SERVICE=vip\nKOI_HOOK=start\n"),
            "{entry}"
        );
    }

    #[test]
    fn syslog_gets_the_facility_and_the_tag() {
        let text = String::from_utf8(syslog_line(&line())).unwrap();
        assert!(text.starts_with("<28>") && text.contains(" koid["), "{text}");
    }
}
