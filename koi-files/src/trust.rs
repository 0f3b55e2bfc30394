//! Who may change what koi relies on: files and folders that belong to strangers, or that others may write to.
//!
//! Trusted are root and the user that asks. What anybody else may change, anybody else may make koi do.

use std::ffi::OsString;
use std::fs::{Metadata, metadata, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{getegid, geteuid};

/// Writable by the group, and by everybody.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// Only who owns an entry of such a folder may rename or remove it.
const STICKY: u32 = 0o1000;
/// Links on one way: the kernel follows no more.
const LINKS: usize = 40;
/// What stands for owners that this user namespace does not know.
const UNKNOWN_OWNER: u32 = 65_534;

/// Why something is not to be relied on. Shown, it is a sentence that ends in the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It belongs to someone else.
    #[error(
        "{} belongs to user {owner}, who can change it: `chown {} {}`", .path.display(), geteuid(), .path.display()
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// It is a link that belongs to someone else.
    #[error(
        "the link {} belongs to user {owner}, who can lead it elsewhere: `chown -h {} {}`", .path.display(), geteuid(), .path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// The number of the user.
        owner: u32,
    },
    /// Others may write to it.
    #[error("{} may be changed by others (mode {mode:04o}): `chmod go-w {}`", .path.display(), .path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl TrustError {
    /// What it is about.
    pub fn path(&self) -> &Path {
        match self {
            TrustError::Owner { path, .. }
            | TrustError::Link { path, .. }
            | TrustError::Writable { path, .. } => path,
        }
    }
}

/// Whether anybody but root and this process's user may change the file, or what lies in the folder, at `path`. Links are
/// followed.
///
/// # Errors
/// It cannot be looked at.
pub fn check(path: &Path) -> io::Result<Option<TrustError>> {
    Ok(check_metadata(path, &metadata(path)?))
}

/// As [`check`], of what was opened or looked at already.
pub fn check_metadata(path: &Path, found: &Metadata) -> Option<TrustError> {
    if !is_trusted(found.uid()) {
        let (path, owner) = (path.to_owned(), found.uid());
        return Some(match found.is_symlink() {
            true => TrustError::Link { path, owner },
            false => TrustError::Owner { path, owner },
        });
    }
    // A link has no rights of its own.
    (!found.is_symlink() && writable(found))
        .then(|| TrustError::Writable { path: path.to_owned(), mode: found.mode() & 0o7777 })
}

/// Whether anybody but its owner may read or change what is found there, as far as its mode says. A password must not lie in such a file.
pub fn is_open_to_others(found: &Metadata) -> bool {
    found.mode() & 0o077 != 0
}

/// Whether anybody else may put something else in the place of `path`: the first folder on the way to it that others may write to, or
/// the first link that belongs to somebody else. Each link is followed, and the way to where it leads looked at too. What is not there
/// says nothing.
pub fn check_parents(path: &Path) -> Option<TrustError> {
    check_folder(Path::new("/")).or_else(|| {
        way(path).into_iter().find_map(|step| match step.kind {
            StepKind::Link(found) => check_metadata(&step.path, &found),
            StepKind::Folder => check_folder(&step.path),
            StepKind::End => None,
        })
    })
}

/// All that is passed on the way to `path`: each folder, each link where it lies, and in the end what is there, if it is.
pub fn entries_on_way(path: &Path) -> Vec<PathBuf> {
    way(path).into_iter().map(|step| step.path).collect()
}

/// An entry on the way to a path. The way to it has no links.
struct Step {
    path: PathBuf,
    kind: StepKind,
}

enum StepKind {
    Folder,
    Link(Metadata),
    /// What is there.
    End,
}

fn way(path: &Path) -> Vec<Step> {
    let mut way = Vec::new();
    let Ok(absolute) = std::path::absolute(path) else { return way };
    let (mut ahead, mut at, mut links) = (steps(&absolute), PathBuf::from("/"), 0);
    while let Some(step) = ahead.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let entry = at.join(step);
        let Ok(found) = symlink_metadata(&entry) else { return way };
        if found.is_symlink() {
            links += 1;
            let leads_to = std::fs::read_link(&entry).ok().filter(|_| links <= LINKS);
            way.push(Step { path: entry, kind: StepKind::Link(found) });
            let Some(leads_to) = leads_to else { return way };
            if leads_to.is_absolute() {
                at = PathBuf::from("/");
            }
            ahead.extend(steps(&leads_to));
        } else {
            let kind = if ahead.is_empty() { StepKind::End } else { StepKind::Folder };
            at.clone_from(&entry);
            way.push(Step { path: entry, kind });
        }
    }
    way
}

/// The names on a way, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let names =
        path.components().rev().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

/// A folder with files of several users is none to distrust, if it keeps them apart.
fn check_folder(folder: &Path) -> Option<TrustError> {
    let found = metadata(folder).ok()?;
    let error = check_metadata(folder, &found)?;
    let sticky = found.mode() & STICKY != 0 && is_trusted(found.uid());
    (!sticky).then_some(error)
}

