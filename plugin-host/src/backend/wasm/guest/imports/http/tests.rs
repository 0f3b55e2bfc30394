//! Answers as servers give them, and as they break off.

use http_body_util::Empty;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// A request to whoever is at the other end.
async fn asked(options: RequestOptions, server: impl AsyncFnOnce(DuplexStream)) -> Result<String, String> {
    let (ours, theirs) = duplex(4096);
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::get("http://api.example:80/path?query").body(body).unwrap();
    let answer = async {
        let (response, drive) = exchange(Box::new(ours), request, options).await?;
        let mut drive = pin!(Pin::from(drive));
        let (mut body, mut is_driven) = (pin!(response.into_body().collect()), true);
        let body = loop {
            tokio::select! {
                body = &mut body => break body?,
                driven = &mut drive, if is_driven => {
                    is_driven = false;
                    driven?;
                }
            }
        };
        Ok(String::from_utf8(body.to_bytes().into()).unwrap())
    };
    let (answer, ()) = tokio::join!(answer, server(theirs));
    answer.map_err(|error: HttpError| format!("{error:?}"))
}

/// What is asked for, up to the end of the head.
async fn head(stream: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

const SHORT: Option<Duration> = Some(Duration::from_millis(10));

#[tokio::test]
async fn the_path_alone_is_asked_for_and_the_answer_is_read_to_its_end() {
    let answer = asked(RequestOptions::default(), async |mut stream: DuplexStream| {
        let head = head(&mut stream).await;
        assert!(head.starts_with("GET /path?query HTTP/1.1\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
        stream.write_all(b"world").await.unwrap();
    });
    assert_eq!(answer.await.as_deref(), Ok("helloworld"));
}

#[tokio::test]
async fn silence_ends_when_the_guest_says() {
    let options = RequestOptions { first_byte_timeout: SHORT, ..RequestOptions::default() };
    let silent = asked(options, async |mut stream: DuplexStream| {
        // Until it gives up.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(silent.await, Err("ConnectionReadTimeout".into()));
    let options = RequestOptions { between_bytes_timeout: SHORT, ..RequestOptions::default() };
    let slow = asked(options, async |mut stream: DuplexStream| {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(slow.await, Err("ConnectionReadTimeout".into()));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    for said in ["", "no HTTP at all\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"] {
        let answer = asked(RequestOptions::default(), async |mut stream: DuplexStream| {
            head(&mut stream).await;
            stream.write_all(said.as_bytes()).await.unwrap();
        });
        let error = answer.await.unwrap_err();
        assert!(error.starts_with("Hyper("), "{said:?}: {error}");
    }
}
