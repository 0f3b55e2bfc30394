//! What handlers of services that are gone have stored. It is kept for a while, for a service may come back, and then removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::catalog::storage::absence;
use crate::catalog::storage::absence::{Absence, KEPT_DAYS, names};
use crate::host::Host;

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
        // It is back, or nothing of it is left.
        absence::end(&accounts.join(service));
    }
    absent.into_iter().filter_map(|service| miss(host, &accounts.join(service), service, passed)).collect()
}

/// A service is not there: what is to be told of it.
fn miss(host: &Host, account: &Path, service: &str, passed: Duration) -> Option<String> {
    match absence::miss(account, passed) {
        Absence::Begins => Some(format!(
            "there is no service {service} any more: what its handler has stored is kept for {KEPT_DAYS} days, in {}",
            host.store_file(service).display()
        )),
        Absence::GoesOn => None,
        Absence::IsOver => Some(match remove(host, service).and_then(|()| fs::remove_file(account)) {
            Ok(()) => {
                format!("what the handler of {service} had stored is removed: there is no such service")
            }
            Err(error) => format!("what the handler of {service} had stored cannot be removed: {error}"),
        }),
    }
}

fn remove(host: &Host, service: &str) -> io::Result<()> {
    let folder = host.dir.join("state");
    let is_its = |name: &String| name.split('.').next() == Some(service);
    names(&folder).iter().filter(|name| is_its(name)).try_for_each(|name| fs::remove_file(folder.join(name)))
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
