//! Sees what an author changes. It looks again and again instead of being told by the kernel: that costs a few hundred system calls for a
//! handler's folder, and works for mounts of containers and of the network as well. And what has changed is to be compared anyway: a
//! build touches files too.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::ignored::Ignored;
use super::{Build, Project};

/// Time between two looks; a look that took long is followed by a rest of many times that.
pub(in crate::dev) const PERIOD: Duration = Duration::from_millis(100);
const REST: u32 = 20;

/// Files that are watched at most.
const FILES: usize = 20_000;

/// Of a larger file the content is not compared: its time and size count.
const COMPARED_BYTES: u64 = 1 << 20;

/// How often in a row one file may stop a build. What changes with every build is written by it.
const STOPS: u32 = 3;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    modified: Option<SystemTime>,
    size_bytes: u64,
    inode: u64,
    /// Of its content.
    hash: u64,
}

/// Watches a handler's folder.
#[derive(Debug)]
pub(in crate::dev) struct Watch {
    folder: PathBuf,
    ignored: Ignored,
    /// Files outside, or which would be passed over.
    also: Vec<PathBuf>,
    /// The folder is not watched: only these files are.
    only_also: bool,
    known: BTreeMap<PathBuf, Mark>,
    /// What has changed and may still be changing.
    stirring: Vec<PathBuf>,
    /// How often in a row each file has stopped a build.
    stops: BTreeMap<PathBuf, u32>,
    next: Instant,
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::dev) struct Changes {
    /// Files, by their paths in the folder if they lie there.
    pub(in crate::dev) paths: Vec<PathBuf>,
}

impl Changes {
    /// Whether tests alone have changed.
    pub(in crate::dev) fn are_tests(&self) -> bool {
        self.paths.iter().all(|path| Project::is_test(path))
    }

    /// `src/lib.rs`, or `src/lib.rs and 2 more`.
    pub(in crate::dev) fn shown(&self) -> String {
        let first = self.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
        match self.paths.len() {
            0 | 1 => first,
            more => format!("{first} and {} more", more - 1),
        }
    }
}

impl Watch {
    /// Begins with the project as it is. Of a service's folder `service.toml` is watched too.
    pub(in crate::dev) fn begin(project: &Project, service: Option<&Path>) -> Watch {
        let only_also = matches!(project.build, Build::Elsewhere);
        let mut also: Vec<PathBuf> = service.map(|folder| folder.join("service.toml")).into_iter().collect();
        if only_also {
            also.push(project.component.clone());
            also.extend(project.tests());
        }
        let mut watch = Watch {
            folder: project.folder.clone(),
            ignored: Ignored::of(&project.folder),
            also,
            only_also,
            known: BTreeMap::new(),
            stirring: Vec::new(),
            stops: BTreeMap::new(),
            next: Instant::now(),
        };
        watch.known = watch.marks();
        watch
    }

    /// Looks, if it is time to; what has changed, once it was still for a moment. While something is `building`, files that come and go are
    /// the build's.
    pub(in crate::dev) fn look(&mut self, building: bool) -> Option<Changes> {
        if Instant::now() < self.next {
            return None;
        }
        let is_still = self.note(building).is_empty();
        if !is_still || self.stirring.is_empty() {
            return None;
        }
        let paths = std::mem::take(&mut self.stirring);
        if building {
            self.stops.retain(|path, _| paths.contains(path));
            paths.iter().for_each(|path| *self.stops.entry(path.clone()).or_default() += 1);
        }
        let within = |path: &PathBuf| path.strip_prefix(&self.folder).unwrap_or(path).to_owned();
        Some(Changes { paths: paths.iter().map(within).collect() })
    }

    /// Compares with the last look, and notes what has changed.
    fn note(&mut self, building: bool) -> Vec<PathBuf> {
        let began = Instant::now();
        let now = self.marks();
        self.next = Instant::now() + PERIOD.max(began.elapsed() * REST);
        let mut changed: Vec<PathBuf> = Vec::new();
        for (path, mark) in &now {
            match self.known.get(path) {
                Some(before) if before == mark || before.hash == mark.hash => {}
                None if building => {}
                Some(_) if building && self.stops.get(path).is_some_and(|stops| *stops >= STOPS) => {}
                Some(_) | None => changed.push(path.clone()),
            }
        }
        if !building {
            changed.extend(self.known.keys().filter(|path| !now.contains_key(*path)).cloned());
        }
        self.known = now;
        for path in &changed {
            if !self.stirring.contains(path) {
                self.stirring.push(path.clone());
            }
        }
        changed
    }

