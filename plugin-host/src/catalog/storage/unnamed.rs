//! Pulled artifacts that no service of this node names. They are kept for a while, for a service may go back to the version before, and one
//! may be pulled long before it is needed; and then they are removed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use koi_artifact::{Digest, Manifest, Store, TITLE_ANNOTATION, VERSION_ANNOTATION};

use crate::catalog::storage::absence;
use crate::catalog::storage::absence::{Absence, KEPT_DAYS};

/// Looks for artifacts that are not among `named`; `passed` is the time since the last look. `accounts` is the folder that says for how long each
/// has been unnamed. One that was pulled again begins anew. Blocks.
///
/// Returns what is to be told, a sentence each.
pub(crate) fn tidy(
    store: &Store,
    accounts: &Path,
    named: &BTreeSet<Digest>,
    passed: Duration,
) -> Vec<String> {
    // Nobody has pulled anything, or the disk is at fault: whoever loads a plugin says so.
    let Ok(all) = store.artifacts() else { return Vec::new() };
    let is_unnamed = |digest: &Digest| all.contains_key(digest) && !named.contains(digest);
    for file in absence::names(accounts) {
        let digest = format!("sha256:{file}").parse::<Digest>().ok();
        let account = accounts.join(file);
        if !digest.is_some_and(|digest| is_unnamed(&digest) && !was_pulled_since(store, digest, &account)) {
            absence::end(&account);
        }
    }
    let unnamed = all.iter().filter(|(digest, _)| is_unnamed(digest));
    unnamed.filter_map(|(digest, manifest)| miss(store, accounts, (*digest, manifest), passed)).collect()
}

/// Nothing names an artifact: what is to be told of it.
fn miss(
    store: &Store,
    accounts: &Path,
    (digest, manifest): (Digest, &Manifest),
    passed: Duration,
) -> Option<String> {
    let account = accounts.join(digest.digits());
    let shown = shown(digest, manifest);
    match absence::miss(&account, passed) {
        Absence::Begins => {
            Some(format!("no service names {shown}, which was pulled: it is kept for {KEPT_DAYS} days"))
        }
        Absence::GoesOn => None,
        Absence::IsOver => Some(match store.remove(digest) {
            Ok(()) => {
                absence::end(&account);
                format!("{shown}, which was pulled, is removed: no service has named it for {KEPT_DAYS} days")
            }
            Err(error) => format!("{shown}, which was pulled, cannot be removed: {error}"),
        }),
    }
}

/// Whether it was pulled again since it was last looked for. By the wall clock: where that jumps it is kept for longer, or as long as it would be.
fn was_pulled_since(store: &Store, digest: Digest, account: &Path) -> bool {
    let looked = fs::metadata(account).and_then(|meta| meta.modified()).ok();
    store.pulled_at(digest) > looked
}

/// `redis 0.2.0 (sha256:9f86…)`, as far as its publisher says.
fn shown(digest: Digest, manifest: &Manifest) -> String {
    let said =
        [TITLE_ANNOTATION, VERSION_ANNOTATION].into_iter().filter_map(|key| manifest.annotations.get(key));
    let said: Vec<String> = said.map(|text| koi_text::blanked(text)).collect();
    match said.is_empty() {
        true => digest.to_string(),
        false => format!("{} ({digest})", said.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use koi_artifact::Artifact;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn artifact(version: &str) -> Artifact {
        let said = [(TITLE_ANNOTATION, "redis"), (VERSION_ANNOTATION, version)];
        let said: BTreeMap<_, _> =
            said.into_iter().map(|(key, text)| (key.to_owned(), text.to_owned())).collect();
        let manifest = Manifest::new(b"{}", version.as_bytes(), said);
        let bytes = manifest.bytes().unwrap();
        Artifact::new(Digest::from_bytes(&bytes), bytes, b"{}".to_vec(), version.into()).unwrap()
    }

    #[test]
    fn what_was_pulled_is_kept_for_a_month_after_the_last_service_has_named_it() {
        let folder = tempfile::tempdir().unwrap();
        let (store, accounts) = (Store::new(folder.path().join("pulled")), folder.path().join("unnamed"));
        let (old, new) = (artifact("0.1.0"), artifact("0.2.0"));
        assert!(tidy(&store, &accounts, &BTreeSet::new(), DAY).is_empty(), "nothing was pulled");
        store.keep(&old).unwrap();
        store.keep(&new).unwrap();
        let (both, one) = (BTreeSet::from([old.digest, new.digest]), BTreeSet::from([new.digest]));
        let look = |named: &BTreeSet<Digest>, passed| tidy(&store, &accounts, named, passed);
        assert!(look(&both, 90 * DAY).is_empty());

        let told = look(&one, DAY);
        let kept = format!(
            "no service names redis 0.1.0 ({}), which was pulled: it is kept for 30 days",
            old.digest
        );
        assert_eq!(told, [kept.as_str()]);
        assert!(look(&one, 29 * DAY).is_empty(), "said once");
        assert!(look(&both, 40 * DAY).is_empty(), "a service went back to it");
        assert_eq!(look(&one, DAY), [kept.as_str()], "the account begins anew");

        assert!(look(&one, 30 * DAY).is_empty());
        let later = SystemTime::now() + DAY;
        fs::File::options().write(true).open(store.path(old.digest)).unwrap().set_modified(later).unwrap();
        assert_eq!(look(&one, DAY), [kept], "it was pulled again");
        fs::File::options()
            .write(true)
            .open(store.path(old.digest))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(look(&one, 30 * DAY).is_empty());
        assert!(store.read(old.digest).is_ok());
        let told = look(&one, DAY);
        assert!(
            told.len() == 1 && told[0].ends_with("is removed: no service has named it for 30 days"),
            "{told:?}"
        );
        assert!(store.read(old.digest).is_err() && store.read(new.digest).is_ok());
        assert!(look(&one, 90 * DAY).is_empty());
    }
}
