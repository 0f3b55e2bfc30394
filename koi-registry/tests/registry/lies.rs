//! A registry that lies, hangs, or wants a password sent elsewhere: there is a clear word, and the password stays.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use koi_artifact::{Artifact, Reference};
use koi_registry::{Login, RegistryClient, RegistryError, RegistrySettings};
use zeroize::Zeroizing;

use crate::lying::{Asked, Reply, Server};
use crate::{artifact, silently};

/// How long a silent server is waited for here.
const SILENCE: Duration = Duration::from_millis(500);

const PASSWORD: &str = "s3cret";

fn login() -> Option<Login> {
    Some(Login { user: "koi".into(), password: Zeroizing::new(PASSWORD.into()) })
}

fn reference(server: &Server) -> Reference {
    format!("oci://{}/redis:0.2.0", server.host()).parse().unwrap()
}

async fn pull(server: &Server, login: Option<Login>) -> Result<Artifact, RegistryError> {
    let settings = RegistrySettings { login, plain_http: true, ..RegistrySettings::default() };
    let client = RegistryClient::new(&server.host(), settings).unwrap().with_patience(SILENCE);
    client.pull(&reference(server), &silently).await
}

async fn why(server: &Server, login: Option<Login>) -> String {
    let said = pull(server, login).await.unwrap_err().to_string();
    assert!(!said.contains(PASSWORD), "{said}");
    said
}

/// What an honest registry would answer.
fn honest(asked: &Asked, artifact: &Artifact) -> Reply {
    let blob = |digest: &dyn std::fmt::Display| format!("GET /v2/redis/blobs/{digest}");
    if asked.line.starts_with("GET /v2/redis/manifests/") {
        Reply::ok(artifact.manifest_bytes.clone())
    } else if asked.line == blob(&artifact.manifest.config.digest) {
        Reply::ok(artifact.config.clone())
    } else if asked.line == blob(&artifact.manifest.component().digest) {
        Reply::ok(artifact.component.clone())
    } else {
        Reply::not_found()
    }
}

/// An honest one, but for what `lie` says of the component.
fn but_for_the_component(lie: impl Fn(&Artifact) -> Reply + Send + Sync + 'static) -> Server {
    let artifact = artifact(b"component");
    let component = artifact.manifest.component().digest.to_string();
    Server::start(move |asked| match asked.line.ends_with(&component) {
        true => lie(&artifact),
        false => honest(asked, &artifact),
    })
}

#[tokio::test]
async fn an_honest_one_is_believed() {
    let artifact = artifact(b"component");
    let expected = artifact.clone();
    let server = Server::start(move |asked| honest(asked, &artifact));
    assert_eq!(pull(&server, login()).await.unwrap(), expected);
    assert!(server.logins().is_empty(), "nobody has asked who it is");
}

#[tokio::test]
async fn another_file_than_the_digest_says_is_found_out() {
    let other = but_for_the_component(|artifact| Reply::ok(vec![7; artifact.component.len()]));
    let said = why(&other, None).await;
    assert!(said.contains("does not give what its digest says: its component is not the one"), "{said}");
    let artifact = artifact(b"component");
    let header = Server::start(move |asked| {
        honest(asked, &artifact).with("docker-content-digest", format!("sha256:{}", "ab".repeat(32)))
    });
    let said = why(&header, None).await;
    assert!(said.contains("says that oci://") && said.contains("and gives sha256:"), "{said}");
}

#[tokio::test]
async fn another_manifest_than_the_one_that_was_asked_for_by_its_digest_is_found_out() {
    let (wanted, given) = (artifact(b"wanted"), artifact(b"given"));
    let server = Server::start(move |asked| honest(asked, &given));
    let settings = RegistrySettings { plain_http: true, ..RegistrySettings::default() };
    let client = RegistryClient::new(&server.host(), settings).unwrap();
    let pinned = reference(&server).pinned(wanted.digest);
    let said = client.pull(&pinned, &silently).await.unwrap_err().to_string();
    assert!(said.contains("its manifest is not the one that is meant"), "{said}");
    assert_eq!(server.asked().len(), 1, "nothing more is asked of a liar");
}

#[tokio::test]
async fn half_a_file_and_one_without_end_are_no_file() {
    let broken_off = but_for_the_component(|artifact| Reply {
        length: Some(artifact.component.len()),
        ..Reply::ok(&artifact.component[..5])
    });
    let said = why(&broken_off, None).await;
    assert!(said.contains("broke off after 5 bytes"), "{said}");
    let short = but_for_the_component(|artifact| Reply::ok(&artifact.component[..5]));
    let said = why(&short, None).await;
    assert!(said.contains("gives only 5 of the"), "{said}");
    let long = but_for_the_component(|_| Reply::ok(vec![0; 1 << 20]));
    let said = why(&long, None).await;
    assert!(said.contains("sends more than"), "{said}");
}

