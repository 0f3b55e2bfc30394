//! What a hook has named, and what is found there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_child::ProcessWatch;
use koi_plugin_api::NamedProcess;

use super::ProcessIdentity;
use super::pidfile::{self, Pidfile};
use super::problem::{Place, ProcessProblem};

/// Processes of one service that are watched.
pub(super) const NAMES: usize = NamedProcess::MOST;
/// The first process of a machine or container is no service's.
const FIRST: i32 = 1;
/// By so much a process may seem younger than the file that names it: ticks and times of files are coarse.
const COARSE: Duration = Duration::from_secs(1);

/// The processes that one hook has named.
#[derive(Debug)]
pub(crate) struct Naming {
    /// In its order.
    pub(crate) names: Vec<NamedProcess>,
    /// What relative paths are relative to: the service's folder.
    pub(crate) home: PathBuf,
    /// The groups that were started for the hook itself.
    pub(crate) own: Vec<i32>,
}

/// What is known before a look.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Ids of those that are watched and have not ended.
    pub(super) watched: Vec<i32>,
    /// Those that have.
    pub(super) ended: Vec<ProcessIdentity>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Ids of those that are watched already.
    pub(super) kept: Vec<i32>,
    /// Others.
    pub(super) found: Vec<ProcessWatch>,
    /// Ids of which there is no process.
    pub(super) gone: Vec<i32>,
    /// The first that is wrong.
    pub(super) problem: Option<ProcessProblem>,
}

impl Naming {
    /// Nothing is said of processes.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The first that is named.
    pub(super) fn first_place(&self) -> Place {
        self.names.first().map_or(Place::Word(String::new()), |name| self.place(name))
    }

    fn place(&self, name: &NamedProcess) -> Place {
        match name {
            NamedProcess::Id(text) => Place::Word(text.clone()),
            NamedProcess::File(path) => Place::File(self.home.join(path)),
            NamedProcess::FileWithin { folder, path } => Place::File(Path::new(folder).join(path)),
        }
    }

    /// What the file of this name says; none: it is named by its id.
    fn pidfile(&self, name: &NamedProcess) -> Result<Option<Pidfile>, ProcessProblem> {
        match name {
            NamedProcess::Id(_) => Ok(None),
            NamedProcess::File(path) => pidfile::read(&self.home.join(path)).map(Some),
            NamedProcess::FileWithin { folder, path } => {
                pidfile::read_within(Path::new(folder), Path::new(path)).map(Some)
            }
        }
    }

    /// Looks at each of them. Reads files, and may hang with their disk.
    pub(super) fn look(&self, standing: &Standing) -> Looked {
        let mut looked = Looked::default();
        for name in self.names.iter().take(NAMES) {
            if let Err(problem) = self.look_at(name, standing, &mut looked) {
                looked.problem.get_or_insert(problem);
            }
        }
        if self.names.len() > NAMES {
            looked.problem.get_or_insert(ProcessProblem::TooMany);
        }
        looked
    }

    fn look_at(
        &self,
        name: &NamedProcess,
        standing: &Standing,
        looked: &mut Looked,
    ) -> Result<(), ProcessProblem> {
        let place = &self.place(name);
        let file = self.pidfile(name)?;
        let id = match (&file, place) {
            (Some(file), _) => id_of(&file.first_line, place)?,
            (None, Place::Word(text)) => id_of(text, place)?,
            (None, Place::File(path)) => return Err(ProcessProblem::NoFile(path.clone())),
        };
        let is_known =
            |id| looked.kept.contains(&id) || looked.found.iter().any(|watch| watch.seen().id == id);
        if is_known(id) || looked.gone.contains(&id) {
            return Ok(());
        }
        if id == own_id() {
            return Err(ProcessProblem::Koid { place: place.clone() });
        }
        if self.own.contains(&id) {
            return Err(ProcessProblem::Hook { place: place.clone() });
        }
        // As long as it has not ended nobody else has its number.
        if standing.watched.contains(&id) {
            looked.kept.push(id);
            return Ok(());
        }
        let watch = match ProcessWatch::open(id) {
            Ok(watch) => watch,
            Err(why) => match why.raw_os_error() {
                Some(libc::ESRCH) => {
                    let is_old = standing.ended.iter().any(|process| process.id == id);
                    looked.gone.push(id);
                    let ended = ProcessProblem::Ended { place: place.clone(), id };
                    return if is_old { Err(ended) } else { Ok(()) };
                }
                Some(libc::EINVAL | libc::ENOENT) => {
                    return Err(ProcessProblem::Thread { place: place.clone(), id });
                }
                Some(libc::ENOSYS | libc::EPERM) => {
                    return Err(ProcessProblem::NoHandles { place: place.clone() });
                }
                _ => return Err(ProcessProblem::Unwatchable { place: place.clone(), why }),
            },
        };
        if standing.ended.contains(&ProcessIdentity::of(&watch)) {
            looked.gone.push(id);
            return Err(ProcessProblem::Zombie { place: place.clone(), id });
        }
        if file.is_some_and(|file| is_younger(&watch, &file)) {
            let program = watch.seen().name.clone();
            return Err(ProcessProblem::Stranger { place: place.clone(), id, program });
        }
        looked.found.push(watch);
        Ok(())
    }
}

/// It was started after the file was written, which so means another one that has had its number.
fn is_younger(watch: &ProcessWatch, file: &Pidfile) -> bool {
    pidfile::wall_time(watch.seen().started).is_ok_and(|started| started > file.written + COARSE)
}

fn id_of(text: &str, place: &Place) -> Result<i32, ProcessProblem> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = text.parse().ok().filter(|id| is_number && *id > FIRST);
    id.ok_or_else(|| ProcessProblem::NoId { place: place.clone() })
}

fn own_id() -> i32 {
    std::process::id().try_into().unwrap_or_default()
}
