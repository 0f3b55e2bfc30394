//! What is known of plugins, and of the services that use them.

use std::sync::{Arc, Mutex};

use super::world::{World, broken, names, pair};
use crate::backend::Loader;
use crate::catalog::registry::Registry;
use crate::plugin::Kind;

#[test]
fn a_plugin_is_known_by_the_name_that_it_gives_itself() {
    let world = World::new();
    world.put("first/x.wasm", "redis").put("second/vip.so", "vip").put("first/notes.txt", "none");
    world.put("services/10-db/service.toml", "handler = \"redis\"\n");
    let registry = world.registry();
    assert_eq!(names(&registry), [pair("shell", true), pair("redis", true), pair("vip", true)]);
    let number = world.number(&registry);
    let redis = registry.plugin("redis").unwrap();
    assert_eq!((redis.kind, redis.path, redis.size_bytes), (Kind::Wasm, Some(world.path("first/x.wasm")), 5));
    let granted = vec![format!("all of {}", world.path("services/10-db").display())];
    let used = &redis.used_by[..];
    let lines: Vec<String> = used[0].granted.iter().map(|granted| granted.line.clone()).collect();
    assert!(used.len() == 1 && used[0].service == "db" && used[0].problem.is_none());
    assert_eq!((&lines, used[0].limits.len()), (&granted, 0));
    assert!(registry.plugin("shell").unwrap().used_by.is_empty());
    assert_eq!(world.number(&registry), number, "the same handler at every look");
}

#[test]
fn of_two_plugins_of_one_name_the_first_stays_and_nobody_is_called_shell() {
    let world = World::new();
    world.put("first/a.wasm", "redis").put("second/a.so", "redis").put("second/b.so", "shell");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let registry = world.registry();
    let expected = [pair("shell", true), pair("redis", true), pair("redis", false), pair("shell", false)];
    assert_eq!(names(&registry), expected);
    world.number(&registry);
    assert_eq!(registry.plugin("redis").unwrap().path, Some(world.path("first/a.wasm")));
    let other = registry.plugin(world.path("second/a.so").to_str().unwrap()).unwrap();
    assert!(other.error.unwrap().to_string().contains("first/a.wasm is called `redis` too and comes first"));
    assert!(other.used_by.is_empty());
    let said: Vec<_> = registry.warnings().iter().map(ToString::to_string).collect();
    assert!(said.len() == 2 && said[1].contains("it calls itself `shell`"), "{said:?}");
}

#[test]
fn a_plugin_that_cannot_be_loaded_makes_only_its_services_fail() {
    let world = World::new();
    world.put("first/bad.wasm", "broken").put("first/worse.so", "panics").put("first/good.so", "good");
    world.put("services/1-a/service.toml", "handler = \"bad\"\n");
    world.put("services/2-b/service.toml", "handler = \"good\"\n");
    world.put("services/3-c/service.toml", "handler = \"worse\"\n");
    world.put("services/4-d/service.toml", "handler = \"nobody\"\n");
    let registry = world.registry();
    let seen = world.look(&registry);
    let why = seen[0].1.clone().unwrap_err();
    assert!(why.starts_with("the handler bad cannot be used: ") && why.ends_with("it is broken"), "{why}");
    assert!(seen[1].1.is_ok());
    assert!(seen[2].1.clone().unwrap_err().contains("a fault of koid"), "{seen:?}");
    assert!(seen[3].1.clone().unwrap_err().contains("this koid has `shell`, `good`; "), "{seen:?}");
    let said: Vec<_> = registry.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said[0], format!("{}: it is broken", world.path("first/bad.wasm").display()));
    assert_eq!(registry.plugin("bad").unwrap().used_by[0].service, "a", "and says whom it leaves alone");
}

#[test]
fn what_a_service_is_granted_is_seen_though_it_cannot_be_opened() {
    let world = World::new();
    world.put("first/redis.wasm", "redis");
    let grants = "tcp = [\"10.0.0.5:6379\"]\nexec = [[\"/bin/echo\", \"a b\"]]\nlookup = true\n";
    world.put(
        "services/db/service.toml",
        &format!("handler = \"redis\"\n[config]\nrefuse = true\n[grants]\n{grants}"),
    );
    let registry = world.registry();
    world.problem(&registry);
    let used = registry.plugin("redis").unwrap().used_by;
    let granted: Vec<_> =
        used[0].granted.iter().map(|g| (g.key.as_str(), g.value.as_str(), g.line.as_str())).collect();
    assert_eq!(
        granted,
        [
            ("exec", "/bin/echo", "exec /bin/echo a b"),
            ("lookup", "", "lookup = true"),
            ("tcp", "10.0.0.5:6379", "tcp 10.0.0.5:6379"),
        ]
    );
}

#[test]
fn a_file_that_is_being_loaded_is_seen_in_the_registry_that_is_in_force() {
    let world = World::new();
    let before = Arc::new(world.registry());
    let (seen, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::downgrade(&before));
    let loader: Loader = {
        let (seen, path) = (seen.clone(), world.path("first/slow.wasm"));
        Arc::new(move |source| {
            assert_eq!(source.path, path);
            let slow = asked.upgrade().and_then(|registry| registry.plugin("slow"));
            seen.lock()
                .unwrap()
                .extend(slow.map(|slow| (slow.ready, slow.error.is_none(), slow.loading.is_some())));
            Err(broken(source))
        })
    };
    world.put("first/slow.wasm", "slow");
    let watched = Registry {
        loader,
        in_progress: before.in_progress.clone(),
        ..Registry::new(before.host.clone(), world.path("services"))
    };
    let after = world.again(&watched);
    assert_eq!(*seen.lock().unwrap(), [(false, true, true)]);
    assert!(before.plugin("slow").is_none(), "it is over");
    assert_eq!(after.plugin("slow").unwrap().loading, None);
}
