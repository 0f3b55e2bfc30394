//! Names that guests have looked up: koid does it, and a name server that is deaf costs nobody else anything.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;
#[allow(dead_code, reason = "only one of the probes is needed here")]
mod probing;

use std::collections::HashMap;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use koi_plugin_api::{Handler, Hook, HookError, Outcome};
use koi_plugin_host::Resolver;

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
    let service = probe.open_as("hangs", "", config);
    let other = probe.open_as("other", "", config);
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
