//! Real redis-servers, and just enough of their protocol to write to them.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use koi_testkit::{free_ports, skip, wait_some};
use tempfile::TempDir;

/// How long an answer may take: a server that is paused or busy answers late, one that is gone closes the connection.
const ANSWER: Duration = Duration::from_secs(20);

/// How often a port that was free is found taken, before that is no accident.
const TRIES: usize = 5;

/// A redis-server as redis.conf of the example has it: a replica of nobody until koi says otherwise. What it has answered is on
/// disk when it is killed, for its machine stays up.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, on the loopback.
    pub port: u16,
    process: RefCell<Option<Child>>,
    folder: TempDir,
}

impl Server {
    /// Starts one with no data; none, and a word about it: there is no redis-server.
    ///
    /// # Panics
    /// If it does not listen in the end.
    pub fn start() -> Option<Server> {
        for _ in 0..TRIES {
            let folder = tempfile::tempdir().expect("a folder can be made");
            let server = Server { port: free_ports(1)[0], process: RefCell::default(), folder };
            match server.launch() {
                Ok(true) => return Some(server),
                Ok(false) => {}
                Err(error) => {
                    skip(&format!(
                        "redis: redis-server cannot be run ({error}); apt-get install redis-server"
                    ));
                    return None;
                }
            }
        }
        panic!("no redis-server comes up");
    }

    /// Starts it again, with the data that it has on disk.
    ///
    /// # Panics
    /// If it does not come up: while it was down somebody has taken its port.
    pub fn restart(&self) {
        let up = self.launch().expect("redis-server was there before");
        assert!(up, "the redis-server of port {} does not come up again", self.port);
    }

    /// kill -9.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.borrow_mut().take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// The id of its process; none: it was killed.
    pub fn id(&self) -> Option<u32> {
        self.process.borrow().as_ref().map(Child::id)
    }

    /// Where it listens, as a handler is told.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether it listens in the end; false: it has ended instead.
    fn launch(&self) -> io::Result<bool> {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"]);
        command.args(["--replicaof", "127.0.0.1 1"]).arg("--dir").arg(self.folder.path());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let listens = wait_some("the redis-server listens, or has ended", || {
            // Asked first: whoever else may listen at that port is not this server.
            match process.try_wait() {
                Ok(None) => Client::connect(self.port).is_ok().then_some(Ok(true)),
                ended => Some(ended.map(|_| false)),
            }
        })?;
        if listens {
            *self.process.borrow_mut() = Some(process);
        }
        Ok(listens)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a server answers to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A text, or a word such as OK.
    Text(String),
    /// A number.
    Integer(i64),
    /// The answers within a transaction, or several values.
    List(Vec<Reply>),
    /// There is no such value.
    Nothing,
    /// A refusal, which begins with a word such as READONLY.
    Error(String),
}

/// A connection to a server on the loopback.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Sends commands all at once; their answers.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is not redis' protocol: whether the commands were carried out is unknown.
    pub fn ask(&mut self, commands: &[&[&str]]) -> io::Result<Vec<Reply>> {
        let mut request = String::new();
        for words in commands {
            request += &format!("*{}\r\n", words.len());
            words.iter().for_each(|word| request += &format!("${}\r\n{word}\r\n", word.len()));
        }
        self.0.get_mut().write_all(request.as_bytes())?;
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let Some((kind, rest)) = line.strip_suffix("\r\n").and_then(|line| line.split_at_checked(1)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let number = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        match kind {
            "+" => Ok(Reply::Text(rest.to_owned())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => Ok(Reply::Integer(number()?)),
            "$" => match usize::try_from(number()?) {
                Ok(length) => self.text(length),
                Err(_) => Ok(Reply::Nothing),
            },
            "*" if number()? < 0 => Ok(Reply::Nothing),
            "*" => (0..number()?).map(|_| self.reply()).collect::<io::Result<_>>().map(Reply::List),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// So many bytes, and the end of the line that follows them.
    fn text(&mut self, length: usize) -> io::Result<Reply> {
        let mut bytes = vec![0; length + 2];
        self.0.read_exact(&mut bytes)?;
        bytes.truncate(length);
        String::from_utf8(bytes).map(Reply::Text).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}
