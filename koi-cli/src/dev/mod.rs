//! `koi plugins dev`: a handler is built and run in three nodes on this machine, again with each change.

mod project;
mod round;
mod show;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::project::Project;
use self::project::watch::{Changes, PERIOD, Watch};
use self::round::{RoundEnd, Rounds, Task, run_tests};
use self::show::follow::{FollowedNodes, follow};
use self::show::keys::{Key, Keys};
use self::show::screen::Screen;
use crate::cli::Dev;
use crate::error::{CommandError, exit};
use crate::local_cluster::cluster::Cluster;
use crate::local_cluster::interrupt::Interrupt;
use crate::local_cluster::restarts::Restarts;
use crate::output::Out;
use crate::render::cluster::verdict;
use crate::render::layout::Tone;

/// How long the nodes may take to end. What they run goes with them, whatever its hooks do.
const STOP_TIME: Duration = Duration::from_secs(5);

/// Builds and runs a handler until Ctrl-C. Nothing is left behind.
pub(crate) async fn dev(args: &Dev, out: Out) -> Result<u8, CommandError> {
    // Before anything is started that would have to be ended.
    let mut interrupt = Interrupt::watch()?;
    let project = Project::find(args)?;
    round::check_service(args)?;
    let mut cluster = Cluster::prepare("dev", false, |_| Ok(()))?;
    cluster.environment = round::ENVIRONMENT.to_vec();
    let screen = Screen::new(out);
    let worked = tokio::select! {
        result = work(&mut cluster, project, args, &screen, out) => result,
        () = interrupt.came() => Ok(exit::WELL),
    };
    screen.end();
    let path = cluster.folder.path().to_owned();
    // Who does not read any more needs no farewell.
    out.line("\nstopping the three nodes …").ok();
    let removed = tokio::select! {
        ended = cluster.end(STOP_TIME) => ended?,
        // Dropping the cluster kills what is left of it.
        () = interrupt.came() => true,
    };
    if removed {
        out.line(&format!("stopped; {} is removed", path.display())).ok();
    }
    worked
}

async fn work(
    cluster: &mut Cluster,
    project: Project,
    args: &Dev,
    screen: &Screen,
    out: Out,
) -> Result<u8, CommandError> {
    let mut keys = Keys::take();
    introduce(cluster, &project, screen);
    let mut session = Session::new(cluster, project, args, screen);
    session.begin(Task::Build);
    cluster.start().await?;
    let mut following = JoinSet::new();
    following.spawn(follow(FollowedNodes::of(&cluster.folder), screen.clone(), out, keys.are_there()));
    let mut restarts = Restarts::default();
    loop {
        tokio::select! {
            () = session.went_on() => {}
            key = keys.next() => match key {
                Key::Quit => return Ok(exit::WELL),
                Key::Kill => kill_master(cluster, screen).await,
                Key::Promote => session.ask(Task::Promote),
                Key::Restart => session.ask(Task::Restart),
                Key::Test => session.test(),
                Key::Rebuild => session.anew(Task::Build),
            },
            () = sleep(PERIOD) => {}
        }
        session.look();
        restarts.revive(cluster).iter().for_each(|said| screen.say(Tone::Warn, said));
        cluster.reap_orphans();
        if let Some(fail) = screen.failed() {
            return Err(fail);
        }
    }
}

fn introduce(cluster: &Cluster, project: &Project, screen: &Screen) {
    let head = format!(
        "koi plugins dev: {} in three nodes on this machine; Ctrl-C ends it",
        project.folder.display()
    );
    screen.say(Tone::Head, &head);
    let status = format!(
        "cd {} && ./koi --socket a.sock status    # in another terminal",
        cluster.folder.path().display()
    );
    screen.say(Tone::Dim, &status);
}

async fn kill_master(cluster: &Cluster, screen: &Screen) {
    let status = cluster.status().await;
    match status.as_ref().and_then(verdict::master) {
        Some(master) => cluster.crash(&master.name),
        None => screen.say(Tone::Warn, "there is no master to kill"),
    }
}

/// What goes on beside the nodes: rounds and tests, one of each at a time.
struct Session {
    screen: Screen,
    watch: Watch,
    /// None: one is under way.
    rounds: Option<Rounds>,
    under_way: JoinSet<(Rounds, RoundEnd)>,
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
    fn new(cluster: &Cluster, project: Project, args: &Dev, screen: &Screen) -> Session {
        let watch = Watch::begin(&project, args.service.as_deref());
        let rounds = Rounds::new(args, project, cluster, screen.clone());
        Session {
            screen: screen.clone(),
            watch,
            is_building: rounds.is_building(),
            rounds: Some(rounds),
            under_way: JoinSet::new(),
            stop: watch::Sender::new(false),
            was_building: false,
            next: None,
            tests: JoinSet::new(),
            stop_tests: watch::Sender::new(false),
        }
    }

    /// Begins a round, now or after the one that is under way.
    fn begin(&mut self, task: Task) {
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
        self.under_way.spawn(async move {
            let end = rounds.run(&task, stop).await;
            (rounds, end)
        });
    }

    /// Begins a round at once: the one that is under way is stopped.
    fn anew(&mut self, task: Task) {
        self.stop.send_replace(true);
        self.begin(task);
    }

    /// Begins a round unless one is under way.
    fn ask(&mut self, task: Task) {
        match self.rounds {
            Some(_) => self.begin(task),
            None => self.screen.say(Tone::Warn, "something else is under way"),
        }
    }

    /// Runs the tests, if there is something to test.
    fn test(&mut self) {
        let Some(rounds) = &self.rounds else { return };
        self.stop_tests.send_replace(true);
        self.stop_tests = watch::Sender::new(false);
        self.tests.spawn(run_tests(rounds.tester(), self.stop_tests.subscribe()));
    }

    /// Returns when a round or tests have ended, and has begun what comes then.
    async fn went_on(&mut self) {
        tokio::select! {
            Some(ended) = self.under_way.join_next() => {
                // A round that broke off has taken with it what the next one would need; it has no reason to.
                let Ok((rounds, end)) = ended else { return };
                self.rounds = Some(rounds);
                match (self.next.take(), end) {
                    (Some(next), _) => self.begin(next),
                    (None, RoundEnd::Usable) => self.test(),
                    (None, RoundEnd::Nothing | RoundEnd::Stopped) => {}
                }
            }
            Some(_) = self.tests.join_next() => {}
            else => std::future::pending().await,
        }
    }

    /// Looks for changes, and acts on them.
    fn look(&mut self) {
        let is_building = self.is_building.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.was_building, is_building) && !is_building {
            // What the build has written at last is its own.
            self.watch.built();
        }
        let Some(changes) = self.watch.look(is_building) else { return };
        self.screen.say(Tone::Head, &format!("{} has changed", changes.shown()));
        match what_for(&changes) {
            None => self.test(),
            Some(task) => self.anew(task),
        }
    }
}

/// What is to be done about changes; none: tests alone are to be run.
fn what_for(changes: &Changes) -> Option<Task> {
    let is_service = |path: &std::path::PathBuf| path.is_absolute() && path.ends_with("service.toml");
    match changes {
        changes if changes.are_tests() => None,
        changes if changes.paths.iter().all(is_service) => Some(Task::Take),
        _ => Some(Task::Build),
    }
}