/// What `check` finds first below `folder`, links not followed; it ends after so many entries.
pub fn find_below<T>(
    folder: &Path,
    most_entries: usize,
    mut check: impl FnMut(&Path, &Metadata) -> Option<T>,
) -> Option<T> {
    let mut folders = vec![folder.to_owned()];
    let mut entries = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let Ok(found) = symlink_metadata(&path) else { continue };
            let found_here = check(&path, &found);
            entries += 1;
            if found_here.is_some() || entries >= most_entries {
                return found_here;
            }
            folders.extend(found.is_dir().then_some(path));
        }
    }
    None
}

/// Whether this process may do everything on this machine.
pub fn is_root() -> bool {
    geteuid().is_root()
}

fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw() || owner == UNKNOWN_OWNER && in_user_namespace()
}

/// The group of root is root's; an own group is as good for one who is not root, whose umask may well be 002.
fn writable(found: &Metadata) -> bool {
    let group = found.gid();
    let own_group = group == 0 || !is_root() && group == getegid().as_raw();
    found.mode() & OTHERS_WRITE != 0 || found.mode() & GROUP_WRITES != 0 && !own_group
}

/// Where the machine's root has no name here, his folders belong to nobody that is known.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, chown, lchown};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_may_write_is_not_relied_on_and_the_sentence_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, "x").unwrap();
        mode(&file, 0o644);
        assert_eq!(check(&file).unwrap(), None);
        mode(&file, 0o646);
        let why = check(&file).unwrap().unwrap();
        assert_eq!(why, TrustError::Writable { path: file.clone(), mode: 0o646 });
        assert!(why.to_string().ends_with(&format!("`chmod go-w {}`", file.display())), "{why}");
    }

    #[test]
    fn a_folder_on_the_way_that_others_may_write_to_is_found_but_not_a_sticky_one() {
        let folder = tempfile::tempdir().unwrap();
        let (open, link) = (folder.path().join("open"), folder.path().join("link"));
        create_dir(&open).unwrap();
        create_dir(open.join("inner")).unwrap();
        std::os::unix::fs::symlink(open.join("inner"), &link).unwrap();
        mode(&open, 0o777);
        for path in [open.join("inner/file"), open.join("inner"), link.join("file")] {
            std::fs::write(open.join("inner/file"), "x").unwrap();
            let found = check_parents(&path);
            assert_eq!(found.as_ref().map(TrustError::path), Some(&*open), "{}", path.display());
        }
        mode(&open, 0o1777);
        assert_eq!(check_parents(&open.join("inner/file")), None, "as /tmp is");
    }

    #[test]
    fn every_link_on_the_way_is_followed_and_the_way_to_it_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let [open, first, second, file] =
            ["open", "first", "open/second", "file"].map(|name| folder.path().join(name));
        create_dir(&open).unwrap();
        write(&file, "x").unwrap();
        // From a good folder through a bad one into a good one.
        std::os::unix::fs::symlink("open/second", &first).unwrap();
        std::os::unix::fs::symlink("../file", &second).unwrap();
        assert_eq!(check_parents(&first), None);
        mode(&open, 0o777);
        assert_eq!(check_parents(&first).as_ref().map(TrustError::path), Some(&*open));
        assert_eq!(check_parents(&file), None);
        mode(&open, 0o755);
        // One that leads to itself ends.
        std::os::unix::fs::symlink("round", folder.path().join("round")).unwrap();
        assert_eq!(check_parents(&folder.path().join("round/file")), None);
        if is_root() {
            lchown(&second, Some(12_345), None).unwrap();
            let found = check_parents(&first);
            assert!(matches!(found, Some(TrustError::Link { owner: 12_345, .. })), "{found:?}");
        }
    }

    #[test]
    fn an_entry_below_that_is_anothers_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        create_dir(&inner).unwrap();
        write(inner.join("file"), "x").unwrap();
        mode(&inner.join("file"), 0o600);
        assert_eq!(find_below(folder.path(), 100, check_metadata), None);
        mode(&inner.join("file"), 0o602);
        let found = find_below(folder.path(), 100, check_metadata).unwrap();
        assert_eq!(found.path(), inner.join("file"));
        assert_eq!(find_below(folder.path(), 1, check_metadata), None, "it ends");
    }

    #[test]
    fn what_belongs_to_a_stranger_is_not_relied_on() {
        if !is_root() {
            koi_testkit::skip("only root can give files away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        write(&file, "x").unwrap();
        chown(&file, Some(12_345), None).unwrap();
        let why = check(&file).unwrap().unwrap();
        assert!(
            why.to_string().contains("belongs to user 12345") && why.to_string().contains("`chown 0 "),
            "{why}"
        );
        mode(&file, 0o664);
        chown(&file, Some(0), Some(12_345)).unwrap();
        assert!(
            matches!(check(&file).unwrap(), Some(TrustError::Writable { .. })),
            "a group's members are others"
        );
        chown(&file, Some(0), Some(0)).unwrap();
        mode(&file, 0o664);
        assert_eq!(check(&file).unwrap(), None, "root's group is root's");
    }
}
