//! Many who want something at once, and some who want nothing but to be in the way.

use std::time::Duration;

use koi_proto::api::{Done, ErrorCode, Maintenance, Status};
use koi_proto::client::{Client, ClientError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::api::tests::{Node, code, pair};

/// More than are served at once, of anything.
const CROWD: usize = 200;

/// Connects as often to the node's port.
async fn strangers(node: &Node, says: &[u8]) -> Vec<TcpStream> {
    let port = node.shared.get().config.node.port;
    let mut all = Vec::new();
    for _ in 0..CROWD {
        let mut stranger = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // It may have been sent away already.
        let _ = stranger.write_all(says).await;
        all.push(stranger);
    }
    all
}

async fn neighbours(node: &Node, says: &[u8]) -> Vec<UnixStream> {
    let mut all = Vec::new();
    for _ in 0..CROWD {
        let mut neighbour = UnixStream::connect(&node.shared.get().config.node.socket).await.unwrap();
        let _ = neighbour.write_all(says).await;
        all.push(neighbour);
    }
    all
}

/// Well within any time-out of the server's.
async fn at_once<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(4), answer).await.expect("it is answered at once")
}

async fn maintenance(client: &Client, on: bool) -> Result<Done, ClientError> {
    client.post("/v1/maintenance", &Maintenance { on }).await
}

async fn is_on(node: &Node) -> bool {
    node.local.get::<Status>("/v1/status").await.unwrap().cluster.maintenance
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_without_the_key_delay_nobody_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    // Silent ones; some that say half of what is said first; some that say nonsense.
    for says in [&b""[..], b"koi\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let crowd = strangers(&leader, says).await;
        // The other one asks the leader over TCP.
        for on in [true, false] {
            at_once(maintenance(&other.local, on)).await.unwrap();
            assert_eq!(is_on(&leader).await, on);
        }
        drop(crowd);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stranger_makes_room_for_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, _other) = pair(folder.path()).await;
    let mut crowd = strangers(&leader, b"").await;
    let first = &mut crowd[0];
    // It is not waited for until its time is over.
    let closed = at_once(first.read(&mut [0; 8])).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_takes_no_place() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    for says in
        ["", "POST /v1/demote HT", "POST /v1/demote HTTP/1.1\r\nhost: k\r\ncontent-length: 99\r\n\r\n{"]
    {
        let crowd = neighbours(&leader, says.as_bytes()).await;
        at_once(maintenance(&leader.local, true)).await.unwrap();
        at_once(maintenance(&other.local, false)).await.unwrap();
        drop(crowd);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_take_no_place_of_those_who_ask_and_one_too_many_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, _other) = pair(folder.path()).await;
    for client in [&leader.local, &leader.sealed] {
        let mut followers = Vec::new();
        let refused = loop {
            match at_once(client.lines("/v1/events")).await {
                Ok(lines) => followers.push(lines),
                Err(error) => break error,
            }
            assert!(followers.len() < CROWD, "there is an end");
        };
        assert_eq!(code(refused), (503, ErrorCode::Busy));
        at_once(client.get::<Status>("/v1/status")).await.unwrap();
        at_once(maintenance(client, true)).await.unwrap();
        at_once(maintenance(client, false)).await.unwrap();
        // A place that is left is another one's.
        followers.pop();
        let again = async { while client.lines("/v1/events").await.is_err() {} };
        at_once(again).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_not_begun_when_the_time_for_its_answer_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, other) = pair(folder.path()).await;
    for node in [&leader, &other] {
        let socket = node.shared.get().config.node.socket.clone();
        let body = "{\"on\": true}";
        let ask = async |within: &str| {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            let head = format!(
                "POST /v1/maintenance HTTP/1.1\r\nhost: k\r\n{within}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let late = at_once(ask("x-koi-within-ms: 0\r\n")).await;
        assert!(late.starts_with("HTTP/1.1 504") && late.contains("not begun"), "{late}");
        assert!(!is_on(&leader).await);
        let nonsense = at_once(ask("x-koi-within-ms: soon\r\n")).await;
        assert!(nonsense.starts_with("HTTP/1.1 400") && nonsense.contains("x-koi-within-ms"), "{nonsense}");
        let in_time = at_once(ask("x-koi-within-ms: 10000\r\n")).await;
        assert!(in_time.starts_with("HTTP/1.1 200"), "{in_time}");
        assert!(is_on(&leader).await);
        maintenance(&leader.local, false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hangs_up_is_not_waited_for_here_nor_where_it_was_passed_on_to() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, mut other) = pair(folder.path()).await;
    let name = other.shared.get().config.node.name.clone();
    let body = format!("{{\"node\": \"{name}\"}}");
    let head =
        format!("POST /v1/reconfigure HTTP/1.1\r\nhost: k\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut requester = UnixStream::connect(&leader.shared.get().config.node.socket).await.unwrap();
    requester.write_all(head.as_bytes()).await.unwrap();
    // It has come to the other node, over the leader, and waits for its turn.
    let mut request = at_once(other.reloads.recv()).await.unwrap();
    assert!(request.requester.waits(crate::os::sys::now()));
    drop(requester);
    at_once(request.reply.closed()).await;
    let gone = async {
        while request.requester.waits(crate::os::sys::now()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    at_once(gone).await;
}
