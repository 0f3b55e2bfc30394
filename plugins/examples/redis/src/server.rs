//! What is asked of a redis-server, in its words.

use std::net::SocketAddr;

use crate::config::Config;
use crate::connection::{Connection, Deadline, RequestError};
use crate::info::Info;
use crate::resp::Reply;
use crate::secret;
use crate::standing::{EPOCH_KEY, Standing};

/// A server that answers.
pub(crate) struct Server {
    address: SocketAddr,
    connection: Connection,
}

impl Server {
    /// Connects and logs in.
    pub(crate) fn connect(
        config: &Config,
        address: SocketAddr,
        deadline: Deadline,
    ) -> Result<Server, RequestError> {
        let password =
            secret::read(&config.password).map_err(|error| RequestError::Misconfigured(error.to_string()))?;
        let mut connection = Connection::open(address, deadline)?;
        match (&config.username, password) {
            (None, None) => {}
            (None, Some(password)) => drop(connection.ask(&["AUTH", &password])?),
            (Some(name), password) => {
                connection.ask(&["AUTH", name, password.as_deref().unwrap_or_default()])?;
            }
        }
        Ok(Server { address, connection })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it is there for more than `INFO`; false while it reads its data from disk.
    pub(crate) fn is_ready(&mut self) -> Result<bool, RequestError> {
        match self.connection.ask(&["PING"]) {
            Ok(_) => Ok(true),
            Err(RequestError::Answered(words)) if words.starts_with("LOADING") => Ok(false),
            // A replica that is told to answer nothing while it has no link.
            Err(RequestError::Answered(words)) if words.starts_with("MASTERDOWN") => Ok(true),
            Err(trouble) => Err(trouble),
        }
    }

    /// What it says of itself.
    pub(crate) fn info(&mut self) -> Result<Info, RequestError> {
        match self.connection.ask(&["INFO"])? {
            Reply::Text(Some(text)) => Info::parse(&text).map_err(|error| RequestError::Broken(error.to_string())),
            _ => Err(RequestError::Broken("INFO is empty".into())),
        }
    }

    /// What its data is worth. While it loads or copies, that is nothing.
    pub(crate) fn standing(&mut self, info: &Info) -> Result<Standing, RequestError> {
        if info.loading || info.source.as_ref().is_some_and(|source| source.syncing) {
            return Ok(Standing::default());
        }
        let epoch = match self.connection.ask(&["GET", EPOCH_KEY]) {
            Ok(Reply::Text(Some(text))) => text.parse().map_err(|_| {
                RequestError::Broken(format!("the key {EPOCH_KEY} is koi's and holds {text:?}, no number; DEL it"))
            })?,
            Ok(_) => 0,
            // replica-serve-stale-data is off: nothing can be read until the link is there again.
            Err(RequestError::Answered(words)) if words.starts_with("MASTERDOWN") => {
                return Ok(Standing { offset: info.offset, ..Standing::default() });
            }
            Err(trouble) => return Err(trouble),
        };
        let keys = match self.connection.ask(&["DBSIZE"])? {
            Reply::Integer(keys) => u64::try_from(keys).unwrap_or_default(),
            _ => 0,
        };
        Ok(Standing { epoch, offset: info.offset, keys })
    }

    /// From now on it copies from `source` and takes no writes.
    pub(crate) fn follow(&mut self, source: SocketAddr) -> Result<(), RequestError> {
        let (ip, port) = (source.ip().to_string(), source.port().to_string());
        // A replica that takes writes would make this worthless, whatever redis.conf says.
        self.connection
            .ask_all(&[&["CONFIG", "SET", "replica-read-only", "yes"], &["REPLICAOF", &ip, &port]])
            .map(drop)
    }

    /// From now on it takes writes. The mark goes in before anybody else's.
    pub(crate) fn lead(&mut self, epoch: u64) -> Result<(), RequestError> {
        let epoch = epoch.to_string();
        self.connection.ask_all(&[&["REPLICAOF", "NO", "ONE"], &["SET", EPOCH_KEY, &epoch]]).map(drop)
    }

    /// Lets no write through for so long; false: the server is too old for it (before 6.2).
    pub(crate) fn pause_writes(&mut self, ms: u64) -> Result<bool, RequestError> {
        match self.connection.ask(&["CLIENT", "PAUSE", &ms.to_string(), "WRITE"]) {
            Ok(_) => Ok(true),
            Err(RequestError::Answered(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Lets writes through again; as a replica: answers them with an error at once.
    pub(crate) fn unpause(&mut self) -> Result<(), RequestError> {
        self.connection.ask(&["CLIENT", "UNPAUSE"]).map(drop)
    }
}
