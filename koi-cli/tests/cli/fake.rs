//! A daemon that says what it is told to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use koi_proto::api::{ApiError, ClusterStatus, ErrorBody, ErrorCode, NodeStatus, ServiceStatus, Status};
use tempfile::TempDir;

/// What is answered.
pub(crate) enum Answer {
    /// A status code and a body.
    Whole(u16, String),
    /// A line, again and again, until nobody listens.
    Endless(String),
    /// Nothing, for as long as somebody waits for it.
    Silence,
}

/// A request: `POST /v1/promote`, and its body.
pub(crate) type Asked = (String, String);

/// Answers on a Unix socket while the test runs.
pub(crate) struct Fake {
    folder: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers each request with what `answer` makes of it.
    pub(crate) fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Fake {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("koid.sock")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), (Arc::clone(&asked), Arc::clone(&heads)));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (answer, log) = (Arc::clone(&answer), log.clone());
                // A client may leave at any time.
                thread::spawn(move || serve(connection.unwrap(), &*answer, (&log.0, &log.1)).ok());
            }
        });
        Fake { folder, asked, heads }
    }

    /// Answers everything with this.
    pub(crate) fn saying(body: &impl serde::Serialize) -> Fake {
        let body = serde_json::to_string(body).unwrap();
        Fake::new(move |_| Answer::Whole(200, body.clone()))
    }

    /// Refuses everything.
    pub(crate) fn refusing(code: ErrorCode) -> Fake {
        Fake::new(move |_| refusal(code.clone()))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("koid.sock")
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Runs `koi` with this daemon.
    pub(crate) fn koi(&self, args: &[&str]) -> crate::run::Ran {
        let socket = self.socket();
        let all = [&["--socket", socket.to_str().unwrap()], args].concat();
        crate::run::koi(&all)
    }
}

pub(crate) fn refusal(code: ErrorCode) -> Answer {
    let status = code.http_status();
    let error = ApiError { code, message: "it is not to be".into(), hint: "do this instead".into() };
    Answer::Whole(status, serde_json::to_string(&ErrorBody { error }).unwrap())
}

fn serve(
    mut connection: UnixStream,
    answer: &dyn Fn(&str) -> Answer,
    (log, heads): (&Mutex<Vec<Asked>>, &Mutex<Vec<String>>),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let asked = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    heads.lock().unwrap().push(head.to_lowercase());
    log.lock().unwrap().push((asked.clone(), String::from_utf8(body).unwrap()));
    match answer(&asked) {
        Answer::Whole(status, body) => {
            let length = body.len();
            write!(connection, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        Answer::Endless(line) => {
            write!(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                writeln!(connection, "{line}")?;
                thread::sleep(Duration::from_millis(1));
            }
        }
        // Returns when the client has given up.
        Answer::Silence => reader.read_to_end(&mut Vec::new()).map(drop),
    }
}

/// `b` is master, and all is well.
pub(crate) fn healthy() -> Status {
    let node = |name: &str, state: &str, service: &str| NodeStatus {
        name: name.into(),
        state: state.into(),
        elector: true,
        runner: true,
        leader: name == "a",
        services: Some(vec![ServiceStatus {
            name: "vip".into(),
            state: service.into(),
            promotable: true,
            ..ServiceStatus::default()
        }]),
        ..NodeStatus::default()
    };
    Status {
        cluster: ClusterStatus {
            id: 13,
            leader: Some("a".into()),
            master: Some("b".into()),
            epoch: 65_537,
            quorum: 2,
            electors: 2,
            electors_seen: 2,
            healthy: true,
            ..ClusterStatus::default()
        },
        nodes: vec![node("a", "Standby", "Started"), node("b", "Master", "Promoted")],
        groups: Vec::new(),
    }
}

/// As [`healthy`], but b is not promoted yet.
pub(crate) fn promoting() -> Status {
    let mut status = healthy();
    status.cluster.healthy = false;
    status.nodes[1].services.as_mut().unwrap()[0].state = "Promoting".into();
    status
}
