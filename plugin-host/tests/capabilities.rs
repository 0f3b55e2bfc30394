//! What a component gets of the node: what `[grants]` names, and nothing beside it. Tried by guests that do their worst
//! (`tests/plugins/guests`).
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod guests;
#[allow(dead_code, reason = "each test uses its part")]
mod probing;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;

use guests::Guest;
use guests::node::{Ask, Node};
use koi_plugin_api::{Hook, HookError, Outcome};
use probing::Probe;

/// A folder with something to read in and beside `data`.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.path("data/sub")).unwrap();
        fs::write(tree.path("data/file"), "inside").unwrap();
        fs::write(tree.path("data/sub/file"), "deep inside").unwrap();
        fs::write(tree.path("secret"), "outside").unwrap();
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        // Without links on the way, so that what is shown is what is written.
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn grant(&self, key: &str, path: &str) -> String {
        format!("{key} = [\"{}\"]", self.path(path).display())
    }

    fn op(&self, op: &str, path: &str) -> String {
        format!("{op}:{}", self.path("").join(path).display())
    }
}

#[tokio::test]
async fn a_directory_is_read_when_it_is_granted_and_not_before() {
    let Some(probe) = Probe::plain() else { return };
    let tree = Tree::new();
    let read = tree.grant("read", "data");
    assert_eq!(probe.finds(&read, &tree.op("read", "data/file")).await, "inside");
    assert_eq!(probe.finds(&read, &tree.op("read", "data/sub/../file")).await, "inside");
    assert_eq!(probe.finds(&read, "directories").await, tree.path("data").display().to_string());
    assert_eq!(probe.finds("", "directories").await, "");
    assert!(probe.fails("", &tree.op("read", "data/file")).await.0.starts_with("no directory is open"));
    assert!(probe.fails(&read, &tree.op("read", "secret")).await.0.starts_with("no directory is open"));
}

#[tokio::test]
async fn a_directory_that_has_gone_keeps_no_service_from_being_taken_down() {
    let (node, tree) = (Node::new(), Tree::new());
    let done = ["start", "stop", "demote"];
    let guest = done.into_iter().fold(Guest::new("db"), |guest, hook| guest.hook(hook, "(call $done)"));
    let grants = format!("[grants]\n{}\n", tree.grant("write", "data"));
    let handler = node.open("db", &guest.build(), &grants).unwrap().handler;
    fs::remove_dir_all(tree.path("data")).unwrap();
    let ask = Ask::new(&handler);
    let started = ask.hook(Hook::Start).await;
    let Err(HookError::CannotRun(why)) = &started else { panic!("{started:?}") };
    assert!(why.contains("cannot be opened any more"), "{why}");
    for hook in [Hook::Demote, Hook::Stop] {
        assert_eq!(ask.hook(hook).await, Ok(Outcome::Done));
        let log = ask.log.lines().join("\n");
        assert!(log.contains(&format!("{} goes on without it", hook.as_str())), "{log}");
    }
}

#[tokio::test]
async fn no_path_leads_out_of_a_granted_directory() {
    let Some(probe) = Probe::plain() else { return };
    let tree = Tree::new();
    symlink(tree.path("secret"), tree.path("data/absolute")).unwrap();
    symlink("../secret", tree.path("data/relative")).unwrap();
    symlink(tree.path(""), tree.path("data/up")).unwrap();
    symlink("sub/file", tree.path("data/within")).unwrap();
    let read = tree.grant("read", "data");
    for path in
        ["data/../secret", "data/sub/../../secret", "data/absolute", "data/relative", "data/up/secret"]
    {
        let (why, _) = probe.fails(&read, &tree.op("read", path)).await;
        assert!(why.ends_with(": not-permitted"), "{path}: {why}");
    }
    // An absolute path below an open directory.
    let below = format!("read:{}/{}", tree.path("data").display(), tree.path("secret").display());
    probe.fails(&read, &below).await;
    assert_eq!(probe.finds(&read, &tree.op("read", "data/within")).await, "deep inside");
}

