//! The demo to look at: on a terminal a page that is redrawn in place, elsewhere what happens, line by line.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::time::Duration;

use koi_proto::api::{Event, EventLevel, Status};

use crate::error::CommandError;
use crate::local_cluster::cluster::Cluster;
use crate::local_cluster::restarts::{self, Restarts};
use crate::output::Out;
use crate::render::cluster::{event, status, tree};
use crate::render::layout::{View, text};

/// Time between two pages.
const PERIOD: Duration = Duration::from_millis(250);
/// Events that are shown below the page.
const EVENTS: usize = 8;
/// Lines below what stands above that are enough for a page; with fewer, what stands above has to go.
const ENOUGH_ROWS: usize = 20;
/// Events that are remembered, and for how long, to show once what every node says.
const REMEMBERED: usize = 64;
const SAME_TIME: Duration = Duration::from_secs(2);
/// Columns before an event's message, without the node's name: time, level, and the spaces between.
const BEFORE_MESSAGE: usize = 24;
/// What only says in other words, or in more detail, what the page shows anyway.
const DETAILS: [&str; 5] = ["hook-started", "hook-ended", "service-found", "service-changed", "lease-gained"];

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Before a line: behind one that fills the whole width it would take the last character.
const CLEAR_LINE: &str = "\x1b[2K";
const CLEAR_REST: &str = "\x1b[J";

/// Starts the nodes and shows them until somebody ends it. A daemon that ends is started again, as systemd would.
pub(crate) async fn live(cluster: &mut Cluster, out: Out) -> Result<u8, CommandError> {
    let introduction = introduction(cluster, &out.view());
    out.write(&introduction)?;
    cluster.environment.push(restarts::NAMED);
    cluster.start().await?;
    let mut show = DemoScreen::new(out, introduction.lines().count())?;
    let mut feed = Feed::default();
    let mut restarts = Restarts::default();
    loop {
        let said = restarts.revive(cluster);
        let status = cluster.status().await;
        let events = feed.news(cluster).await;
        show.update(status.as_ref(), said, events)?;
        cluster.pause().await;
        tokio::time::sleep(PERIOD).await;
    }
}

/// What there is to try.
fn introduction(cluster: &Cluster, view: &View) -> String {
    let folder = cluster.folder.path().display();
    let head = "koi demo: three nodes on this machine; Ctrl-C ends it and leaves nothing behind";
    let mut page = format!("{}\n\n", view.paint.head(head));
    let cd = format!("cd {folder}");
    let commands = [
        (cd.as_str(), "in another terminal; then try:"),
        ("./koi --socket a.sock status", "also: tree, local, failures, events; any node answers"),
        ("./koi --socket a.sock promote c", "make c the master; first see what --dry-run says"),
        ("touch b/broken", "b's database fails; to mend it: rm b/broken"),
        ("./koi --socket b.sock recover", "forget b's failure now, not after 10 s"),
        ("./koi --socket a.sock drill switch-over", "also: drill daemon-crash, drill service-failure"),
        ("kill -9 $(cat b.pid)", "b's koid crashes; it is started again after 5 s"),
        ("./koi --socket a.sock maintenance on", "nothing runs, nothing moves, until `off`"),
        ("tail -f a.log hooks.log", "what a says; what all hooks do"),
    ];
    for (command, what) in commands {
        page.push_str(&format!("  {command:<37} {}\n", view.paint.dim(&format!("# {what}"))));
    }
    page + "\n"
}

/// The events of all nodes, each once.
#[derive(Default)]
struct Feed {
    /// For each node: the run of its daemon, and the number of its next event.
    next: [(u32, u64); 3],
}

impl Feed {
    /// What has happened since the last time, in order of time.
    async fn news(&mut self, cluster: &Cluster) -> Vec<Event> {
        let mut news = Vec::new();
        for (node, (run, next)) in cluster.nodes.iter().zip(&mut self.next) {
            if *run != node.run {
                (*run, *next) = (node.run, 0);
            }
            // A node that does not answer has its say when it does.
            let events = node.events(*next).await.unwrap_or_default();
            *next = events.last().map_or(*next, |event| event.number + 1);
            news.extend(events);
        }
        news.sort_by_key(|event| event.at_ms);
        news
    }
}

/// Where it is shown; a terminal is left with its cursor.
struct DemoScreen {
    out: Out,
    in_place: bool,
    /// Lines that stand above the page, and should stay.
    above: usize,
    /// Lines of the page that stands there.
    drawn: usize,
    shown_once: bool,
    /// The newest events, as they are shown.
    last: Vec<String>,
    recent: RecentEvents,
}

impl DemoScreen {
    fn new(out: Out, above: usize) -> Result<DemoScreen, CommandError> {
        let in_place = io::stdout().is_terminal() && !out.is_json();
        if in_place {
            out.write(HIDE_CURSOR)?;
        }
        let recent = RecentEvents::default();
        Ok(DemoScreen { out, in_place, above, drawn: 0, shown_once: false, last: Vec::new(), recent })
    }

