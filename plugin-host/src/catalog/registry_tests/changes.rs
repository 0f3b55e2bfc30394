//! Plugins that come, change and go.

use super::world::{World, names, pair};
use crate::catalog::loading::loaded_plugin::OnDisk;
use crate::catalog::registry::Registry;

#[test]
fn a_file_that_is_replaced_changes_nothing_until_the_next_load() {
    let world = World::new();
    world.put("first/redis.wasm", "redis").put("first/other.wasm", "other");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    let redis = |registry: &Registry| registry.plugin("redis").unwrap();
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Same));
    assert_eq!(first.on_disk(&first.plugin("shell").unwrap()), None);

    world.put("first/redis.wasm", "redis ");
    assert_eq!((world.number(&first), world.loads()), (number, 2));
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Changed));
    world.put("first/redis.wasm", "redis");
    assert_eq!(first.on_disk(&redis(&first)), Some(OnDisk::Same), "touched, and the same again");

    world.put("first/redis.wasm", "redis ");
    let second = world.again(&first);
    assert_eq!(world.loads(), 3, "what has not changed is not loaded again");
    assert_ne!(redis(&second).hash, redis(&first).hash);
    assert_eq!(redis(&second).used_by.len(), 1, "it is known at once who uses it");
    assert!(world.number(&second) > number, "another handler");
    let third = world.again(&second);
    assert_eq!((world.number(&third), world.loads()), (world.number(&second), 3));
}

#[test]
fn a_plugin_that_comes_with_its_service_is_taken_at_once_and_replaced_only_at_a_load() {
    let world = World::new();
    let registry = world.registry();
    world.put("services/10-db/service.toml", "handler = \"db\"\n");
    let problem = world.problem(&registry);
    assert!(problem.contains("`db` is not known") && problem.contains("`shell`"), "{problem}");
    assert!(problem.contains(&format!("put the plugin into {}", world.path("first").display())), "{problem}");

    world.put("second/database.wasm", "db");
    let number = world.number(&registry);
    world.put("second/database.wasm", "db\n");
    assert_eq!((world.number(&registry), world.loads()), (number, 1), "what is in force stays");

    let registry = world.again(&registry);
    assert_ne!(world.number(&registry), number, "an operator said so");
    assert_eq!(names(&registry), [pair("shell", true), pair("db", true)], "it is there once");
}

#[test]
fn what_cannot_be_loaded_any_more_stays_as_it_was() {
    let world = World::new();
    world.put("first/redis.wasm", "redis").put("first/idle.so", "idle");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    let hash = first.plugin("redis").unwrap().hash.unwrap().to_string();

    world.put("first/redis.wasm", "broken");
    let second = world.again(&first);
    let redis = second.plugin("redis").unwrap();
    let said = redis.error.clone().unwrap().to_string();
    assert!(
        said.starts_with("the file there now cannot be used: ") && said.contains("it is broken"),
        "{said}"
    );
    assert!(said.ends_with(&format!("; the one of SHA-256 {}… stays", &hash[..8])), "{said}");
    assert!(redis.ready && redis.hash.unwrap().to_string() == hash);
    assert_eq!(second.on_disk(&redis), Some(OnDisk::Refused));
    assert_eq!(world.number(&second), number, "the service takes no notice");

    world.remove("first/redis.wasm");
    world.remove("first/idle.so");
    let third = world.again(&second);
    let redis = third.plugin("redis").unwrap();
    assert!(redis.error.clone().unwrap().to_string().starts_with("its file is gone; "), "{redis:?}");
    assert_eq!((third.on_disk(&redis), world.number(&third)), (Some(OnDisk::Gone), number));
    assert!(third.plugin("idle").is_none(), "nobody misses it");

    world.put("first/redis.wasm", "redis");
    let fourth = world.again(&third);
    assert!(fourth.plugin("redis").unwrap().error.is_none());
    assert_eq!(world.number(&fourth), number);
}

#[test]
fn a_file_that_is_gone_yields_to_one_with_its_name() {
    let world = World::new();
    world.put("first/redis-1.wasm", "redis");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    let first = world.registry();
    let number = world.number(&first);
    world.remove("first/redis-1.wasm");
    let second = world.again(&first);
    assert_eq!(world.number(&second), number, "nothing takes its place yet");

    world.put("first/redis-2.wasm", "redis\n");
    let third = world.again(&second);
    assert_eq!(names(&third), [pair("shell", true), pair("redis", true)]);
    let redis = third.plugin("redis").unwrap();
    assert!(redis.error.is_none());
    assert_eq!(redis.path, Some(world.path("first/redis-2.wasm")));
    assert_ne!(world.number(&third), number);
}