#[tokio::test]
async fn a_guest_cannot_make_itself_a_way_out() {
    let Some(probe) = Probe::plain() else { return };
    let tree = Tree::new();
    let write = tree.grant("write", "data");
    let absolute = format!("{} {}", tree.op("symlink", "data/link"), tree.path("secret").display());
    probe.fails(&write, &absolute).await;
    // A relative one may be made; it leads nowhere.
    let _ = probe.tries(&write, &format!("{} ../secret", tree.op("symlink", "data/link"))).await;
    probe.fails(&write, &tree.op("read", "data/link")).await;
    probe.fails(&write, &tree.op("write", "data/link")).await;
    assert_eq!(fs::read_to_string(tree.path("secret")).unwrap(), "outside");
}

#[tokio::test]
async fn what_is_granted_to_read_is_not_changed() {
    let Some(probe) = Probe::plain() else { return };
    let tree = Tree::new();
    let read = tree.grant("read", "data");
    for op in ["write:data/file", "write:data/new", "mkdir:data/new", "unlink:data/file"] {
        let (op, path) = op.split_once(':').unwrap();
        let (why, _) = probe.fails(&read, &tree.op(op, path)).await;
        assert!(why.ends_with(": not-permitted"), "{op} {path}: {why}");
    }
    assert_eq!(fs::read_to_string(tree.path("data/file")).unwrap(), "inside");
    assert!(!tree.path("data/new").exists());

    let write = tree.grant("write", "data");
    probe.finds(&write, &tree.op("write", "data/new")).await;
    assert_eq!(fs::read_to_string(tree.path("data/new")).unwrap(), "written by the probe\n");
    probe.fails(&write, &tree.op("write", "data/../secret")).await;
}

#[tokio::test]
async fn a_file_is_read_and_written_as_a_stream() {
    let Some(probe) = Probe::plain() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text ").unwrap();
    let grants = format!("write = [{:?}]", folder.path());
    assert_eq!(probe.finds(&grants, &format!("stream:{}", file.display())).await, "text and more");
}

#[tokio::test]
async fn a_granted_link_is_its_target_under_the_name_that_was_granted() {
    let Some(probe) = Probe::plain() else { return };
    let tree = Tree::new();
    symlink("data", tree.path("link")).unwrap();
    let read = format!("read = [\"{}\"]", tree.path("").join("link").display());
    assert_eq!(probe.finds(&read, &tree.op("read", "link/file")).await, "inside");
    let gone = probe.open("read = [\"/no/such/directory\"]", "directories").err().unwrap();
    assert!(
        gone.contains("`read` under [grants]: \"/no/such/directory\": there is no such directory"),
        "{gone}"
    );
    let own = format!("write = [\"{}\"]", probe.node.host().dir.parent().unwrap().display());
    assert!(probe.open(&own, "directories").err().unwrap().contains("koid's own state"));
}

#[tokio::test]
async fn a_variable_is_seen_when_it_is_listed() {
    let Some(probe) = Probe::plain() else { return };
    let path = std::env::var("PATH").unwrap();
    assert_eq!(probe.finds("env = [\"PATH\"]", "env:PATH").await, path);
    let another = std::env::vars().map(|(name, _)| name).find(|name| name != "PATH").unwrap();
    for grants in ["", "env = [\"PATH\"]"] {
        assert_eq!(probe.fails(grants, &format!("env:{another}")).await.0, format!("{another} is not set"));
    }
    assert_eq!(probe.fails("env = [\"KOI_NOT_SET\"]", "env:KOI_NOT_SET").await.0, "KOI_NOT_SET is not set");
}

#[tokio::test]
async fn what_is_imported_and_not_granted_is_refused_at_load_with_the_line_to_write() {
    let Some(probe) = Probe::net() else { return };
    let lines = [
        ("tcp = [\"127.0.0.1:1\"]", "tcp = [\"HOST:PORT\"]"),
        ("udp = [\"127.0.0.1:1\"]", "udp = [\"HOST:PORT\"]"),
        ("lookup = true", "lookup = true"),
        ("exec = [\"/bin/true\"]", "exec = [\"/PATH/TO/PROGRAM ARGUMENTS\"]"),
        ("http = [\"127.0.0.1:1\"]", "http = [\"HOST:PORT\"]"),
    ];
    for (without, missing) in lines {
        let others: Vec<_> = lines.iter().map(|(line, _)| *line).filter(|line| *line != without).collect();
        let refused = probe.open_with(&others.join("\n"), "tcp:127.0.0.1:1").err().unwrap();
        let end = format!("nothing of it is granted; write under [grants] of service.toml: {missing}");
        assert!(refused.ends_with(&end), "{refused}");
    }
}

/// A server that greets whoever connects.
fn greeter(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"hello");
        }
    });
    address
}

