//! Names that guests have looked up, and where requests go whose server is named: whoever answers for a name does not decide that.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;
#[allow(dead_code, reason = "only one of the probes is needed here")]
mod probing;

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use koi_plugin_api::{Handler, Hook, HookError, Outcome};
use koi_plugin_host::Resolver;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use crate::guests::node::{Ask, Node};
use crate::probing::Probe;

/// A name server that knows what it is told, and remembers what it was asked.
#[derive(Clone, Default)]
struct NameServer {
    known: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    fn says(&self, name: &str, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        self.known.lock().unwrap().insert(name.into(), ips);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn resolver(&self) -> Resolver {
        let server = self.clone();
        Resolver::new(move |name| {
            server.asked.lock().unwrap().push(name.into());
            let found = server.known.lock().unwrap().get(name).cloned();
            found.ok_or_else(|| Error::from(ErrorKind::NotFound))
        })
    }
}

/// The probe on a node with this name server.
fn probe(names: &NameServer) -> Option<Probe> {
    Some(Probe::net()?.on(Node::resolving(names.resolver())))
}

/// A web server, and how often it was connected to.
struct WebServer {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl WebServer {
    fn at(address: &str) -> WebServer {
        let listener = TcpListener::bind(address).unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = connections.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]);
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nup");
            }
        });
        WebServer { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_name_that_begins_to_lead_into_the_machine_is_not_followed_and_that_is_said() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let elsewhere = WebServer::at("127.0.0.2:0");
    let port = elsewhere.address.port();
    let here = WebServer::at(&format!("127.0.0.1:{port}"));
    let http = format!("http = [\"api.example:{port}\", \"127.0.0.2:{port}\"]");
    let get = format!("http:http://API.example:{port}/");
    names.says("api.example", &["127.0.0.2"]);
    assert_eq!(probe.finds(&http, &get).await, "200 up");

    names.says("api.example", &["127.0.0.1"]);
    let (error, log) = probe.fails(&http, &get).await;
    assert!(error.contains("DestinationIpProhibited"), "{error}");
    let said = format!(
        "Warn denied: HTTP to api.example:{port}: its address 127.0.0.1 is a private one; to grant it write under [grants] of \
         service.toml: http = [\"api.example:{port}\", \"127.0.0.2:{port}\", \"127.0.0.1:{port}\"] (a name alone grants public \
         addresses)"
    );
    assert!(log.lines().any(|line| line == said), "{log}\nshould say\n{said}");
    assert_eq!((elsewhere.connections(), here.connections()), (1, 0));

    // With that line it is.
    let http = format!("http = [\"api.example:{port}\", \"127.0.0.2:{port}\", \"127.0.0.1:{port}\"]");
    assert_eq!(probe.finds(&http, &get).await, "200 up");
    assert_eq!(here.connections(), 1);
}

#[tokio::test]
async fn no_other_form_of_a_private_address_leads_there() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let here = WebServer::at("127.0.0.1:0");
    let port = here.address.port();
    let http = format!("http = [\"api.example:{port}\", \"localhost:{port}\", \"0x7f.1:{port}\"]");
    for ip in [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.169.254",
        "fe80::1",
        "fd00::1",
        "10.0.0.1",
    ] {
        names.says("api.example", &[ip]);
        let (error, log) = probe.fails(&http, &format!("http:http://api.example:{port}/")).await;
        assert!(error.contains("DestinationIpProhibited"), "{ip}: {error}");
        assert!(log.contains("is a private one; to grant it write"), "{ip}: {log}");
    }
    // A number that some resolvers take for an address.
    names.says("0x7f.1", &["127.0.0.1"]);
    probe.fails(&http, &format!("http:http://0x7f.1:{port}/")).await;
    // Another address of the machine is not its own name's.
    names.says("localhost", &["10.0.0.1"]);
    probe.fails(&http, &format!("http:http://localhost:{port}/")).await;
    assert_eq!(here.connections(), 0);
    names.says("localhost", &["127.0.0.1"]);
    assert_eq!(probe.finds(&http, &format!("http:http://localhost:{port}/")).await, "200 up");
}

#[tokio::test]
async fn of_several_addresses_only_the_granted_are_tried_in_turn() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let elsewhere = WebServer::at("127.0.0.2:0");
    let port = elsewhere.address.port();
    let here = WebServer::at(&format!("127.0.0.1:{port}"));
    let http = format!("http = [\"api.example:{port}\", \"127.0.0.2/31:*\"]");
    // Nobody is at the second one.
    names.says("api.example", &["127.0.0.1", "127.0.0.3", "127.0.0.2"]);
    assert_eq!(probe.finds(&http, &format!("http:http://api.example:{port}/")).await, "200 up");
    assert_eq!((elsewhere.connections(), here.connections()), (1, 0));
    // The network is granted itself, without a name.
    assert_eq!(probe.finds(&http, &format!("http:http://127.0.0.2:{port}/")).await, "200 up");
    let (error, _) = probe.fails(&http, &format!("http:http://127.0.0.1:{port}/")).await;
    assert!(error.contains("HttpRequestDenied"), "{error}");
    let (error, log) = probe
        .fails(&format!("http = [\"api.example:{port}\"]"), &format!("http:http://api.example:{port}/"))
        .await;
    assert!(error.contains("DestinationIpProhibited"), "{error}");
    assert!(log.contains("its addresses 127.0.0.1, 127.0.0.3, 127.0.0.2 are private ones"), "{log}");
    assert_eq!(here.connections(), 0);
}

