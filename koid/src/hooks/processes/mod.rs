//! The processes that services run in, as their handlers name them: koid learns at once when one ends, and has `status` say what that means.
//!
//! A process is watched by a handle, never by its number: a number is given to another process one day. Nothing is done to what is watched.

mod named;
mod pidfile;
mod problem;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use koi_child::ProcessWatch;
use koi_plugin_api::for_people;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

pub(crate) use self::named::Naming;
use self::named::{Looked, Standing};
use self::problem::ProcessProblem;

/// Characters of a problem, as it is logged and shown.
const PROBLEM_CHARS: usize = 600;
/// A look that takes longer hangs.
const HANGS: Duration = Duration::from_secs(1);
/// How long an ended process may take to be reaped until the core is told all the same, and how long until that is no news any more.
const REAPED_AT_ONCE: Duration = Duration::from_millis(10);
const REAPED_LATE: Duration = Duration::from_secs(10);
/// Ends of which the core has not been told yet. Whoever has more to tell waits.
const UNTOLD: usize = 64;

/// What is watched of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The ids of the processes whose end is known at once.
    pub(crate) ids: Vec<u32>,
    /// Why one that was named is not watched: what, where, and what to do.
    pub(crate) problem: Option<String>,
}

/// The processes that are watched, of all services. Clones share them. Must be used within a tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct Processes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Is told of a service whose process has ended.
    ended: mpsc::Sender<String>,
    services: Mutex<HashMap<String, ServiceProcesses>>,
}

/// Of one service.
#[derive(Debug, Default)]
struct ServiceProcesses {
    watches: Vec<Watch>,
    /// Those of the newest names that have ended: named again they are no news.
    ended: Vec<ProcessIdentity>,
    problem: Option<String>,
    /// Since when a thread looks at names. It may hang with the disk that a pidfile lies on.
    looks: Option<Instant>,
    /// What was named meanwhile.
    next: Option<Naming>,
    /// Grows when all that was named is void.
    era: u64,
}

#[derive(Debug)]
struct Watch {
    process: ProcessIdentity,
    /// None: it has ended, and whoever waited goes on.
    waits: Option<AbortHandle>,
}

/// A process, and no other that has its number before or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProcessIdentity {
    id: i32,
    /// In ticks since the machine was started; none: it was gone before it was seen.
    started: Option<u64>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(waits) = self.waits.take() {
            waits.abort();
        }
    }
}

impl Processes {
    /// None is watched yet. The receiver gets the name of a service whenever a process of it has ended.
    pub(crate) fn new() -> (Processes, mpsc::Receiver<String>) {
        let (ended, ends) = mpsc::channel(UNTOLD);
        (Processes(Arc::new(Shared { ended, services: Mutex::default() })), ends)
    }

    /// `service` runs in these processes now, says a hook that has just ended well. What it named before is watched no more.
    pub(crate) fn named(&self, service: &str, naming: Naming) {
        if naming.is_empty() {
            return;
        }
        let mut services = self.lock();
        let known = services.entry(service.to_owned()).or_default();
        if let Some(since) = known.looks {
            if since.elapsed() >= HANGS {
                known.note(service, Some(ProcessProblem::Hangs { place: naming.first_place() }));
            }
            known.next = Some(naming);
            return;
        }
        known.looks = Some(Instant::now());
        tokio::spawn(self.clone().look(service.to_owned(), naming));
    }

    /// What `service` has named does not hold any more: it goes down, or begins anew.
    pub(crate) fn forget(&self, service: &str) {
        let mut services = self.lock();
        let Some(known) = services.get_mut(service) else { return };
        if known.looks.is_some() {
            let (looks, era) = (known.looks, known.era + 1);
            *known = ServiceProcesses { looks, era, ..ServiceProcesses::default() };
        } else {
            services.remove(service);
        }
    }