fn denied_line(log: &str, what: &str, line: &str) {
    let whole = format!("Warn denied: {what}; to grant it write under [grants] of service.toml: {line}");
    assert!(log.lines().any(|said| said == whole), "{log}\nshould say\n{whole}");
}

#[tokio::test]
async fn tcp_goes_to_granted_addresses_only() {
    let Some(probe) = Probe::net() else { return };
    let (server, other) = (greeter("127.0.0.1:0"), greeter("127.0.0.1:0"));
    let elsewhere = greeter(&format!("127.0.0.2:{}", server.port()));
    let tcp = format!("tcp = [\"{server}\"]");
    assert_eq!(probe.finds(&tcp, &format!("tcp:{server}")).await, "hello");
    for (address, why) in [(other, "port"), (elsewhere, "host")] {
        let (error, log) = probe.fails(&tcp, &format!("tcp:{address}")).await;
        assert!(error == "access-denied", "other {why}: {error}");
        denied_line(&log, &format!("connect to {address}"), &format!("tcp = [\"{server}\", \"{address}\"]"));
    }
    // The same machine by other names.
    let port = server.port();
    for disguise in [format!("[::ffff:127.0.0.2]:{port}"), format!("[::1]:{port}"), format!("0.0.0.0:{port}")]
    {
        probe.fails(&tcp, &format!("tcp:{disguise}")).await;
    }
    let (error, _) = probe.fails(&tcp, &format!("udp:{server}")).await;
    assert!(error == "access-denied", "UDP where TCP is granted: {error}");

    let network = format!("tcp = [\"127.0.0.0/30:{port}\"]");
    assert_eq!(probe.finds(&network, &format!("tcp:{elsewhere}")).await, "hello");
    probe.fails(&network, &format!("tcp:{other}")).await;
    assert_eq!(probe.finds("tcp = [\"127.0.0.1:*\"]", &format!("tcp:{other}")).await, "hello");
    probe.fails("tcp = [\"127.0.0.1:*\"]", &format!("tcp:{elsewhere}")).await;
    let named = format!("tcp = [\"localhost:{port}\"]");
    assert_eq!(probe.finds(&named, &format!("tcp:{server}")).await, "hello");
    probe.fails(&named, &format!("tcp:{elsewhere}")).await;
}

#[tokio::test]
async fn nothing_grants_listening_or_a_port_of_ones_own() {
    let Some(probe) = Probe::net() else { return };
    let everything = "tcp = [\"0.0.0.0/0:*\", \"[::]/0:*\"]\nudp = [\"0.0.0.0/0:*\", \"[::]/0:*\"]";
    // A machine may be without IPv6.
    let v6 = TcpListener::bind("[::1]:0").is_ok().then_some("[::1]:0");
    for address in ["127.0.0.1:0", "0.0.0.0:0"].into_iter().chain(v6) {
        let (error, log) = probe.fails(everything, &format!("listen:{address}")).await;
        assert!(error == "access-denied", "{address}: {error}");
        assert!(log.contains("handlers only connect, and nothing grants this"), "{log}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for op in ["tcp-bind", "udp-bind"] {
        assert_eq!(
            probe.finds(everything, &format!("{op}:127.0.0.1:0")).await,
            "bound",
            "the kernel chooses"
        );
        let (error, _) = probe.fails(everything, &format!("{op}:{free}")).await;
        assert!(error == "access-denied", "{op}: {error}");
    }
}

#[tokio::test]
async fn udp_goes_to_granted_addresses_and_only_they_are_heard() {
    let Some(probe) = Probe::net() else { return };
    let (server, stranger) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (address, other) = (server.local_addr().unwrap(), stranger.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((_, from)) = server.recv_from(&mut buffer) {
            // The stranger is first.
            stranger.send_to(b"from a stranger", from).unwrap();
            server.send_to(b"answer", from).unwrap();
        }
    });
    let udp = format!("udp = [\"{address}\"]");
    assert_eq!(probe.finds(&udp, &format!("udp:{address}")).await, "answer");
    let (error, log) = probe.fails(&udp, &format!("udp:{other}")).await;
    assert!(error == "access-denied", "{error}");
    denied_line(&log, &format!("send to {other}"), &format!("udp = [\"{address}\", \"{other}\"]"));
    let (error, _) = probe.fails(&udp, &format!("tcp:{address}")).await;
    assert!(error == "access-denied", "TCP where UDP is granted: {error}");
}

