//! One round: a component is built, looked at, brought into the cluster and run; then its tests are.

mod candidate;
mod component;
mod deploy;
mod error;
mod service;
mod tests;
mod tool;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};

use self::component::Inspector;
pub(super) use self::component::environment;
use self::deploy::{DeployError, Deployment, Running};
use self::error::RoundError;
use self::service::ServiceSource;
pub(super) use self::tests::run as run_tests;
pub(super) use self::tool::Stop;
use self::tool::ToolEnd;
use super::project::{Build, Project};
use super::show::follow;
use super::show::screen::Screen;
use super::show::took;
use crate::cli::Dev;
use crate::error::CommandError;
use crate::local_cluster::cluster::Cluster;
use crate::render::layout::Tone;

/// The variables by which compilers are told that their output is for a terminal, though they write to a pipe.
const COLORS: [(&str, &str); 3] =
    [("CARGO_TERM_COLOR", "always"), ("CLICOLOR_FORCE", "1"), ("FORCE_COLOR", "1")];

/// After how long it is said what takes so long.
const LONG: Duration = Duration::from_secs(1);

/// What lies in a service's folder.
const HANDLER: &str = "handler.wasm";
const MANIFEST: &str = "service.toml";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Build it, if it is built here, and run what came of it.
    Build,
    /// Run what is there, with the service as it is now.
    Take,
    /// Run the service's hooks again.
    Restart,
    /// Make the next node the master.
    Promote,
}

impl Task {
    /// Whether the component's file is written.
    pub(super) fn makes_component(&self) -> bool {
        match self {
            Task::Build => true,
            Task::Take | Task::Restart | Task::Promote => false,
        }
    }
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// There is a component, and it may be tested.
    Usable,
    /// There is nothing to test.
    Nothing,
    /// A newer round is wanted.
    Stopped,
}

/// Does one round after the other.
pub(super) struct Rounds {
    project: Project,
    source: ServiceSource,
    inspector: Inspector,
    deployment: Deployment,
    screen: Screen,
    /// Where the service is put together.
    staged: PathBuf,
    restarts: bool,
    takes_dangerous: bool,
    /// What was said of the component last.
    said: Option<String>,
    /// What the component would want with keys of `[config]` that are not set, a line each.
    unset: Vec<String>,
    /// The newest version runs as it should.
    runs_well: bool,
    /// `service.toml` as it runs.
    service_toml: String,
    /// Hashes of what was compiled here, and nowhere before.
    compiled_here: Vec<String>,
    is_building: Arc<AtomicBool>,
}

/// Whether the service that is named can be used, before anything is started for it.
pub(super) fn check_service(args: &Dev) -> Result<(), CommandError> {
    let hint = "mend it, or name the folder of another one with --service";
    ServiceSource::new(args).text().map(drop).map_err(|error| CommandError::usage(error.to_string(), hint))
}

impl Rounds {
    pub(super) fn new(args: &Dev, project: Project, cluster: &Cluster, screen: Screen) -> Rounds {
        let folder = &cluster.folder;
        Rounds {
            project,
            source: ServiceSource::new(args),
            inspector: Inspector::new(cluster.koid().to_owned(), folder.path(), args.optimized),
            deployment: Deployment::new(folder),
            screen,
            staged: folder.path().join("service"),
            restarts: !args.no_restart,
            takes_dangerous: args.dangerous,
            said: None,
            unset: Vec::new(),
            runs_well: false,
            service_toml: String::new(),
            compiled_here: Vec::new(),
            is_building: Arc::default(),
        }
    }

    /// Whether a build is under way, as it changes.
    pub(super) fn is_building(&self) -> Arc<AtomicBool> {
        self.is_building.clone()
    }

    /// What runs the tests of the handler.
    pub(super) fn tester(&self) -> tests::Tester {
        tests::Tester {
            project: self.project.clone(),
            inspector: self.inspector.clone(),
            screen: self.screen.clone(),
        }
    }

    /// Does what is to be done, and says what came of it.
    pub(super) async fn run(&mut self, task: &Task, mut stop: Stop) -> RoundEnd {
        let stop = &mut stop;
        match task {
            Task::Build => {
                self.is_building.store(true, Ordering::Relaxed);
                let built = self.build(stop).await;
                self.is_building.store(false, Ordering::Relaxed);
                if let Err(error) = built {
                    return self.no_component(&error, "the build failed");
                }
                self.take(stop).await
            }
            Task::Take => self.take(stop).await,
            Task::Restart => self.restart(stop).await,
            Task::Promote => self.promote(stop).await,
        }
    }