    /// A build has ended: what has come since the last look is its own.
    pub(in crate::dev) fn built(&mut self) {
        self.next = Instant::now();
        if self.note(true).is_empty() && self.stirring.is_empty() {
            self.stops.clear();
        }
    }

    fn marks(&self) -> BTreeMap<PathBuf, Mark> {
        let mut marks = BTreeMap::new();
        let mut folders = if self.only_also { Vec::new() } else { vec![self.folder.clone()] };
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if self.ignored.has(&entry.file_name().to_string_lossy(), kind.is_dir()) {
                    continue;
                }
                match kind.is_dir() {
                    true => folders.push(entry.path()),
                    false if marks.len() < FILES => self.add(&mut marks, entry.path()),
                    false => {}
                }
            }
        }
        self.also.iter().for_each(|path| self.add(&mut marks, path.clone()));
        marks
    }

    fn add(&self, marks: &mut BTreeMap<PathBuf, Mark>, path: PathBuf) {
        // A link counts as what it leads to.
        let Ok(meta) = fs::metadata(&path) else { return };
        if !meta.is_file() {
            return;
        }
        let (modified, size_bytes, inode) = (meta.modified().ok(), meta.len(), meta.ino());
        let before = self.known.get(&path);
        let same = before
            .filter(|mark| (mark.modified, mark.size_bytes, mark.inode) == (modified, size_bytes, inode));
        let hash = same.map_or_else(|| content(&path, size_bytes, modified), |mark| mark.hash);
        marks.insert(path, Mark { modified, size_bytes, inode, hash });
    }
}

/// A number for what is in a file; of a large one, for when it was written.
fn content(path: &Path, size_bytes: u64, modified: Option<SystemTime>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(size_bytes);
    match fs::read(path).ok().filter(|_| size_bytes <= COMPARED_BYTES) {
        Some(bytes) => hasher.write(&bytes),
        None => {
            let since =
                modified.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
            hasher.write_u128(since.as_nanos());
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A project with a source, built by a script.
    fn project() -> (tempfile::TempDir, Project) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/lib.rs"), "1").unwrap();
        let project = Project {
            folder: folder.path().to_owned(),
            build: Build::Command("true".into()),
            component: folder.path().join("handler.wasm"),
        };
        (folder, project)
    }

    /// What has changed, seen without waiting.
    fn changes(watch: &mut Watch, building: bool) -> Vec<String> {
        let mut look = || {
            watch.next = Instant::now();
            watch.look(building)
        };
        let first = look();
        assert_eq!(first, None, "it may still be changing");
        look()
            .map(|changes| changes.paths)
            .unwrap_or_default()
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn what_an_author_changes_is_seen_and_what_a_build_writes_is_not() {
        let (folder, project) = project();
        let at = |name: &str| folder.path().join(name);
        let mut watch = Watch::begin(&project, None);
        assert!(changes(&mut watch, false).is_empty());

        fs::write(at("src/lib.rs"), "2").unwrap();
        fs::write(at("src/new.rs"), "").unwrap();
        assert_eq!(changes(&mut watch, false), ["src/lib.rs", "src/new.rs"]);
        fs::create_dir(at("target")).unwrap();
        fs::write(at("target/x"), "").unwrap();
        fs::write(at("handler.wasm"), "").unwrap();
        fs::write(at("src/lib.rs"), "2").unwrap();
        assert!(changes(&mut watch, false).is_empty(), "its content is the same");

        fs::write(at("generated.rs"), "").unwrap();
        assert!(changes(&mut watch, true).is_empty(), "it came while something was built");
        fs::write(at("src/lib.rs"), "3").unwrap();
        assert_eq!(changes(&mut watch, true), ["src/lib.rs"]);
        fs::remove_file(at("src/new.rs")).unwrap();
        assert_eq!(changes(&mut watch, false), ["src/new.rs"]);
    }

    #[test]
    fn a_file_that_every_build_writes_anew_stops_a_few_of_them_and_then_none() {
        let (folder, project) = project();
        let mut watch = Watch::begin(&project, None);
        let mut stopped = 0;
        for round in 0..10 {
            fs::write(folder.path().join("src/lib.rs"), format!("built at {round}")).unwrap();
            stopped += changes(&mut watch, true).len();
        }
        assert_eq!(stopped, STOPS as usize);
    }
}
