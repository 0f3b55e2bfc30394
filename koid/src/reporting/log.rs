//! The log: to the console, to syslog, to the journal, or to several of them.
//!
//! Lines are handed to a thread of their own. A terminal that is stopped or a journal that hangs must never hold up the
//! cluster loop; when the thread falls too far behind, lines are lost, and it says how many.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::os::sys;
use crate::reporting::say;

/// Lines that wait to be written.
const WAITING: usize = 4096;
/// How long the end of the daemon waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Sink {
    /// Standard error.
    Console,
    /// `/dev/log`.
    Syslog,
    /// systemd's journal, with fields of its own for service and hook.
    Journald,
}

/// How loud the log is; changes when the configuration does.
static LEVEL: AtomicU8 = AtomicU8::new(3);
/// Lines that found no room.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Sets how much is logged: `error warn info debug trace`. Anything else is `info`.
pub(crate) fn set_level(word: &str) {
    let level = match word {
        "error" => 1,
        "warn" => 2,
        "debug" => 4,
        "trace" => 5,
        _ => 3,
    };
    LEVEL.store(level, Ordering::Relaxed);
}

fn loudness(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Writes the last lines when it is dropped.
#[derive(Debug)]
pub(crate) struct Logging {
    lines: SyncSender<Option<Line>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts logging, for the whole process.
pub(crate) fn start(sinks: &[Sink], no_color: bool) -> io::Result<Logging> {
    let (lines, waiting) = sync_channel(WAITING);
    let mut outputs: Vec<Box<dyn Output>> = Vec::new();
    for sink in sinks {
        outputs.push(match sink {
            Sink::Console => Box::new(Console::new(no_color)),
            Sink::Syslog => Box::new(Datagrams::new("/dev/log", syslog_line)),
            Sink::Journald => Box::new(Datagrams::new("/run/systemd/journal/socket", journal_entry)),
        });
    }
    let thread =
        std::thread::Builder::new().name("log".into()).spawn(move || write_all(&waiting, &mut outputs))?;
    let subscriber = tracing_subscriber::registry().with(Forward { lines: lines.clone() });
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    Ok(Logging { lines, thread: Some(thread) })
}

impl Drop for Logging {
    fn drop(&mut self) {
        // Room for the end sign is made as the thread writes.
        let _ = self.lines.send(None);
        let Some(thread) = self.thread.take() else { return };
        let began = std::time::Instant::now();
        while !thread.is_finished() && began.elapsed() < LAST_WORDS {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One line.
#[derive(Debug, Default)]
struct Line {
    at: Option<SystemTime>,
    loudness: u8,
    message: String,
    service: String,
    hook: String,
    /// Further fields, as `name=value`.
    rest: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            // Made harmless and cut before it waits: what waits is bounded, too.
            "message" => self.message.push_str(&say::one_line(value)),
            "service" => self.service.push_str(&say::one_line(value)),
            "hook" => self.hook.push_str(&say::one_line(value)),
            name => drop(write!(self.rest, " {name}={}", say::one_line(value))),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Hands each event to the thread.
struct Forward {
    lines: SyncSender<Option<Line>>,
}

impl<S: Subscriber> Layer<S> for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        // Asked each time: the level may change.
        tracing::subscriber::Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        // What libraries say is for people only when something is wrong.
        let ours = metadata.target().starts_with("koi");
        let limit = LEVEL.load(Ordering::Relaxed);
        loudness(*metadata.level()) <= if ours { limit } else { limit.min(2) }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line {
            at: Some(SystemTime::now()),
            loudness: loudness(*event.metadata().level()),
            ..Line::default()
        };
        event.record(&mut line);
        if self.lines.try_send(Some(line)).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs on the thread, until the end sign comes.
fn write_all(lines: &Receiver<Option<Line>>, outputs: &mut [Box<dyn Output>]) {
    while let Ok(Some(line)) = lines.recv() {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let message =
                format!("{lost} lines of the log were lost: they came faster than they could be written");
            let said = Line { at: line.at, loudness: 2, message, ..Line::default() };
            outputs.iter_mut().for_each(|output| output.write(&said));
        }
        outputs.iter_mut().for_each(|output| output.write(&line));
    }
}

/// Takes lines. Whatever fails is left unsaid: there is no other place to say it.
trait Output: Send {
    fn write(&mut self, line: &Line);
}

struct Console {
    color: bool,
}

impl Console {
    fn new(no_color: bool) -> Console {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && !no_color;
        Console { color: wanted && io::stderr().is_terminal() }
    }
}

impl Output for Console {
    fn write(&mut self, line: &Line) {
        let _ = io::stderr().write_all(console_line(line, self.color).as_bytes());
    }
}

fn console_line(line: &Line, color: bool) -> String {
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
fn one_line(line: &Line) -> String {
    let mut text = String::new();
    if !line.hook.is_empty() {
        // What a hook says is told from what koi says of it.
        let _ = write!(text, "[{} {}] ", line.service, line.hook);
    }
    text.push_str(&line.message);
    text.push_str(&line.rest);
    text
}

/// Each line a datagram to a local socket.
struct Datagrams {
    path: &'static str,
    render: fn(&Line) -> Vec<u8>,
    socket: Option<UnixDatagram>,
}

impl Datagrams {
    fn new(path: &'static str, render: fn(&Line) -> Vec<u8>) -> Datagrams {
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
    fn write(&mut self, line: &Line) {
        let bytes = (self.render)(line);
        if self.send(&bytes).is_err() {
            // The other end may have been restarted.
            self.socket = None;
            let _ = self.send(&bytes);
        }
    }
}

/// The severity of RFC 5424.
fn severity(line: &Line) -> u8 {
    match line.loudness {
        1 => 3,
        2 => 4,
        3 => 6,
        _ => 7,
    }
}

/// The local form of RFC 3164: facility daemon, the time, the tag.
fn syslog_line(line: &Line) -> Vec<u8> {
    const DAEMON: u8 = 3 << 3;
    let at = line.at.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let stamp = sys::local_time(at.as_secs()).for_syslog();
    format!("<{}>{stamp} koid[{}]: {}", DAEMON | severity(line), std::process::id(), one_line(line))
        .into_bytes()
}

/// The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): no value here has a newline.
fn journal_entry(line: &Line) -> Vec<u8> {
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
    use super::*;

    fn line() -> Line {
        Line {
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
    fn what_scripts_and_clients_say_forges_no_line_and_steers_no_terminal() {
        use tracing_subscriber::layer::SubscriberExt;
        let (lines, waiting) = sync_channel(8);
        let subscriber = tracing_subscriber::registry().with(Forward { lines });
        tracing::subscriber::with_default(subscriber, || {
            let long = "x".repeat(60_000);
            tracing::info!(
                service = "we\nb",
                hook = "start",
                node = "\x1b[1m",
                "\x1b[2Jhello\nKOI_HOOK=forged {long}"
            );
        });
        let line = waiting.recv().unwrap().unwrap();
        let rendered = [
            console_line(&line, false),
            String::from_utf8(syslog_line(&line)).unwrap() + "\n",
            String::from_utf8(journal_entry(&line)).unwrap(),
        ];
        for text in &rendered {
            assert!(
                !text.contains('\x1b') && text.contains("\\u{1b}[2Jhello KOI_HOOK=forged xxx"),
                "{text:.200}"
            );
            assert!(text.len() < 8000, "{}", text.len());
        }
        assert!(rendered[..2].iter().all(|text| text.matches('\n').count() == 1));
        assert_eq!(rendered[2].lines().filter(|line| line.starts_with("KOI_HOOK=")).count(), 1);
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