#[tokio::test]
async fn a_request_ends_with_its_call() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (said, ended) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // It answers nothing, and hears the end.
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        said.send(String::from_utf8(request).unwrap()).unwrap();
    });
    let config = format!("op = \"http:http://{address}/\"");
    let service = probe.open_configured("silent", &format!("http = [\"{address}\"]"), &config);
    assert!(times_out(&service, Hook::Start, 500).await);
    let request = ended.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_an_error_of_the_name_server() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let (error, _) = probe.fails("http = [\"api.example:80\"]", "http:http://api.example/").await;
    assert!(error.contains("DnsError") && error.contains("address not available"), "{error}");
}

/// A server with a certificate for `api.example`, by an authority that nobody trusts.
fn https_server() -> SocketAddr {
    let key = PrivateKeyDer::try_from(include_bytes!("certificates/server-key.der").as_slice()).unwrap();
    let certificate = include_bytes!("certificates/server.der").as_slice().into();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut tls = ServerConnection::new(config.clone()).unwrap();
            let mut encrypted = rustls::Stream::new(&mut tls, &mut stream);
            let _ = encrypted.read(&mut [0; 4096]);
            let _ = encrypted.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup");
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_gets_no_request() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    let port = https_server().port();
    names.says("api.example", &["127.0.0.1"]);
    names.says("other.example", &["127.0.0.1"]);
    for name in ["api.example", "other.example"] {
        let http = format!("http = [\"{name}:{port}\", \"127.0.0.1:{port}\"]");
        let (error, _) = probe.fails(&http, &format!("http:https://{name}:{port}/")).await;
        assert!(error.contains("Tls"), "{name}: {error}");
    }
}

#[tokio::test]
async fn names_are_looked_up_as_the_interface_says() {
    let names = NameServer::default();
    let Some(probe) = probe(&names) else { return };
    names.says("db.example", &["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"]);
    names.says("xn--bcher-kva.example", &["192.0.2.8"]);
    let lookup = "lookup = true";
    assert_eq!(probe.finds(lookup, "lookup:db.example").await, "192.0.2.7 2001:db8::7");
    assert_eq!(probe.finds(lookup, "lookup:DB.example").await, "192.0.2.7 2001:db8::7");
    assert_eq!(probe.finds(lookup, "lookup:Bücher.example").await, "192.0.2.8");
    assert_eq!(probe.fails(lookup, "lookup:no.example").await.0, "name-unresolvable");
    assert_eq!(names.asked(), ["db.example", "db.example", "xn--bcher-kva.example", "no.example"]);

    // Addresses are their own.
    for (address, same) in [
        ("192.0.2.9", "192.0.2.9"),
        ("0x7f.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        assert_eq!(probe.finds(lookup, &format!("lookup:{address}")).await, same);
    }
    for no in ["", "a b", "a/b", "fe80::1%eth0"] {
        assert_eq!(probe.fails(lookup, &format!("lookup:{no}")).await.0, "invalid-argument", "{no:?}");
    }
    let long = "a.".repeat(200);
    assert_eq!(probe.fails(lookup, &format!("lookup:{long}")).await.0, "name-unresolvable");
    assert_eq!(names.asked(), [""; 0]);
}

/// Whether `hook` is cut off at this time.
async fn times_out(handler: &Arc<dyn Handler>, hook: Hook, ms: u64) -> bool {
    let ask = Ask::new(handler).with_timeout(Duration::from_millis(ms));
    matches!(ask.hook(hook).await, Err(HookError::TimedOut(_)))
}

#[tokio::test]
async fn a_deaf_name_server_costs_neither_a_demotion_nor_another_service_anything() {
    let (_let_go, wait) = mpsc::channel::<()>();
    let (wait, asked) = (Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
    let count = asked.clone();
    let names = Resolver::new(move |name| {
        if name == "deaf.example" {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = wait.lock().unwrap().recv();
        }
        Ok(vec!["192.0.2.7".parse().unwrap()])
    });
    let Some(probe) = Probe::net().map(|probe| probe.on(Node::resolving(names))) else { return };
    let config =
        "op = \"lookup:deaf.example\"\npromote = \"lookup:db.example\"\ndemote = \"lookup:db.example\"";
    let service = probe.open_configured("hangs", "", config);
    let other = probe.open_configured("other", "", config);
    assert_eq!(Ask::new(&service).hook(Hook::Promote).await, Ok(Outcome::Done));
    // More calls than there are places: those that hang keep theirs, and what comes later waits for one.
    for _ in 0..6 {
        assert!(times_out(&service, Hook::Start, 300).await);
    }
    assert!(times_out(&service, Hook::Promote, 300).await);
    assert_eq!(asked.load(Ordering::SeqCst), 4, "so many and no more threads hang");

    let ask = Ask::new(&service);
    assert_eq!(ask.hook(Hook::Demote).await, Ok(Outcome::Done));
    assert_eq!(ask.log.lines(), ["Info found: 192.0.2.7"]);
    assert_eq!(Ask::new(&other).hook(Hook::Promote).await, Ok(Outcome::Done));
}
