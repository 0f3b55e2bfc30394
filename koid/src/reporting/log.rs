//! The log: to the console, to syslog, to the journal, or to several of them.
//!
//! Lines are handed to a thread of their own. A terminal that is stopped or a journal that hangs must never hold up the
//! cluster loop; when the thread falls too far behind, lines are lost, and it says how many.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::log_line::LogLine;
use super::log_outputs::{Console, Datagrams, Output, journal_entry, syslog_line};

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
    lines: SyncSender<Option<LogLine>>,
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

/// Hands each event to the thread.
struct Forward {
    lines: SyncSender<Option<LogLine>>,
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
        let mut line = LogLine {
            at: Some(SystemTime::now()),
            loudness: loudness(*event.metadata().level()),
            ..LogLine::default()
        };
        event.record(&mut line);
        if self.lines.try_send(Some(line)).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs on the thread, until the end sign comes.
fn write_all(lines: &Receiver<Option<LogLine>>, outputs: &mut [Box<dyn Output>]) {
    while let Ok(Some(line)) = lines.recv() {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let message =
                format!("{lost} lines of the log were lost: they came faster than they could be written");
            let said = LogLine { at: line.at, loudness: 2, message, ..LogLine::default() };
            outputs.iter_mut().for_each(|output| output.write(&said));
        }
        outputs.iter_mut().for_each(|output| output.write(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::super::log_outputs::{console_line, journal_entry, syslog_line};
    use super::*;

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
}