    fn update(
        &mut self,
        status: Option<&Status>,
        said: Vec<String>,
        events: Vec<Event>,
    ) -> Result<(), CommandError> {
        let view = self.out.view();
        let said = said.iter().map(|line| format!("{}\n", view.paint.warn(&text::cut(line, view.width))));
        if !self.in_place {
            if let Some(status) = status.filter(|status| status.cluster.healthy && !self.shown_once) {
                self.shown_once = true;
                return self.out.write(&(said.collect::<String>() + &status::status(status, &view) + "\n"));
            }
            // How it all began is in the nodes' logs; what goes wrong meanwhile is said.
            let events = events.iter().filter(|news| self.shown_once || news.level != EventLevel::Info);
            let events: String = events.map(|news| event::event(news, &view)).collect();
            return self.out.write(&(said.collect::<String>() + &events));
        }
        let detail = |news: &Event| news.level == EventLevel::Info && DETAILS.contains(&news.kind.as_str());
        let wanted = |news: &&Event| !detail(news) && self.recent.is_new(news);
        let events = events.iter().filter(wanted);
        self.last.extend(said.chain(events.map(|news| one_line(news, &view))));
        self.last.drain(..self.last.len().saturating_sub(EVENTS));
        let rows = terminal_size::terminal_size_of(io::stdout()).map_or(24, |(_, rows)| usize::from(rows.0));
        let page = page(status, &self.last, Rows { rows: rows.saturating_sub(1), above: self.above }, &view);
        let frame = frame(&page, self.drawn);
        self.drawn = page.len();
        self.out.write(&frame)
    }
}

impl Drop for DemoScreen {
    fn drop(&mut self) {
        if self.in_place {
            // A terminal that has gone needs no restoring.
            let _ = self.out.write(SHOW_CURSOR);
        }
    }
}

/// An event in one line that is not wrapped.
fn one_line(news: &Event, view: &View) -> String {
    let before = BEFORE_MESSAGE + text::width(&news.node);
    let message = text::cut(&news.message, view.width.saturating_sub(before));
    event::event(&Event { message, service: None, ..news.clone() }, view)
}

/// What was said of late, and by whom: every node says who leads and who is master.
#[derive(Default)]
struct RecentEvents(VecDeque<Event>);

impl RecentEvents {
    /// Whether no other node has just said the same.
    fn is_new(&mut self, news: &Event) -> bool {
        let same = |old: &Event| {
            old.message == news.message
                && old.node != news.node
                && news.at_ms.abs_diff(old.at_ms) < SAME_TIME.as_millis() as u64
        };
        let new = !self.0.iter().any(same);
        self.0.push_back(news.clone());
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
        new
    }
}

/// The room on a terminal.
#[derive(Clone, Copy)]
struct Rows {
    /// Lines that fit at all.
    rows: usize,
    /// Lines above the page that should stay, if they can.
    above: usize,
}

/// The lines of a page that fit: first the status, then the tree, then the last events.
fn page(status: Option<&Status>, events: &[String], room: Rows, view: &View) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let Some(status) = status else { return lines("no node answers") };
    let rows = match room.rows.saturating_sub(room.above) {
        left @ ENOUGH_ROWS.. => left,
        _ => room.rows,
    };
    let mut page = lines(&status::status(status, view));
    page.truncate(rows);
    // Its first line says what the status says.
    let tree = lines(&tree::tree(status, view)).split_off(1);
    if page.len() + 1 + tree.len() <= rows {
        page.push(String::new());
        page.extend(tree);
    }
    let left = rows.saturating_sub(page.len() + 1);
    if left > 0 && !events.is_empty() {
        page.push(String::new());
        page.extend(
            events[events.len().saturating_sub(left)..].iter().map(|line| line.trim_end().to_owned()),
        );
    }
    page
}

/// A page, drawn over one of so many lines.
fn frame(page: &[String], drawn: usize) -> String {
    let mut frame = if drawn > 0 { format!("\x1b[{drawn}A\r") } else { String::new() };
    for line in page {
        frame.push_str(&format!("{CLEAR_LINE}{line}\n"));
    }
    frame + CLEAR_REST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::layout::Paint;

    const PLAIN: View = View { width: 80, paint: Paint(false) };

    #[test]
    fn a_small_terminal_has_the_status_first_and_the_newest_events_last() {
        let events: Vec<String> = (0..8).map(|n| format!("event {n}\n")).collect();
        let whole = page(Some(&Status::default()), &events, Rows { rows: 40, above: 0 }, &PLAIN);
        assert!(whole.iter().any(|line| line == "event 0"), "{whole:?}");
        for rows in 1..whole.len() {
            let page = page(Some(&Status::default()), &events, Rows { rows, above: 5 }, &PLAIN);
            assert!(page.len() <= rows, "{rows}: {page:?}");
            assert!(page[0].starts_with("cluster 0: NO LEADER"), "{page:?}");
            assert!(page.iter().all(|line| line != "event 0"), "the oldest goes first");
        }
    }

    #[test]
    fn what_every_node_says_is_shown_once() {
        let says = |node: &str, at_ms: u64| Event {
            node: node.to_owned(),
            at_ms,
            message: "a leads in term 1".to_owned(),
            ..Event::default()
        };
        let mut recent = RecentEvents::default();
        assert!(recent.is_new(&says("b", 1_000)));
        assert!(!recent.is_new(&says("c", 1_040)));
        assert!(recent.is_new(&says("c", 9_000)), "it happened again");
    }

    #[test]
    fn a_page_is_drawn_over_the_one_before() {
        assert_eq!(frame(&["x".to_owned()], 0), "\x1b[2Kx\n\x1b[J");
        assert_eq!(frame(&["x".to_owned()], 7), "\x1b[7A\r\x1b[2Kx\n\x1b[J");
    }
}
