//! Directories, and what lies in them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{again, error, good, grants_of, host, lines};
use crate::host::{Extent, Host, Protected};
use crate::plugin::Resolved;

#[test]
fn a_directory_must_be_there_and_links_are_followed_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("data")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink(root.join("data"), root.join("link")).unwrap();
    let root = root.display();

    let linked = good(&format!("read = [\"{root}/link\"]\nwrite = [\"{root}/data\"]"));
    assert_eq!(lines(&linked), [format!("read {root}/link ({root}/data)"), format!("write {root}/data")]);
    assert!(linked.reads(Path::new(&format!("{root}/link/svc"))));
    assert!(!linked.reads(Path::new(&format!("{root}/data/../file"))));
    assert!(error("read = [\"data\"]").contains("absolute path"));
    assert!(error(&format!("read = [\"{root}/data/../data\"]")).contains("without `..`"));
    assert!(error(&format!("read = [\"{root}/gone\"]")).contains("there is no such directory"));
    assert!(error(&format!("read = [\"{root}/file\"]")).contains("not a directory"));
    assert!(error("write = [\"/\"]").contains("the whole node"));
}

#[test]
fn what_was_granted_once_is_not_asked_for_when_a_service_is_taken_down() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("data").display().to_string();
    let text = format!("write = [\"{at}\"]\nexec = [\"{at}/tool --down\"]");
    assert!(error(&text).contains("there is no such directory"));
    let again = again(&text, &Resolved::default());
    let (directory, writable) = again.directories().next().unwrap();
    assert!(writable && directory.real().unwrap_err().to_string().contains("cannot be opened any more"));
    assert!(again.program(&format!("{at}/tool"), &["--down".into()]).is_some());
}

#[test]
fn a_link_that_leads_elsewhere_later_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, link) = (dir.path().join("one"), dir.path().join("two"), dir.path().join("link"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    symlink(&one, &link).unwrap();
    let grants = good(&format!("read = [\"{}\"]", link.display()));
    let (directory, _) = grants.directories().next().unwrap();
    assert!(directory.real().is_ok());
    fs::remove_file(&link).unwrap();
    symlink(&two, &link).unwrap();
    assert!(directory.real().unwrap_err().to_string().contains("now leads to"));
    fs::remove_file(&link).unwrap();
    assert!(directory.real().unwrap_err().to_string().contains("cannot be opened any more"));
}

#[test]
fn koids_own_state_is_never_written_by_a_guest() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir_all(state.join("plugins/compiled")).unwrap();
    fs::create_dir(dir.path().join("beside")).unwrap();
    let host = Host { dir: state.join("plugins"), ..host() };
    let write = |path: &Path| grants_of(&format!("write = [\"{}\"]", path.display()), &host, None);
    for path in [dir.path(), &state, &state.join("plugins"), &state.join("plugins/compiled")] {
        assert!(write(path).unwrap_err().to_string().contains("koid's own state"), "{}", path.display());
    }
    assert!(write(&dir.path().join("beside")).is_ok());
}

#[test]
fn what_would_give_a_guest_everything_is_never_granted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["services/10-db", "plugins", "etc/certs", "data", "run"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("etc/cluster.key"), "").unwrap();
    symlink(at("services"), at("link")).unwrap();
    let place = |name: &str, extent, what| Protected { path: at(name), extent, what };
    let protected = vec![
        place("services", Extent::Folder, "the services folder"),
        place("etc/koi.toml", Extent::File, "koid's configuration"),
        place("etc/cluster.key", Extent::Secret, "a key of the cluster"),
        place("run/koid.sock", Extent::File, "koid's socket"),
    ];
    let host = Host { protected, ..host() };
    let granted = |key: &str, name: &str| {
        let grants = grants_of(&format!("{key} = [\"{}\"]", at(name).display()), &host, None);
        grants.map(drop).map_err(|error| error.to_string())
    };
    for (name, what) in [
        ("services", "the services folder"),
        ("services/10-db", "the services folder"),
        ("link", "the services folder"),
        ("link/10-db", "the services folder"),
        ("etc", "koid's configuration"),
        ("run", "koid's socket"),
        ("", "the services folder"),
    ] {
        let why = granted("write", name).unwrap_err();
        assert!(why.contains(what) && why.contains("could give itself everything"), "{name}: {why}");
    }
    for (key, name) in
        [("write", "data"), ("write", "etc/certs"), ("read", "services/10-db"), ("read", "run")]
    {
        granted(key, name).unwrap();
    }
    let why = granted("read", "etc").unwrap_err();
    assert!(why.contains("a key of the cluster") && why.contains("would be readable"), "{why}");
}