    /// Lets go of what other services have named.
    pub(crate) fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        self.lock().retain(|service, known| known.looks.is_some() || is_there(service));
    }

    /// What is watched of `service`.
    pub(crate) fn for_service(&self, service: &str) -> Watched {
        let services = self.lock();
        let Some(known) = services.get(service) else { return Watched::default() };
        let ids = known.watches.iter().filter_map(|watch| u32::try_from(watch.process.id).ok());
        Watched { ids: ids.collect(), problem: known.problem.clone() }
    }

    /// Looks at what was named, and at what was named meanwhile.
    async fn look(self, service: String, mut naming: Naming) {
        loop {
            let (era, standing) = {
                let services = self.lock();
                let known = services.get(&service);
                (
                    known.map_or(0, |known| known.era),
                    known.map(ServiceProcesses::standing).unwrap_or_default(),
                )
            };
            // A pidfile may lie on a disk that hangs.
            let looked = tokio::task::spawn_blocking(move || naming.look(&standing)).await;
            match self.take(&service, era, looked.unwrap_or_default()) {
                Next::Nothing => return,
                Next::Tell => return self.tell(&service).await,
                Next::Look(next) => naming = next,
            }
        }
    }

    fn take(&self, service: &str, era: u64, looked: Looked) -> Next {
        let mut services = self.lock();
        let Some(known) = services.get_mut(service) else { return Next::Nothing };
        known.looks = None;
        if let Some(next) = known.next.take() {
            known.looks = Some(Instant::now());
            return Next::Look(next);
        }
        if known.era != era {
            return Next::Nothing;
        }
        let Looked { kept, found, gone, problem } = looked;
        known.note(service, problem);
        known.watches.retain(|watch| kept.contains(&watch.process.id));
        let is_named = |ended: &ProcessIdentity| kept.contains(&ended.id) || gone.contains(&ended.id);
        known.ended.retain(|ended| is_named(ended) || found.iter().any(|watch| watch.seen().id == ended.id));
        for watch in found {
            let process = ProcessIdentity::of(&watch);
            let waits = tokio::spawn(self.clone().wait(service.to_owned(), process, watch)).abort_handle();
            known.watches.push(Watch { process, waits: Some(waits) });
        }
        // Gone between its name and the look at it: that is an end like any other, and once.
        let news: Vec<i32> = gone.into_iter().filter(|id| !known.has_ended(*id)).collect();
        known.ended.extend(news.iter().map(|id| ProcessIdentity { id: *id, started: None }));
        if news.is_empty() { Next::Nothing } else { Next::Tell }
    }

    /// Waits for the end of one.
    async fn wait(self, service: String, process: ProcessIdentity, watch: ProcessWatch) {
        if watch.ended().await.is_err() {
            return;
        }
        let is_watched = {
            let mut services = self.lock();
            services.get_mut(&service).is_some_and(|known| known.end(process))
        };
        if !is_watched {
            return;
        }
        tracing::info!(service, "process {} has ended", process.id);
        if !watch.reaped(REAPED_AT_ONCE).await {
            self.tell(&service).await;
            // A `status` that only asks whether the number is there takes a zombie for a process.
            if !watch.reaped(REAPED_LATE).await {
                return;
            }
        }
        self.tell(&service).await;
    }

    async fn tell(&self, service: &str) {
        // Nobody is left to be told: the daemon ends.
        let _ = self.0.ended.send(service.to_owned()).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ServiceProcesses>> {
        // It is whole at any moment.
        self.0.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What follows from a look.
enum Next {
    Nothing,
    /// A process has ended.
    Tell,
    /// Others were named meanwhile.
    Look(Naming),
}

impl ServiceProcesses {
    fn standing(&self) -> Standing {
        let watched = self.watches.iter().map(|watch| watch.process.id).collect();
        Standing { watched, ended: self.ended.clone() }
    }

    fn has_ended(&self, id: i32) -> bool {
        self.ended.iter().any(|ended| ended.id == id)
    }

    /// A process that is watched has ended; false: it is watched no more.
    fn end(&mut self, process: ProcessIdentity) -> bool {
        let Some(at) = self.watches.iter().position(|watch| watch.process == process) else { return false };
        // Whoever asks is who waited, and has yet to tell.
        self.watches.swap_remove(at).waits = None;
        self.ended.retain(|ended| ended.id != process.id);
        self.ended.push(process);
        true
    }

    /// Says a problem once, until it is another.
    fn note(&mut self, service: &str, problem: Option<ProcessProblem>) {
        let problem = problem.map(|problem| for_people(&problem.to_string(), PROBLEM_CHARS));
        if let Some(problem) = problem.as_ref().filter(|problem| self.problem.as_ref() != Some(problem)) {
            tracing::warn!(service, "the end of its process is not seen at once: {problem}");
        }
        self.problem = problem;
    }
}

impl ProcessIdentity {
    fn of(watch: &ProcessWatch) -> ProcessIdentity {
        ProcessIdentity { id: watch.seen().id, started: Some(watch.seen().started) }
    }
}