#[tokio::test]
async fn names_are_looked_up_when_that_is_granted() {
    let Some(probe) = Probe::net() else { return };
    let found = probe.finds("lookup = true", "lookup:localhost").await;
    assert!(found.split(' ').any(|ip| ip == "127.0.0.1" || ip == "::1"), "{found}");
    let unknown = probe.open("tcp = [\"no-such-host.invalid:80\"]", "lookup:localhost").err().unwrap();
    assert!(unknown.contains("the name cannot be resolved"), "{unknown}");
}

/// Answers requests for `/` with 200, all others with a redirect to `/`.
fn web_server(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let answer = match request[..length].starts_with(b"GET / ") {
                true => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nup".to_owned(),
                false => format!(
                    "HTTP/1.1 302 Found\r\nlocation: http://{address}/\r\ncontent-length: 5\r\nconnection: close\r\n\r\nmoved"
                ),
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn http_goes_to_listed_servers_only() {
    let Some(probe) = Probe::net() else { return };
    let (server, other) = (web_server("127.0.0.1:0"), web_server("127.0.0.1:0"));
    let port = server.port();
    let http = format!("http = [\"{server}\"]");
    assert_eq!(probe.finds(&http, &format!("http:http://{server}/")).await, "200 up");
    assert_eq!(probe.finds(&http, &format!("http:http://{server}/old")).await, "302 moved", "not followed");
    let named = format!("http = [\"LocalHost:{port}\"]");
    assert_eq!(probe.finds(&named, &format!("http:http://LOCALhost:{port}/")).await, "200 up");
    for url in [format!("http://{other}/"), format!("http://localhost:{port}/"), format!("https://{other}/")]
    {
        let (error, log) = probe.fails(&http, &format!("http:{url}")).await;
        assert!(error.contains("HttpRequestDenied"), "{url}: {error}");
        let asked = url.split('/').nth(2).unwrap();
        denied_line(&log, &format!("HTTP to {asked}"), &format!("http = [\"{server}\", \"{asked}\"]"));
    }
    for url in ["http://127.0.0.1/", "https://127.0.0.1/", "http://[::1]/"] {
        let (error, log) = probe.fails(&http, &format!("http:{url}")).await;
        assert!(error.contains("HttpRequestDenied"), "{url}: {error}");
        let port = if url.starts_with("https") { 443 } else { 80 };
        assert!(log.contains(&format!(":{port}\"]")), "the default port of the scheme: {log}");
    }
    // What is connected to is what stands behind the `@`.
    probe.fails(&http, &format!("http:http://{server}@{other}/")).await;
    let (error, _) = probe.fails(&http, &format!("tcp:{server}")).await;
    assert!(error == "access-denied", "TCP where HTTP is granted: {error}");
}

#[tokio::test]
async fn the_store_keeps_what_a_call_has_set() {
    let Some(probe) = Probe::plain() else { return };
    assert_eq!(probe.finds("", "get:epoch").await, "nothing");
    assert_eq!(probe.finds("", "set:epoch 7").await, "done");
    assert_eq!(probe.finds("", "get:epoch").await, "7", "each try is a new daemon's, as after a restart");
    probe.finds("", "set:a b").await;
    assert_eq!(probe.finds("", "keys").await, "a epoch");
    probe.finds("", "delete:a").await;
    probe.finds("", "delete:a").await;
    assert_eq!(probe.finds("", "keys").await, "epoch");
    assert_eq!(probe.fails("", "fill:1 65537").await.0, "too large");
    assert_eq!(probe.fails("", "fill:17 65000").await.0, "quota exceeded");
    assert_eq!(probe.finds("", "get:epoch").await, "7");
}

#[tokio::test]
async fn a_damaged_store_is_said_and_begins_empty() {
    let Some(probe) = Probe::plain() else { return };
    probe.finds("", "set:epoch 7").await;
    let file = probe.node.host().store_file("probe");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let tried = probe.tries("", "get:epoch").await;
    assert_eq!(tried.result, Ok("nothing".into()));
    assert!(
        tried.log[0].starts_with("Error the state of this service is damaged (its checksum is wrong)"),
        "{tried:?}"
    );
    assert!(Path::new(&format!("{}.damaged-1", file.display())).exists());
    assert!(probe.tries("", "get:epoch").await.log.is_empty());
}
