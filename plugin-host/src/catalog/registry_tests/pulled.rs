//! What was pulled, and is named by its digest.

use std::fs;
use std::time::Duration;

use koi_artifact::signature::Signature;
use koi_artifact::{Artifact, Digest, Manifest, SIGNATURE_ANNOTATION};

use super::signatures::Signing;
use super::world::World;
use crate::catalog::registry::Registry;
use crate::service::discover::discover;

/// An artifact with a file of this text, in the store of the node; the line of `service.toml` that names it.
fn pulled(world: &World, text: &str, signature: Option<String>) -> String {
    let annotations = signature.map(|text| (SIGNATURE_ANNOTATION.to_owned(), text)).into_iter().collect();
    let manifest = Manifest::new(b"{}", text.as_bytes(), annotations);
    let bytes = manifest.bytes().unwrap();
    let digest = Digest::from_bytes(&bytes);
    let artifact = Artifact::new(digest, bytes, b"{}".to_vec(), text.into()).unwrap();
    world.sources().pulled.keep(&artifact).unwrap();
    format!("handler = \"oci://registry.example/db@{digest}\"\n")
}

#[test]
fn a_service_names_what_was_pulled_by_its_digest_and_a_later_version_waits_for_the_next_load() {
    let world = World::new();
    let (old, new) = (pulled(&world, "db", None), pulled(&world, "db key", None));
    world.put("services/db/service.toml", &old);
    let first = world.registry();
    let number = world.number(&first);
    let reference = first.plugin("db").unwrap().path.unwrap().display().to_string();
    assert!(old.contains(&reference) && reference.starts_with("oci://"), "{reference}");

    world.put("services/db/service.toml", &format!("{new}[config]\nkey = \"x\"\n"));
    let found = discover(&world.path("services"), &first).unwrap();
    assert!(old.contains(&found.services[0].handler), "{}", found.services[0].handler);
    assert!(
        found.warnings.iter().any(|warning| warning.message.contains("`koi reconfigure` takes it")),
        "{:?}",
        found.warnings
    );
    let second = world.again(&first);
    let ready = world.number(&second);
    assert_ne!(ready, number);
    let used = second
        .plugins()
        .into_iter()
        .find(|plugin| !plugin.used_by.is_empty() && plugin.name == "db")
        .unwrap();
    assert!(new.contains(&used.path.unwrap().display().to_string()));
}

#[test]
fn what_a_service_names_or_runs_with_is_never_removed() {
    let world = World::new();
    let month = Duration::from_secs(40 * 24 * 3600);
    let (old, new) = (pulled(&world, "db", None), pulled(&world, "db key", None));
    world.put("services/db/service.toml", &old);
    let first = world.registry();
    let number = world.number(&first);
    // The service goes on with the old one until the next load.
    world.put("services/db/service.toml", &format!("{new}[config]\nkey = \"x\"\n"));
    discover(&world.path("services"), &first).unwrap();
    for _ in 0..3 {
        assert!(first.tidy_pulled(month).is_empty());
    }

    let second = world.again(&first);
    assert_ne!(world.number(&second), number);
    let told = second.tidy_pulled(month);
    assert!(told.len() == 1 && told[0].contains("is kept for 30 days"), "{told:?}");
    let told = second.tidy_pulled(month);
    assert!(told.len() == 1 && told[0].contains("is removed"), "{told:?}");
    let left = world.sources().pulled.artifacts().unwrap();
    assert!(left.len() == 1 && left.keys().all(|digest| new.contains(&digest.to_string())), "{left:?}");
}

#[test]
fn what_was_not_pulled_or_is_another_plugin_is_said_at_once() {
    let world = World::new();
    let absent = format!("handler = \"oci://registry.example/db@sha256:{}\"\n", "ab".repeat(32));
    world.put("services/db/service.toml", &absent);
    let registry = world.registry();
    let why = world.problem(&registry);
    assert!(
        why.contains("it is not on this node; run `koi plugins pull oci://registry.example/db@sha256:abab"),
        "{why}"
    );
    world.put("services/db/service.toml", &pulled(&world, "db", None));
    let number = world.number(&registry);
    world.put("services/db/service.toml", &pulled(&world, "other", None));
    assert_ne!(world.number(&registry), number, "another plugin is no other version of this one");
}

#[test]
fn what_was_pulled_carries_its_signature_and_is_read_anew_with_every_byte_compared() {
    let signing = Signing::new();
    let good = pulled(&signing.world, "db", Some(signing.signature(b"db", "db 1")));
    signing.world.put("services/db/service.toml", &good);
    let registry = signing.load(&signing.world.registry(), true);
    signing.world.number(&registry);
    assert!(matches!(registry.plugin("db").unwrap().signature, Some(Signature::Good { .. })));
    let bad = pulled(&signing.world, "db key", Some(signing.signature(b"db", "db 1")));
    signing.world.put("services/db/service.toml", &bad);
    let why = signing.world.problem(&registry);
    assert!(why.contains("its signature is wrong"), "{why}");

    let component = signing.world.sources().pulled.path(Digest::from_bytes(b"db"));
    fs::write(component, "dB").unwrap();
    signing.world.put("services/db/service.toml", &good);
    let fresh = signing.load(&Registry::new(registry.host.clone(), signing.world.path("services")), false);
    let why = signing.world.problem(&fresh);
    assert!(why.contains("its component is not the one that is meant"), "{why}");
}
