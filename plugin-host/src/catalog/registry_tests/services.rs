//! Handlers that lie with their services, and services that are mended.

use std::collections::BTreeSet;
use std::fs;

use koi_plugin_api::Hook;

use super::world::{World, names, pair};
use crate::service::discover::discover;

#[test]
fn a_handler_in_a_services_folder_is_taken_when_it_is_first_seen() {
    let world = World::new();
    world.put("services/db/handler.wasm", "broken").put("services/db/start", "");
    let registry = world.registry();
    let why = world.problem(&registry);
    assert!(why.contains("it is broken"), "{why}");
    world.look(&registry);
    assert_eq!(world.loads(), 1, "and not tried again at every look");

    world.put("services/db/handler.wasm", "mine");
    let number = world.number(&registry);
    world.put("services/db/handler.wasm", "mine address");
    assert_eq!((world.number(&registry), world.loads()), (number, 2), "what is in force is pinned");
    let found = discover(&world.path("services"), &registry).unwrap().services.remove(0);
    assert_eq!((registry.name_of(&found), found.hooks), ("mine".into(), [Hook::Stop].into_iter().collect()));

    let registry = world.again(&registry);
    let why = world.problem(&registry);
    assert!(why.contains("`address` is missing"), "{why}");
    let problem = registry.plugin("mine").unwrap().used_by[0].problem.clone();
    assert_eq!(problem.unwrap().to_string(), why);
    fs::remove_dir_all(world.path("services/db")).unwrap();
    registry.keep_only(&BTreeSet::new());
    assert_eq!(names(&world.again(&registry)), [pair("shell", true)]);
}

#[test]
fn a_path_in_service_toml_is_relative_to_the_services_folder() {
    let world = World::new();
    world.put("services/db/code.so", "mine").put("services/db/service.toml", "handler = \"code.so\"\n");
    let registry = world.registry();
    let number = world.number(&registry);
    world.put("services/db/service.toml", "handler = \"code.so\"\n[timeouts]\nstop = \"1s\"\n");
    assert_eq!(world.number(&registry), number, "time-outs are not the handler's");
    world.put("services/db/service.toml", "handler = \"code.so\"\n[config]\na = 1\n");
    assert_ne!(world.number(&registry), number);
    world.put("services/db/service.toml", "handler = \"./gone.so\"\n");
    assert!(world.problem(&registry).contains("there is no "), "{}", world.problem(&registry));
    world.put("services/db/service.toml", "handler = \"./start\"\n");
    assert!(world.problem(&registry).contains("neither a .so nor a .wasm"), "{}", world.problem(&registry));
}

#[test]
fn a_handler_that_cannot_be_opened_is_tried_again_when_the_service_is_mended() {
    let world = World::new();
    world.put("first/redis.wasm", "redis refuse");
    world.put("services/db/service.toml", "handler = \"redis\"\n[config]\nrefuse = true\n");
    let registry = world.registry();
    assert!(world.problem(&registry).starts_with("[grants] means nothing to `fake`"));
    world.put("first/redis.wasm", "redis");
    world.put("services/db/service.toml", "handler = \"redis\"\n");
    assert!(world.problem(&registry).contains("`refuse` is missing"), "the plugin is still the old one");
    world.number(&world.again(&registry));
}