    async fn build(&self, stop: &mut Stop) -> Result<(), RoundError> {
        let mut command = match &self.project.build {
            Build::Program(program) => Command::new(program),
            Build::Command(line) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(line);
                shell
            }
            Build::Elsewhere => return Ok(()),
        };
        let shown = self.project.build.shown();
        self.screen.say(Tone::Dim, &format!("building: {shown}"));
        let began = Instant::now();
        command.current_dir(&self.project.folder);
        if self.screen.has_color() {
            command.envs(COLORS);
        }
        let ended = tool::run(command, stop, |line| self.screen.raw(&format!("  {line}"))).await;
        match ended.map_err(|source| RoundError::Build { command: shown, source })? {
            ToolEnd::Stopped => Err(RoundError::Stopped),
            ToolEnd::Exited(status) if !status.success() => Err(RoundError::BuildFailed(status)),
            ToolEnd::Exited(_) if !self.project.component.is_file() => {
                Err(RoundError::NotMade(self.project.component.clone()))
            }
            ToolEnd::Exited(_) => {
                self.screen.say(Tone::Good, &format!("✓ built in {}", took(began.elapsed())));
                Ok(())
            }
        }
    }

    /// Looks at the component and brings it into the cluster.
    async fn take(&mut self, stop: &mut Stop) -> RoundEnd {
        let began = Instant::now();
        let screen = self.screen.clone();
        let looked = tokio::select! {
            looked = self.look(stop) => looked,
            never = say_that_it_takes_long(&screen) => match never {},
        };
        let (detail, wanted) = match looked {
            Ok(found) => found,
            Err(error) => return self.no_component(&error, "refused"),
        };
        let is_same = self.deployment.has(&wanted.hash) && self.service_toml == wanted.service_toml;
        if is_same && self.runs_well {
            self.screen.say(Tone::Dim, "the component is the same as before: it goes on");
            return RoundEnd::Usable;
        }
        let compiled = self.inspector.compiled();
        let was_there = self.deployment.has_begun();
        let name = format!("10-{}", detail.plugin.name);
        let mut result = self.deployment.take(&name, &wanted, &compiled, stop).await;
        self.service_toml.clone_from(&wanted.service_toml);
        let mut restarts = self.restarts || !self.runs_well;
        if let (Err(DeployError::NotTaken { .. }), true) = (&result, was_there) {
            // What runs is taken down by the handler that has started it: then the new one is taken.
            result = match self.deployment.stop(stop).await {
                Ok(()) => self.deployment.take(&name, &wanted, &compiled, stop).await,
                Err(error) => Err(error),
            };
            restarts = true;
        }
        let running = match result {
            Err(error) => Err(error),
            Ok(()) if restarts => self.bring_up(&wanted.hash, was_there, stop).await,
            Ok(()) => self.deployment.settled(&wanted.hash, stop).await,
        };
        self.runs_well = running.is_ok();
        let end = self.report(running, began).await;
        self.deployment.tidy(&compiled, &self.compiled_here);
        end
    }

    /// Runs the hooks of the version that is there: down and up again.
    async fn bring_up(
        &mut self,
        hash: &str,
        was_there: bool,
        stop: &mut Stop,
    ) -> Result<Running, DeployError> {
        if was_there {
            self.deployment.recover().await?;
            self.deployment.stop(stop).await?;
        }
        self.deployment.start(hash, stop).await
    }

    async fn restart(&mut self, stop: &mut Stop) -> RoundEnd {
        let Some(hash) = self.deployment.newest() else { return self.nothing_runs() };
        let began = Instant::now();
        self.screen.say(Tone::Dim, "taking it down everywhere, and up again");
        let running = self.bring_up(&hash, true, stop).await;
        self.runs_well = running.is_ok();
        self.report(running, began).await;
        RoundEnd::Nothing
    }

    async fn promote(&mut self, stop: &mut Stop) -> RoundEnd {
        if self.deployment.newest().is_none() {
            return self.nothing_runs();
        }
        let began = Instant::now();
        let next = self.deployment.next_master().await;
        self.screen.say(Tone::Dim, &format!("promoting {next}"));
        let running = self.deployment.promote(&next, stop).await;
        self.report(running, began).await;
        RoundEnd::Nothing
    }

    fn nothing_runs(&self) -> RoundEnd {
        self.screen.say(Tone::Warn, "nothing runs yet");
        RoundEnd::Nothing
    }

    async fn report(&self, running: Result<Running, DeployError>, began: Instant) -> RoundEnd {
        let time = took(began.elapsed());
        // What hooks have said of it is to stand above.
        sleep(2 * follow::PERIOD).await;
        match running {
            Ok(Running { master, standbys }) => {
                let words = format!(
                    "✓ running after {time}: promoted on {master}, standby on {}",
                    standbys.join(" and ")
                );
                self.screen.say(Tone::Good, &words);
            }
            Err(DeployError::Stopped) => return RoundEnd::Stopped,
            Err(error) => self.screen.say(Tone::Bad, &format!("✗ it does not run well: {error}")),
        }
        RoundEnd::Usable
    }

    /// Says why there is nothing new to run.
    fn no_component(&self, error: &RoundError, what: &str) -> RoundEnd {
        if matches!(error, RoundError::Stopped) {
            return RoundEnd::Stopped;
        }
        let goes_on = if self.deployment.newest().is_some() { "; the version before goes on" } else { "" };
        let text = error.to_string();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        self.screen.say(Tone::Bad, &format!("✗ {what}: {first}{goes_on}"));
        lines.for_each(|line| self.screen.say(Tone::Plain, &format!("    {line}")));
        if matches!(error, RoundError::Inspect(_)) && self.source.folder.is_none() {
            if !self.unset.is_empty() {
                self.screen.say(
                    Tone::Plain,
                    "    --config KEY=VALUE sets keys of [config], KEY=@FILE secrets, and grants what is wanted then:",
                );
            }
            self.unset.iter().for_each(|line| self.screen.say(Tone::Plain, &format!("      {line}")));
        }
        RoundEnd::Nothing
    }
}

/// Says after a moment why nothing seems to happen.
async fn say_that_it_takes_long(screen: &Screen) -> Infallible {
    sleep(LONG).await;
    screen.say(
        Tone::Dim,
        "compiling: a component with an interpreter in it takes its time, once for each version",
    );
    std::future::pending().await
}
