//! What goes on while the nodes run: what is changed is built, run and tested.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::project::Project;
use super::project::watch::{Changes, Watch};
use super::round::{RoundEnd, Rounds, Task, run_tests};
use super::show::screen::Screen;
use crate::cli::Dev;
use crate::error::CommandError;
use crate::local_cluster::cluster::Cluster;
use crate::render::layout::Tone;

/// What goes on beside the nodes: rounds and tests, one of each at a time.
pub(super) struct Session {
    screen: Screen,
    watch: Watch,
    /// None: one is under way.
    rounds: Option<Rounds>,
    under_way: JoinSet<(Rounds, RoundEnd)>,
    /// What is being done.
    current: Option<Task>,
    /// Says that the round under way is to stop.
    stop: watch::Sender<bool>,
    is_building: Arc<AtomicBool>,
    was_building: bool,
    /// What is to be done next.
    next: Option<Task>,
    tests: JoinSet<()>,
    stop_tests: watch::Sender<bool>,
}

impl Session {
    pub(super) fn new(cluster: &Cluster, project: Project, args: &Dev, screen: &Screen) -> Session {
        let watch = Watch::begin(&project, args.service.as_deref());
        let rounds = Rounds::new(args, project, cluster, screen.clone());
        Session {
            screen: screen.clone(),
            watch,
            is_building: rounds.is_building(),
            rounds: Some(rounds),
            under_way: JoinSet::new(),
            current: None,
            stop: watch::Sender::new(false),
            was_building: false,
            next: None,
            tests: JoinSet::new(),
            stop_tests: watch::Sender::new(false),
        }
    }

    /// Begins a round, now or after the one that is under way.
    pub(super) fn begin(&mut self, task: Task) {
        let Some(mut rounds) = self.rounds.take() else {
            self.next = Some(task);
            return;
        };
        if task.makes_component() {
            // They would read the file that is being written.
            self.stop_tests.send_replace(true);
        }
        self.stop = watch::Sender::new(false);
        let stop = self.stop.subscribe();
        self.current = Some(task.clone());
        self.under_way.spawn(async move {
            let end = rounds.run(&task, stop).await;
            (rounds, end)
        });
    }

    /// Begins a round at once: the one that is under way is stopped. What was to be built is built all the same.
    pub(super) fn begin_anew(&mut self, task: Task) {
        let builds = [&self.current, &self.next].into_iter().flatten().any(Task::makes_component);
        self.stop.send_replace(true);
        self.begin(if builds { Task::Build } else { task });
    }

    /// Begins a round unless one is under way.
    pub(super) fn ask(&mut self, task: Task) {
        match self.rounds {
            Some(_) => self.begin(task),
            None => self.screen.say(Tone::Warn, "something else is under way"),
        }
    }

    /// Runs the tests, if there is something to test.
    pub(super) fn test(&mut self) {
        let Some(rounds) = &self.rounds else { return };
        self.stop_tests.send_replace(true);
        self.stop_tests = watch::Sender::new(false);
        self.tests.spawn(run_tests(rounds.tester(), self.stop_tests.subscribe()));
    }

    /// Returns when a round or tests have ended, and has begun what comes then.
    pub(super) async fn went_on(&mut self) -> Result<(), CommandError> {
        tokio::select! {
            Some(ended) = self.under_way.join_next() => {
                // It has taken with it what the next one would need.
                let broke_off = |error| CommandError::local(format!("a round broke off: {error}"), "");
                let (rounds, end) = ended.map_err(broke_off)?;
                self.rounds = Some(rounds);
                self.current = None;
                match (self.next.take(), end) {
                    (Some(next), _) => self.begin(next),
                    (None, RoundEnd::Usable) => self.test(),
                    (None, RoundEnd::Nothing | RoundEnd::Stopped) => {}
                }
            }
            Some(_) = self.tests.join_next() => {}
            else => std::future::pending().await,
        }
        Ok(())
    }

    /// Looks for changes, and acts on them.
    pub(super) fn look(&mut self) {
        let is_building = self.is_building.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.was_building, is_building) && !is_building {
            // What the build has written at last is its own.
            self.watch.built();
        }
        let Some(changes) = self.watch.look(is_building) else { return };
        self.screen.say(Tone::Head, &format!("{} has changed", changes.shown()));
        match what_for(&changes) {
            None => self.test(),
            Some(task) => self.begin_anew(task),
        }
    }
}

/// What is to be done about changes; none: tests alone are to be run.
fn what_for(changes: &Changes) -> Option<Task> {
    let is_service = |path: &PathBuf| path.is_absolute() && path.ends_with("service.toml");
    match changes {
        changes if changes.are_tests() => None,
        changes if changes.paths.iter().all(is_service) => Some(Task::Take),
        _ => Some(Task::Build),
    }
}
