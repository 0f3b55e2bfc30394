//! What handlers of services that are gone have stored. It is kept for a while, for a service may come back, and then removed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use koi_files::{Durability, Temporary, WriteOptions};

use crate::host::Host;

/// How long what a service has stored is kept when it is gone, in time that koid runs: a clock that jumps removes nothing.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A power cut may cost an hour of the account.
const ACCOUNT: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::Unsynced };

/// Looks for what services have stored that are not among `present`; `passed` is the time since the last look. The first look that misses
/// a service notes it. When it has been missed for 30 days what it has stored is removed. Blocks.
///
/// Returns what is to be told, a sentence each.
pub(crate) fn tidy(host: &Host, present: &BTreeSet<String>, passed: Duration) -> Vec<String> {
    let accounts = host.departed_dir();
    // Names of services have no dot: what stands behind one is the number of a damaged copy.
    let service_of = |file: String| file.split('.').next().unwrap_or_default().to_owned();
    let stored: BTreeSet<String> = names(&host.dir.join("state")).into_iter().map(service_of).collect();
    let absent: BTreeSet<&String> =
        stored.difference(present).filter(|service| !service.is_empty()).collect();
    for service in names(&accounts).iter().filter(|service| !absent.contains(service)) {
        // It is back, or nothing of it is left. An account that stays is removed the next time.
        let _ = fs::remove_file(accounts.join(service));
    }
    absent.into_iter().filter_map(|service| miss(host, &accounts.join(service), service, passed)).collect()
}

/// A service is not there: what is to be told of it.
fn miss(host: &Host, account: &Path, service: &str, passed: Duration) -> Option<String> {
    let missed = fs::read_to_string(account).ok().and_then(|text| text.trim().parse().ok());
    let Some(missed) = missed.map(Duration::from_secs) else {
        let days = KEPT.as_secs() / (24 * 3600);
        return write(account, Duration::ZERO).ok().map(|()| {
            format!(
                "there is no service {service} any more: what its handler has stored is kept for {days} days, in {}",
                host.store_file(service).display()
            )
        });
    };
    let missed = missed + passed;
    if missed <= KEPT {
        // What cannot be written down does not count.
        let _ = write(account, missed);
        return None;
    }
    Some(match remove(host, service).and_then(|()| fs::remove_file(account)) {
        Ok(()) => format!("what the handler of {service} had stored is removed: there is no such service"),
        Err(error) => format!("what the handler of {service} had stored cannot be removed: {error}"),
    })
}

fn write(account: &Path, missed: Duration) -> io::Result<()> {
    let folder = account.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let text = format!("{}\n", missed.as_secs());
    koi_files::replace(account, text.as_bytes(), &ACCOUNT).map_err(|error| error.source)
}

fn remove(host: &Host, service: &str) -> io::Result<()> {
    let folder = host.dir.join("state");
    let is_its = |name: &String| name.split('.').next() == Some(service);
    names(&folder).iter().filter(|name| is_its(name)).try_for_each(|name| fs::remove_file(folder.join(name)))
}

/// The names of the files in a folder; none: there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn names_of(services: &[&str]) -> BTreeSet<String> {
        services.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_a_service_has_stored_outlives_it_by_a_month_and_comes_back_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::for_daemon(folder.path());
        fs::create_dir_all(host.dir.join("state")).unwrap();
        for name in ["db", "web", "web.damaged-1"] {
            fs::write(host.dir.join("state").join(name), "kept").unwrap();
        }
        let stored = || {
            let mut names = names(&host.dir.join("state"));
            names.sort();
            names.join(" ")
        };
        let (both, one) = (names_of(&["db", "web"]), names_of(&["db"]));
        assert!(tidy(&host, &both, DAY).is_empty());

        let told = tidy(&host, &one, DAY);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("there is no service web any more") && told[0].contains("30 days"),
            "{told:?}"
        );
        assert!(tidy(&host, &one, 29 * DAY).is_empty(), "said once");
        assert!(tidy(&host, &both, 40 * DAY).is_empty(), "it came back");
        assert_eq!(stored(), "db web web.damaged-1");

        assert_eq!(tidy(&host, &one, DAY).len(), 1, "gone again: the account begins anew");
        assert!(tidy(&host, &one, 30 * DAY).is_empty());
        let told = tidy(&host, &one, DAY);
        assert_eq!(told, ["what the handler of web had stored is removed: there is no such service"]);
        assert_eq!(stored(), "db");
        assert!(tidy(&host, &one, 90 * DAY).is_empty());
    }
}