#[tokio::test]
async fn one_that_hangs_is_given_up() {
    let half = but_for_the_component(|artifact| Reply {
        hangs: true,
        length: Some(artifact.component.len()),
        ..Reply::ok(&artifact.component[..5])
    });
    let said = why(&half, None).await;
    assert!(said.contains("was silent for 0.5 s"), "{said}");
    let mute = Server::start(|_| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let said = why(&mute, None).await;
    assert!(said.contains("was silent for 0.5 s"), "{said}");
}

#[tokio::test]
async fn where_a_registry_redirects_to_the_password_does_not_go() {
    let artifact = artifact(b"component");
    let (expected, elsewhere) = (artifact.clone(), artifact.clone());
    let elsewhere = Server::start(move |asked| match asked.line.as_str() {
        "GET /liar" => Reply::ok(vec![7; elsewhere.component.len()]),
        "GET /curious" => Reply::of("401 Unauthorized", "").with("www-authenticate", "Basic realm=\"x\""),
        _ => Reply::ok(elsewhere.component.clone()),
    });
    let registry = |path: &'static str| {
        let (artifact, elsewhere) = (artifact.clone(), elsewhere.host());
        let component = artifact.manifest.component().digest.to_string();
        Server::start(move |asked| match &asked.authorization {
            None => Reply::of("401 Unauthorized", "").with("www-authenticate", "Basic realm=\"koi\""),
            Some(_) if asked.line.ends_with(&component) => {
                Reply::redirect(format!("http://{elsewhere}{path}"))
            }
            Some(_) => honest(asked, &artifact),
        })
    };
    let good = registry("/storage");
    assert_eq!(pull(&good, login()).await.unwrap(), expected);
    assert!(!good.logins().is_empty() && !elsewhere.asked().is_empty());
    let said = why(&registry("/liar"), login()).await;
    assert!(said.contains("its component is not the one that is meant"), "{said}");
    let said = why(&registry("/curious"), login()).await;
    assert!(said.contains("401"), "{said}");
    assert_eq!(elsewhere.logins(), [] as [String; 0]);
}

#[tokio::test]
async fn redirects_in_a_circle_or_to_nowhere_end() {
    let circle = but_for_the_component(|_| Reply::redirect("/again"));
    let server = circle.host();
    let said = why(&circle, None).await;
    // The second time it is another path, which an honest registry does not have.
    assert!(said.contains(&server), "{said}");
    let endless = Server::start(|asked| match asked.line.contains("/manifests/") {
        true => Reply::redirect("?again"),
        false => Reply::not_found(),
    });
    let said = why(&endless, None).await;
    assert!(said.contains("again and again"), "{said}");
    let nowhere = but_for_the_component(|_| Reply::redirect("ftp://elsewhere.example/"));
    let said = why(&nowhere, None).await;
    assert!(said.contains("not be encrypted any more") && said.contains("ftp://"), "{said}");
}

#[tokio::test]
async fn a_foreign_token_service_is_not_given_the_password() {
    let stranger = Server::start(|_| Reply::ok("{\"token\":\"t\"}"));
    for (scheme, said) in [("https", "token_hosts"), ("http", "cannot be asked for a token safely")] {
        let realm = format!("Bearer realm=\"{scheme}://{}/token\",service=\"koi\"", stranger.host());
        let registry =
            Server::start(move |_| Reply::of("401 Unauthorized", "").with("www-authenticate", realm.clone()));
        let why = why(&registry, login()).await;
        assert!(why.contains(said) && why.contains(&stranger.host()), "{why}");
        assert!(registry.logins().is_empty());
    }
    assert!(stranger.asked().is_empty(), "{:?}", stranger.asked());
}

#[tokio::test]
async fn its_own_token_service_is_and_the_token_opens_the_registry() {
    let artifact = artifact(b"component");
    let (expected, own) = (artifact.clone(), Arc::new(OnceLock::<String>::new()));
    let known = own.clone();
    let server = Server::start(move |asked| match asked.authorization.as_deref() {
        Some("Bearer t0ken") => honest(asked, &artifact),
        Some(_) if asked.line.starts_with("GET /token?") => Reply::ok("{\"access_token\":\"t0ken\"}"),
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"koi\"", known.get().unwrap());
            Reply::of("401 Unauthorized", "").with("www-authenticate", realm)
        }
    });
    own.set(server.host()).unwrap();
    assert_eq!(pull(&server, login()).await.unwrap(), expected);
    let asked = server.asked();
    let token = asked.iter().find(|asked| asked.line.starts_with("GET /token?")).unwrap();
    assert_eq!(token.line, "GET /token?scope=repository%3Aredis%3Apull&service=koi");
    assert!(token.authorization.as_ref().unwrap().starts_with("Basic "));
}

#[tokio::test]
async fn files_are_sent_to_the_registry_alone() {
    let stranger = Server::start(|_| Reply::of("201 Created", ""));
    let location = format!("http://{}/upload", stranger.host());
    let registry = Server::start(move |asked| match (&asked.authorization, asked.line.split(' ').next()) {
        (None, _) => Reply::of("401 Unauthorized", "").with("www-authenticate", "Basic realm=\"koi\""),
        (Some(_), Some("POST")) => Reply::of("202 Accepted", "").with("location", location.clone()),
        (Some(_), _) => Reply::not_found(),
    });
    let settings = RegistrySettings { login: login(), plain_http: true, ..RegistrySettings::default() };
    let client = RegistryClient::new(&registry.host(), settings).unwrap().with_patience(SILENCE);
    let pushed = client.push(&reference(&registry), &artifact(b"component"), false, &silently).await;
    let said = pushed.unwrap_err().to_string();
    assert!(said.contains("and to no other server") && said.contains(&stranger.host()), "{said}");
    assert!(stranger.asked().is_empty());
}
