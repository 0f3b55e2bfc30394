//! What systemd is told. Without systemd all of it is nothing.

use std::time::Duration;

use koi_core::view::View;
use sd_notify::NotifyState;

use super::{say, waiting};

/// How often the state line is brought up to date, unless the watchdog wants it more often.
const EVERY: Duration = Duration::from_secs(2);

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd cannot be told: {error}");
    }
}

/// The sockets are open.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// What the start waits for.
pub(crate) fn waiting(text: &str) {
    tell(&[NotifyState::Status(&format!("not started yet: {text}"))]);
}

/// The configuration is being read again; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The daemon is ending.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// The cluster loop answers, and this is how things are.
pub(crate) fn alive(view: &View) {
    // systemd reads a variable from each line.
    tell(&[NotifyState::Watchdog, NotifyState::Status(&say::one_line(&line(view)))]);
}

/// How often [`alive`] is to be said: twice within `WatchdogSec`.
pub(crate) fn interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(EVERY, |within| (within / 2).min(EVERY))
}

/// How things are, in one line.
pub(crate) fn line(view: &View) -> String {
    let name = |id| view.nodes.iter().find(|n| n.id == id).map_or("?", |n| n.name.as_str());
    let own = view.nodes.iter().find(|n| n.id == view.id).map_or("starting", |n| n.state.as_str());
    let leader = match view.leader {
        Some(id) if id == view.id => "leads".to_owned(),
        Some(id) => format!("{} leads", name(id)),
        None => "no leader".to_owned(),
    };
    let master =
        view.record.main.master.as_ref().map_or("no master".to_owned(), |m| format!("{} is master", m.name));
    let others = view.groups.iter().map(|group| {
        let master = view.record.group(&group.name).master.as_ref();
        master.map_or_else(
            || format!("; {}: no master", group.name),
            |m| format!("; {}: {} is master", group.name, m.name),
        )
    });
    let others: String = others.collect();
    let waiting_for =
        view.waiting.first().map(|w| format!("; waiting: {}", waiting::sentence(w))).unwrap_or_default();
    format!("{own}; {leader}; {master}{others}{waiting_for}")
}
