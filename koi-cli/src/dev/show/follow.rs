//! Follows the three nodes: what their koids log, and what the handler's status says.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use anstyle::AnsiColor;
use koi_proto::api::{Hook, Local, NodeState, ServiceState, ServiceStatus};
use koi_proto::client::{Client, Endpoint};
use tokio::time::{Instant, sleep};

use super::keys;
use super::log_line::{Heard, LogLine};
use super::screen::Screen;
use super::status_line::{StatusFailure, StatusLine};
use crate::local_cluster::folder::{Folder, NAMES};
use crate::output::Out;
use crate::render::layout::{Tone, View, text};

/// Time between two looks.
pub(in crate::dev) const PERIOD: Duration = Duration::from_millis(60);
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(1);
/// Bytes of a log that are read in one look: what is beyond waits for the next one.
const READ_BYTES: u64 = 256 * 1024;
/// Columns of a hook's name.
const HOOK: usize = 8;
/// Columns before a text: the time, a node's name, a hook's, and spaces between them.
const MARK: usize = 12 + 1 + 2 + 1 + HOOK + 1;

/// Stands for the time of what is seen and not logged.
const NO_TIME: &str = "            ";

/// The detail with which koid says what a handler's process is not kept from on this machine.
const CONTAINMENT: &str = "containment";

/// Comes after every time of day.
const LAST: &str = "~";

/// What tells one node from another at a glance.
const COLORS: [AnsiColor; 3] = [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Blue];

/// A node that is followed.
struct FollowedNode {
    name: &'static str,
    color: AnsiColor,
    client: Client,
    log: Tail,
    /// What its handler's status said last.
    said: StatusLine,
    /// What its handler's status failed with last.
    failed: StatusFailure,
    state: &'static str,
}

/// Follows the nodes of a cluster for ever.
pub(in crate::dev) async fn follow(nodes: FollowedNodes, screen: Screen, out: Out, has_keys: bool) {
    let mut nodes = nodes.0;
    let mut service = String::new();
    let mut is_containment_said = false;
    loop {
        // A line is broken where somebody reads it; what is piped is for programs.
        let mut view = out.view();
        if !out.is_on_terminal() {
            view.width = usize::MAX;
        }
        let mut lines = Vec::new();
        for node in &mut nodes {
            let local = node.client.get::<Local>("/v1/local").await.ok();
            if let Some(name) =
                local.as_ref().and_then(|local| Some(&local.node.services.as_ref()?.first()?.name))
            {
                service.clone_from(name);
            }
            for line in node.log.news() {
                if let Some(line) = LogLine::read(&line, &service) {
                    lines.push((line.time.to_owned(), node.log_line(&line, &view)));
                }
            }
            if let Some(lack) = local.as_ref().and_then(containment).filter(|_| !is_containment_said) {
                is_containment_said = true;
                screen.say(Tone::Warn, &format!("  the handler is less confined on this machine: {lack}"));
            }
            // What it says now was said after all that.
            let said = node.look(local.as_ref(), &view);
            lines.extend(said.map(|said| (LAST.to_owned(), said)));
        }
        // Of one look they come in order; a node may be a look behind.
        lines.sort_by(|(one, _), (other, _)| one.cmp(other));
        lines.iter().for_each(|(_, line)| screen.raw(line));
        let view = out.view();
        let states: Vec<String> = nodes.iter().map(|node| format!("{} {}", node.name, node.state)).collect();
        let mut line = states.join("  ");
        if has_keys {
            line = format!("{line}  │  {}", keys::shown());
        }
        screen.footer(&view.paint.head(&text::cut(&line, view.width.saturating_sub(1))));
        sleep(PERIOD).await;
    }
}

/// Where the nodes are found.
pub(in crate::dev) struct FollowedNodes([FollowedNode; 3]);

impl FollowedNodes {
    pub(in crate::dev) fn of(folder: &Folder) -> FollowedNodes {
        let mut colors = COLORS.into_iter();
        FollowedNodes(NAMES.map(|name| FollowedNode {
            name,
            color: colors.next().unwrap_or(AnsiColor::White),
            client: Client::new(Endpoint::Socket(folder.socket(name)), ANSWER_TIME),
            log: Tail { path: folder.log(name), read_bytes: 0, partial: Vec::new() },
            said: StatusLine::default(),
            failed: StatusFailure::default(),
            state: "starts",
        }))
    }
}

