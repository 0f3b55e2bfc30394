//! One look at the folders of all groups. No two services of a node have one name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use koi_config::Config;
use koi_core::group::GroupName;
use koi_plugin_host::{DiscoverError, Found, Registry, Severity, Warning, discover};

/// The group that each service is known to run in, by the service's name.
pub(crate) type KnownGroups = BTreeMap<String, GroupName>;

/// What lies in the folders of all groups.
pub(crate) struct GroupsDiscovery {
    /// The services, group by group, `main` first. No name is there twice.
    pub(crate) services: Vec<(GroupName, Found)>,
    /// What was ignored or refused, and why.
    pub(crate) warnings: Vec<Warning>,
    /// The groups whose folder could not be looked at, and why: a sentence each.
    pub(crate) unreadable: BTreeMap<GroupName, String>,
    /// Some service has moved to another group, and is not down in the one before yet.
    pub(crate) awaits: bool,
}

/// Looks at every folder. Blocks. A service whose name is known in another group stays there: `known` says which.
pub(crate) fn discover_all(config: &Config, registry: &Registry, known: &KnownGroups) -> GroupsDiscovery {
    let mut all = GroupsDiscovery {
        services: Vec::new(),
        warnings: Vec::new(),
        unreadable: BTreeMap::new(),
        awaits: false,
    };
    let mut found = Vec::new();
    for (group, folder) in config.service_folders() {
        match discover(folder, registry) {
            Ok(discovery) => {
                all.warnings.extend(discovery.warnings);
                found.extend(discovery.services.into_iter().map(|service| (group.clone(), service)));
            }
            Err(error) => {
                let sentence = unreadable(&group, &error);
                all.unreadable.insert(group, sentence);
            }
        }
    }
    let places: BTreeSet<(GroupName, String)> =
        found.iter().map(|(group, service)| (group.clone(), service.name.clone())).collect();
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (group, service) in found {
        let elsewhere = known.get(&service.name).filter(|home| **home != group);
        let (key, severity, message) = match (elsewhere, taken.get(&service.name)) {
            (None, None) => {
                taken.insert(service.name.clone(), service.path().to_owned());
                all.services.push((group, service));
                continue;
            }
            (Some(home), _) if !places.contains(&(home.clone(), service.name.clone())) => {
                all.awaits = true;
                let message = format!(
                    "taken into the group {group} when the service `{}` of the group {home} is down",
                    service.name
                );
                ("moved", Severity::Info, message)
            }
            (Some(home), _) => {
                ("duplicate", Severity::Error, same_name(&service, &format!("a service of the group {home}")))
            }
            (None, Some(first)) => {
                ("duplicate", Severity::Error, same_name(&service, &first.display().to_string()))
            }
        };
        let path = service.path();
        let key = format!("{key}:{}", path.display());
        all.warnings.push(Warning { key, severity, path: path.to_owned(), message });
    }
    all
}

fn same_name(service: &Found, other: &str) -> String {
    let name = &service.name;
    format!(
        "not taken as a service: {other} is called `{name}` too; names are of the node, not of a group: rename one"
    )
}

/// Where a service in a single file of this folder runs.
pub(crate) fn workingdir<'c>(config: &'c Config, group: &GroupName) -> &'c Path {
    let own = config.groups.get(group).map(|group| group.folder.as_path());
    let services = &config.services;
    // Unset, it is the folder that the file lies in.
    own.filter(|_| services.workingdir == services.folder).unwrap_or(&services.workingdir)
}

/// Why a group's folder cannot be looked at, and what to do.
fn unreadable(group: &GroupName, error: &DiscoverError) -> String {
    if group.is_main() {
        return error.to_string();
    }
    let key = format!("groups.{group}.folder");
    match error {
        DiscoverError::Missing(folder) => {
            format!(
                "the folder {} of the group {group} isn't there; create it or change {key}",
                folder.display()
            )
        }
        DiscoverError::TooMuch(folder) => format!(
            "the folder {} of the group {group} has far more entries than services; is {key} right?",
            folder.display()
        ),
        DiscoverError::Unreadable { folder, source } => {
            format!("the folder {} of the group {group} cannot be read: {source}", folder.display())
        }
        DiscoverError::NotAService(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use koi_plugin_host::Host;

    use super::*;
    use crate::testing::config;

    struct Node {
        folder: tempfile::TempDir,
        config: Config,
        registry: Registry,
    }

    /// A node with the group `web`, whose folder is there.
    fn node() -> Node {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        for group in ["services", "web"] {
            fs::create_dir_all(folder.path().join(group)).unwrap();
        }
        let name = "web".parse().unwrap();
        let web = koi_config::Group { folder: folder.path().join("web"), ..koi_config::Group::new(&name) };
        config.groups.insert(name, web);
        let registry =
            Registry::new(Host::for_daemon(&config.node.state_dir), config.services.workingdir.clone());
        Node { folder, config, registry }
    }

    impl Node {
        fn add(&self, path: &str) {
            fs::create_dir_all(self.folder.path().join(path)).unwrap();
        }

        fn look(&self, known: &[(&str, &str)]) -> GroupsDiscovery {
            let known =
                known.iter().map(|(name, group)| ((*name).to_owned(), group.parse().unwrap())).collect();
            discover_all(&self.config, &self.registry, &known)
        }
    }

    fn names(seen: &GroupsDiscovery) -> Vec<String> {
        seen.services.iter().map(|(group, found)| format!("{group}/{}", found.name)).collect()
    }

    #[test]
    fn each_service_belongs_to_the_group_of_its_folder() {
        let node = node();
        node.add("services/10-db");
        node.add("web/nginx");
        let seen = node.look(&[]);
        assert_eq!((names(&seen), seen.awaits), (vec!["main/db".into(), "web/nginx".into()], false));
        let workdir = |group: &str| workingdir(&node.config, &group.parse().unwrap()).to_owned();
        assert_eq!(workdir("web"), node.folder.path().join("web"), "a single file runs where it lies");
        assert_eq!(workdir("main"), node.folder.path().join("services"));
    }

    #[test]
    fn of_two_services_with_one_name_the_one_that_is_known_stays() {
        let node = node();
        node.add("services/db");
        node.add("web/20-db");
        for (known, taken) in
            [([("db", "web")].as_slice(), "web/db"), (&[("db", "main")], "main/db"), (&[], "main/db")]
        {
            let seen = node.look(known);
            assert_eq!((names(&seen), seen.awaits), (vec![taken.to_owned()], false));
            let [warning] = &seen.warnings[..] else { panic!("{:?}", seen.warnings) };
            assert!(
                warning.severity == Severity::Error && warning.message.contains("rename one"),
                "{warning}"
            );
        }
    }

    #[test]
    fn a_service_that_has_moved_waits_until_it_is_down_where_it_was() {
        let node = node();
        node.add("web/db");
        let seen = node.look(&[("db", "main")]);
        assert!(names(&seen).is_empty() && seen.awaits);
        assert!(seen.warnings[0].message.contains("of the group main is down"), "{}", seen.warnings[0]);
        assert_eq!(names(&node.look(&[])), ["web/db"]);
    }

    #[test]
    fn a_folder_that_is_not_there_concerns_its_own_group_alone() {
        let node = node();
        node.add("services/db");
        fs::remove_dir_all(node.folder.path().join("web")).unwrap();
        let seen = node.look(&[]);
        assert_eq!(names(&seen), ["main/db"]);
        let why = &seen.unreadable[&"web".parse().unwrap()];
        assert!(why.contains("of the group web isn't there; create it or change groups.web.folder"), "{why}");
    }
}
