//! A server that answers as a test wants it, and keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `GET /v2/…`.
    pub(crate) line: String,
    /// The header of whoever logs in.
    pub(crate) authorization: Option<String>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// What the server says the length is; none: what it is.
    pub(crate) length: Option<usize>,
    /// It says nothing any more after this.
    pub(crate) hangs: bool,
}

impl Reply {
    pub(crate) fn of(status: &'static str, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: Vec::new(), body: body.into(), length: None, hangs: false }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply::of("200 OK", body)
    }

    pub(crate) fn not_found() -> Reply {
        Reply::of("404 Not Found", "")
    }

    pub(crate) fn with(mut self, header: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((header, value.into()));
        self
    }

    pub(crate) fn redirect(location: impl Into<String>) -> Reply {
        Reply::of("307 Temporary Redirect", "").with("location", location)
    }
}

/// A server, until the test ends.
pub(crate) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, answer) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::new(answer));
        let kept = asked.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                // Whoever asks may have gone.
                thread::spawn(move || drop(serve(client, &kept, &*answer)));
            }
        });
        Server { port, asked }
    }

    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All that it was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What logged in here.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.asked().into_iter().filter_map(|asked| asked.authorization).collect()
    }
}

fn serve(
    client: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut asked =
        Asked { line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(), authorization: None };
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => asked.authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
    let reply = answer(&asked);
    let mut client = &client;
    let mut head = format!("HTTP/1.1 {}\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", reply.length.unwrap_or(reply.body.len())));
    client.write_all(head.as_bytes())?;
    client.write_all(&reply.body)?;
    while reply.hangs {
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
