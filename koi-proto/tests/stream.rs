//! Sealed streams over real connections: what goes in comes out, in order, to its end or with an error; strangers are
//! told why they are refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use koi_proto::PROTOCOL_VERSION;
use koi_proto::stream::{HandshakeError, SealedStream, StreamError, accept, connect};
use support::{CLUSTER, PLENTY, keyring, sealed_pair, tcp_pair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;

/// Bytes that do not repeat with any size of frame.
fn data(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

/// What both sides say of a handshake in which they differ.
async fn handshake(
    initiator: (u32, koi_proto::key::Keyring),
    responder: (u32, koi_proto::key::Keyring),
) -> (Result<SealedStream, StreamError>, Result<SealedStream, StreamError>) {
    let (near, far) = tcp_pair().await;
    tokio::join!(
        connect(near, initiator.0, &initiator.1, PLENTY),
        accept(far, responder.0, &responder.1, PLENTY)
    )
}

#[tokio::test]
async fn a_question_and_its_answer_go_through() {
    let (mut near, mut far) = sealed_pair().await;
    near.write_all(b"how are you?").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = String::new();
    far.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "how are you?");

    far.write_all(b"fine").await.unwrap();
    far.shutdown().await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "fine", "a stream that is shut down one way still reads");
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0, "an end stays an end");
    assert_eq!(near.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Sends `sent` and reads to the end, both at once.
async fn exchange<S: AsyncRead + AsyncWrite>(stream: S, sent: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut came = Vec::new();
    let (written, read) = tokio::join!(
        async {
            writer.write_all(sent).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut came)
    );
    written.unwrap();
    read.unwrap();
    came
}

#[tokio::test]
async fn much_goes_through_both_ways_at_once() {
    let (near, far) = sealed_pair().await;
    let (there, back) = (data(5_000_000), data(3_000_001));
    let (at_near, at_far) = tokio::join!(exchange(near, &there), exchange(far, &back));
    assert!(at_far == there && at_near == back);
}

/// A sealed stream over pipes that take only `room` bytes at a time.
async fn narrow_pair(room: usize) -> (SealedStream<DuplexStream>, SealedStream<DuplexStream>) {
    let (near, far) = duplex(room);
    let ring = keyring(1, &[]);
    let (near, far) =
        tokio::join!(connect(near, CLUSTER, &ring, PLENTY), accept(far, CLUSTER, &ring, PLENTY));
    (near.unwrap(), far.unwrap())
}

#[tokio::test]
async fn partial_writes_and_reads_lose_nothing() {
    for room in [1, 7, 1000] {
        let (near, far) = narrow_pair(room).await;
        let (there, back) = (data(40_000), data(17_000));
        let (at_near, at_far) = tokio::join!(exchange(near, &there), exchange(far, &back));
        assert!(at_far == there && at_near == back, "{room} bytes at a time");
    }
}

#[tokio::test]
async fn an_empty_write_is_not_an_end() {
    let (mut near, mut far) = sealed_pair().await;
    assert_eq!(near.write(b"").await.unwrap(), 0);
    near.write_all(b"x").await.unwrap();
    near.flush().await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_connection_cut_off_is_an_error_and_not_an_end() {
    let (mut near, mut far) = sealed_pair().await;
    near.write_all(b"the first half").await.unwrap();
    near.flush().await.unwrap();
    drop(near);
    let mut came = Vec::new();
    let error = far.read_to_end(&mut came).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(came, b"the first half", "what was sealed is still good");
    assert_eq!(
        far.read(&mut [0; 8]).await.unwrap_err().kind(),
        ErrorKind::UnexpectedEof,
        "it stays an error"
    );
}

/// Passes on what comes from `from`, byte for byte, but for one flipped bit at `spot`.
async fn relay(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, spot: Option<usize>) {
    let mut passed = 0;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if let Some(at) = spot.and_then(|spot| spot.checked_sub(passed)).filter(|at| *at < n) {
            buffer[at] ^= 1;
        }
        passed += n;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// An initiator and a responder with someone in between who flips a bit of what the initiator sends.
async fn through_a_meddler(spot: usize) -> (TcpStream, TcpStream) {
    let (near, meddler_near) = tcp_pair().await;
    let (meddler_far, far) = tcp_pair().await;
    let (from_near, to_near) = meddler_near.into_split();
    let (from_far, to_far) = meddler_far.into_split();
    tokio::spawn(relay(from_near, to_far, Some(spot)));
    tokio::spawn(relay(from_far, to_near, None));
    (near, far)
}

#[tokio::test]
async fn a_bit_flipped_in_the_handshake_ends_it() {
    // Header, length, ephemeral key and tag: whatever is touched.
    for spot in 0..16 + 2 + 48 {
        let (near, far) = through_a_meddler(spot).await;
        let ring = keyring(1, &[]);
        let patience = Duration::from_millis(500);
        let (near, far) = tokio::join!(connect(near, CLUSTER, &ring, PLENTY), async {
            // A changed length makes the responder wait for what never comes: its time is bounded.
            accept(far, CLUSTER, &ring, patience).await
        });
        assert!(near.is_err() && far.is_err(), "byte {spot}");
    }
}

#[tokio::test]
async fn a_bit_flipped_later_is_noticed() {
    // After the handshake (66 bytes) and its confirmation (21): a length of 2 bytes, then sealed text.
    let (near, far) = through_a_meddler(66 + 21 + 2 + 5).await;
    let ring = keyring(1, &[]);
    let (near, far) =
        tokio::join!(connect(near, CLUSTER, &ring, PLENTY), accept(far, CLUSTER, &ring, PLENTY));
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.write_all(b"promote a").await.unwrap();
    near.shutdown().await.unwrap();
    let mut came = Vec::new();
    assert_eq!(far.read_to_end(&mut came).await.unwrap_err().kind(), ErrorKind::InvalidData);
    assert!(came.is_empty());
}

#[tokio::test]
async fn an_unknown_key_is_refused_and_both_sides_say_so() {
    let (near, far) = handshake((CLUSTER, keyring(2, &[])), (CLUSTER, keyring(1, &[3]))).await;
    let far = far.unwrap_err();
    assert!(matches!(far, StreamError::UnknownKey(id) if id == keyring(2, &[]).sealing.id()), "{far}");
    let near = near.unwrap_err();
    assert!(matches!(near, StreamError::Refused(HandshakeError::UnknownKey)), "{near}");
    assert!(near.to_string().contains("cluster.key_file"), "{near}");
}

#[tokio::test]
async fn another_cluster_is_refused_and_both_sides_say_so() {
    let (near, far) = handshake((14, keyring(1, &[])), (CLUSTER, keyring(1, &[]))).await;
    assert!(matches!(far, Err(StreamError::OtherCluster(14))));
    assert!(matches!(near, Err(StreamError::Refused(HandshakeError::OtherCluster))));
}

#[tokio::test]
async fn an_accepted_key_will_do_while_keys_are_rotated() {
    let (near, far) = handshake((CLUSTER, keyring(2, &[])), (CLUSTER, keyring(1, &[2]))).await;
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    near.write_all(b"x").await.unwrap();
    near.flush().await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_key_id_without_its_key_is_worth_nothing() {
    // Someone who has heard the header, and makes up the rest.
    let (mut near, far) = tcp_pair().await;
    let ring = keyring(1, &[]);
    let recorded = recorded_opening().await;
    let mut forged = recorded[..18].to_vec();
    forged.extend(data(48));
    near.write_all(&forged).await.unwrap();
    assert!(matches!(accept(far, CLUSTER, &ring, PLENTY).await, Err(StreamError::Forged)));
    assert_eq!(near.read_u8().await.unwrap(), 4);
}

/// What a rightful initiator sends first.
async fn recorded_opening() -> Vec<u8> {
    let (near, mut far) = tcp_pair().await;
    let mut opening = vec![0; 66];
    let ring = keyring(1, &[]);
    let (_, read) = tokio::join!(connect(near, CLUSTER, &ring, PLENTY), async {
        let read = far.read_exact(&mut opening).await;
        drop(far);
        read
    });
    read.unwrap();
    opening
}

#[tokio::test]
async fn an_opening_played_again_never_gets_a_stream() {
    let opening = recorded_opening().await;
    let (mut near, far) = tcp_pair().await;
    near.write_all(&opening).await.unwrap();
    let patience = Duration::from_millis(50);
    assert!(matches!(accept(far, CLUSTER, &keyring(1, &[]), patience).await, Err(StreamError::TimedOut(_))));
}

#[tokio::test]
async fn another_version_is_named_to_both_sides() {
    let mut opening = recorded_opening().await;
    opening[3] = PROTOCOL_VERSION + 1;
    let (mut near, far) = tcp_pair().await;
    near.write_all(&opening).await.unwrap();
    let error = accept(far, CLUSTER, &keyring(1, &[]), PLENTY).await.unwrap_err();
    assert!(matches!(error, StreamError::Version(v) if v == PROTOCOL_VERSION + 1), "{error}");
    assert_eq!(near.read_u8().await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_not_koi_is_told_at_either_end() {
    let (mut browser, far) = tcp_pair().await;
    browser.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(matches!(accept(far, CLUSTER, &keyring(1, &[]), PLENTY).await, Err(StreamError::NotKoi)));

    let (near, mut web_server) = tcp_pair().await;
    web_server.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(matches!(connect(near, CLUSTER, &keyring(1, &[]), PLENTY).await, Err(StreamError::NotKoi)));
}

#[tokio::test]
async fn a_silent_peer_is_waited_for_no_longer_than_told() {
    let patience = Duration::from_millis(50);
    let (near, _far) = tcp_pair().await;
    let error = connect(near, CLUSTER, &keyring(1, &[]), patience).await.unwrap_err();
    assert!(matches!(error, StreamError::TimedOut(d) if d == patience), "{error}");
    let (_near, far) = tcp_pair().await;
    assert!(matches!(accept(far, CLUSTER, &keyring(1, &[]), patience).await, Err(StreamError::TimedOut(_))));
}

#[tokio::test]
async fn http_runs_inside() {
    let (near, far) = sealed_pair().await;
    let served = tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(
        TokioIo::new(far),
        service_fn(|request: Request<hyper::body::Incoming>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        }),
    ));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
    let driven = tokio::spawn(connection);
    let body = Bytes::from(data(300_000));
    let request = Request::post("/echo").header("host", "a").body(Full::new(body.clone())).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert!(answer == body);
    drop(sender);
    driven.await.unwrap().unwrap();
    served.await.unwrap().unwrap();
}