impl FollowedNode {
    /// A text behind the time, the node's name and a hook's; its further lines stand below its first. `before` has the text's own sign.
    fn line(
        &self,
        (time, hook): (&str, &str),
        before: (&str, Tone),
        (said, tone): (&str, Tone),
        view: &View,
    ) -> String {
        let paint = view.paint;
        let name = paint.color(self.color, self.name);
        let mark = format!("{} {name} {}", paint.dim(time), paint.color(self.color, &text::pad(hook, HOOK)));
        let (sign, sign_tone) = before;
        let taken = MARK + if sign.is_empty() { 0 } else { text::width(sign) + 1 };
        let sign = if sign.is_empty() { String::new() } else { format!(" {}", paint.tone(sign_tone, sign)) };
        let lines = match view.width {
            usize::MAX => vec![text::clean(said)],
            // The last column stays free: a terminal would go on to the next line.
            width => text::wrap(said, width.saturating_sub(taken + 1), width.saturating_sub(taken + 1)),
        };
        let lines: Vec<String> = lines.iter().map(|line| paint.tone(tone, line)).collect();
        format!("{mark}{sign} {}", lines.join(&format!("\n{}", " ".repeat(taken))))
    }

    fn log_line(&self, line: &LogLine<'_>, view: &View) -> String {
        let tone = match line.level {
            "error" => Tone::Bad,
            "warn" => Tone::Warn,
            "debug" | "trace" => Tone::Dim,
            _ => Tone::Plain,
        };
        match &line.what {
            Heard::Guest { hook, text } => self.line((line.time, hook), ("│", Tone::Dim), (text, tone), view),
            Heard::Ended { hook, took, how } => {
                let (mark, tone) = match line.level {
                    "error" => ("✗", Tone::Bad),
                    _ => ("✓", Tone::Good),
                };
                let said = self.line((line.time, hook), (mark, tone), (how, Tone::Plain), view);
                format!("{said} {}", view.paint.dim(took))
            }
            Heard::Koid(text) => self.line((line.time, "koid"), ("", tone), (text, tone), view),
        }
    }

    /// Notes how it is. What is to be said of it: that its handler's status has failed, or what it says, if that is something else than
    /// before.
    fn look(&mut self, local: Option<&Local>, view: &View) -> Option<String> {
        let Some(local) = local else {
            self.state = "gone";
            return None;
        };
        let failed = self.new_failure(local);
        let Some(service) = local.node.services.iter().flatten().next() else {
            self.state = "up";
            return None;
        };
        self.state = state(local, service);
        let status = (NO_TIME, "status");
        if let Some(why) = failed {
            return Some(self.line(status, ("✗", Tone::Bad), (&why, Tone::Bad), view));
        }
        let is_settled = matches!(service.state, ServiceState::Started | ServiceState::Promoted);
        if !is_settled || service.status_hash.is_none() || service.hook.is_some() {
            return None;
        }
        let said = said(service);
        let is_new = self.said.takes(&said, Instant::now().into_std());
        is_new.then(|| self.line(status, ("=", Tone::Dim), (&said, Tone::Plain), view))
    }

    /// Why its handler's status has failed since the last look: koid moves the master for it, and its log has no line of a status.
    fn new_failure(&mut self, local: &Local) -> Option<String> {
        let failure =
            local.node.last_failure.as_ref().filter(|failure| failure.hook == Hook::Status.as_str())?;
        self.failed.takes(&failure.message, failure.ago_ms).then(|| failure.message.clone())
    }
}

/// What a node is to the handler, in a word.
fn state(local: &Local, service: &ServiceStatus) -> &'static str {
    match (&local.node.state, &service.state) {
        (NodeState::Failed, _) | (_, ServiceState::Failed | ServiceState::Failing) => "failed",
        (_, ServiceState::Promoted) => "promoted",
        (_, ServiceState::Started) => "standby",
        (_, ServiceState::Stopped) => "stopped",
        _ => "…",
    }
}

/// What the handler's process is not kept from here, if anything.
fn containment(local: &Local) -> Option<&str> {
    let services = local.node.services.as_deref().unwrap_or_default();
    let details = services.iter().flat_map(|service| &service.details);
    details.into_iter().find(|(key, _)| key == CONTAINMENT).map(|(_, lack)| lack.as_str())
}

/// `runs · score 10 · lag 3`.
fn said(service: &ServiceStatus) -> String {
    let own = service.details.iter().filter(|(key, _)| key != CONTAINMENT);
    let details = own.map(|(key, value)| format!("{key} {value}"));
    let score = service.score.map(|score| format!("score {score}"));
    service.message.iter().cloned().chain(score).chain(details).collect::<Vec<_>>().join(" · ")
}

/// A file that grows.
struct Tail {
    path: PathBuf,
    read_bytes: u64,
    partial: Vec<u8>,
}

impl Tail {
    /// The whole lines that have come since the last time.
    fn news(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        if file.seek(SeekFrom::Start(self.read_bytes)).is_err() {
            return Vec::new();
        }
        let read = file.take(READ_BYTES).read_to_end(&mut self.partial).unwrap_or_default();
        self.read_bytes += read as u64;
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.partial.drain(..whole).collect();
        String::from_utf8_lossy(&lines).lines().map(str::to_owned).collect()
    }
}
