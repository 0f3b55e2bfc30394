//! A real registry, with TLS and a password.

use koi_artifact::Reference;
use koi_registry::{Login, Publication, RegistryClient, RegistryError, RegistrySettings, read_password};
use koi_testkit::docker_registry::{DockerRegistry, USER};
use zeroize::Zeroizing;

use crate::{artifact, silently};

fn settings(registry: &DockerRegistry) -> RegistrySettings {
    let login = Login { user: USER.into(), password: read_password(&registry.password_file()).unwrap() };
    let authorities = Some(std::fs::read(registry.authority()).unwrap());
    RegistrySettings { login: Some(login), authorities, ..RegistrySettings::default() }
}

fn client(registry: &DockerRegistry, settings: RegistrySettings) -> RegistryClient {
    RegistryClient::new(&registry.host(), settings).unwrap()
}

fn reference(registry: &DockerRegistry, name: &str) -> Reference {
    format!("oci://{}/team/{name}", registry.host()).parse().unwrap()
}

#[tokio::test]
async fn what_was_pushed_is_pulled_as_it_was_by_version_and_by_digest() {
    let Some(registry) = DockerRegistry::start() else { return };
    let client = client(&registry, settings(&registry));
    // Larger than one piece of a transfer.
    let (artifact, version) = (artifact(&[7; 300_000]), reference(&registry, "redis:0.2.0"));
    client.push(&version, &artifact, false, &silently).await.unwrap();
    client.push(&version, &artifact, false, &silently).await.expect("the same one again is no change");
    assert_eq!(client.pull(&version, &silently).await.unwrap(), artifact);
    let pinned = version.pinned(artifact.digest);
    assert_eq!(client.pull(&pinned, &silently).await.unwrap(), artifact);
}

#[tokio::test]
async fn a_version_that_is_there_is_replaced_only_when_that_is_said() {
    let Some(registry) = DockerRegistry::start() else { return };
    let client = client(&registry, settings(&registry));
    let (first, other, version) =
        (artifact(b"first"), artifact(b"other"), reference(&registry, "redis:0.2.0"));
    client.push(&version, &first, false, &silently).await.unwrap();
    let refused = client.push(&version, &other, false, &silently).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Taken(_)), "{refused}");
    assert_eq!(client.pull(&version, &silently).await.unwrap(), first);
    client.push(&version, &other, true, &silently).await.unwrap();
    assert_eq!(client.pull(&version, &silently).await.unwrap(), other);
}

#[tokio::test]
async fn the_same_component_with_another_signature_is_said_to_be_that() {
    let Some(registry) = DockerRegistry::start() else { return };
    let client = client(&registry, settings(&registry));
    let (unsigned, version) = (artifact(b"first"), reference(&registry, "redis:0.2.0"));
    let signed = Publication {
        component: unsigned.component.clone(),
        name: "redis".into(),
        version: "0.2.0".into(),
        signature: Some("a signature".into()),
    };
    client.push(&version, &unsigned, false, &silently).await.unwrap();
    let refused = client.push(&version, &signed.artifact().unwrap(), false, &silently).await.unwrap_err();
    assert!(matches!(refused, RegistryError::OtherSignature(_)), "{refused}");
}

#[tokio::test]
async fn without_its_password_its_authority_or_itself_there_is_a_clear_word() {
    let Some(mut registry) = DockerRegistry::start() else { return };
    let good = settings(&registry);
    let wrong = Login { user: USER.into(), password: Zeroizing::new("wr0ng".into()) };
    let none = reference(&registry, "redis:0.2.0");
    let why = async |settings: RegistrySettings, registry: &DockerRegistry| {
        client(registry, settings).pull(&none, &silently).await.unwrap_err().to_string()
    };
    let said = why(RegistrySettings { login: None, ..good.clone() }, &registry).await;
    assert!(said.contains("wants a password") && said.contains(&registry.host()), "{said}");
    let said = why(RegistrySettings { login: Some(wrong), ..good.clone() }, &registry).await;
    assert!(said.contains("does not take the password of koi") && !said.contains("wr0ng"), "{said}");
    let said = why(RegistrySettings { authorities: None, ..good.clone() }, &registry).await;
    assert!(said.contains("ca_file"), "{said}");
    let said = why(RegistrySettings { plain_http: true, ..good.clone() }, &registry).await;
    assert!(said.contains("400"), "{said}");
    let said = why(good.clone(), &registry).await;
    assert!(said.contains("has no oci://") && said.contains("redis:0.2.0"), "{said}");
    registry.stop();
    let said = why(good, &registry).await;
    assert!(said.contains("cannot be reached"), "{said}");
}
