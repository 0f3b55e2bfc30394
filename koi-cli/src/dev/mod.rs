//! `koi plugins dev`: a handler is built and run in three nodes on this machine, again with each change.

mod project;
mod round;
mod session;
mod show;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use self::project::Project;
use self::project::watch::PERIOD;
use self::round::Task;
use self::session::Session;
use self::show::follow::{FollowedNodes, follow};
use self::show::keys::{Key, Keys};
use self::show::screen::Screen;
use crate::cli::Dev;
use crate::error::{CommandError, exit};
use crate::local_cluster::cluster::Cluster;
use crate::local_cluster::interrupt::Interrupt;
use crate::local_cluster::restarts::{self, Restarts};
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
    let args = &with_own_service(args, &project);
    round::check_service(args)?;
    let mut cluster = Cluster::prepare("dev", false, |_| Ok(()))?;
    cluster.environment = round::environment(args.optimized);
    cluster.environment.push(restarts::NAMED);
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

/// With the service that lies in the handler's folder, unless the command line says what is granted.
fn with_own_service(args: &Dev, project: &Project) -> Dev {
    let mut args = args.clone();
    if args.service.is_none() && !args.dangerous {
        args.service = project.service();
    }
    args
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
            went = session.went_on() => went?,
            key = keys.next() => match key {
                Key::Quit => return Ok(exit::WELL),
                Key::Kill => kill_master(cluster, screen).await,
                Key::Promote => session.ask(Task::Promote),
                Key::Restart => session.ask(Task::Restart),
                Key::Test => session.test(),
                Key::Rebuild => session.begin_anew(Task::Build),
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
