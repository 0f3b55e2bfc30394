//! What a server says of itself in `INFO`.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

/// A server as `INFO` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Its version.
    pub version: String,
    /// Another one after each start of the server.
    pub run_id: String,
    /// The id of its process, as its own machine counts; none: it does not say.
    pub process: Option<u32>,
    /// It reads its data from disk and answers nothing else.
    pub loading: bool,
    /// How far it is in the stream of writes, in bytes.
    pub offset: u64,
    /// Where it copies from; none: it is a master and takes writes.
    pub source: Option<Source>,
    /// The replicas that copy from it.
    pub replicas: Vec<Replica>,
}

/// Where a replica copies from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// An IP or a name, as it was told.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The link is there: what the source writes arrives here.
    pub link_up: bool,
    /// It receives its first copy: its own data is not whole.
    pub syncing: bool,
    /// Seconds since the link broke; none: it is there, or never was.
    pub down_s: Option<u64>,
}

impl Source {
    /// Whether it copies from this address.
    pub fn is(&self, address: SocketAddr) -> bool {
        self.port == address.port() && self.host.parse() == Ok(address.ip())
    }
}

/// A replica as its source sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// It has had its first copy.
    pub online: bool,
    /// How far it has said to be, in bytes.
    pub offset: u64,
}

/// What is wrong with an answer to `INFO`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InfoError {
    /// The role is neither that of a master nor that of a replica.
    Role(String),
}

impl std::error::Error for InfoError {}

impl fmt::Display for InfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InfoError::Role(role) => write!(f, "INFO says role {role:?}, neither master nor replica"),
        }
    }
}

impl Info {
    /// Reads the answer to `INFO`. What is not there is zero, empty or false: servers of all versions leave something out.
    ///
    /// # Errors
    /// When it does not say whether the server is master or replica.
    pub fn parse(text: &str) -> Result<Info, InfoError> {
        let fields: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
        let text_of = |key: &str| fields.get(key).copied().unwrap_or_default();
        let number = |key: &str| text_of(key).parse::<u64>().ok();
        let (source, offset) = match text_of("role") {
            "master" => (None, number("master_repl_offset")),
            "slave" | "replica" => {
                let source = Source {
                    host: text_of("master_host").to_owned(),
                    port: text_of("master_port").parse().unwrap_or_default(),
                    link_up: text_of("master_link_status") == "up",
                    syncing: text_of("master_sync_in_progress") == "1",
                    down_s: number("master_link_down_since_seconds"),
                };
                // Not master_repl_offset: that goes on telling the old one when a first copy broke off and the data is gone.
                (Some(source), number("slave_repl_offset"))
            }
            other => return Err(InfoError::Role(other.to_owned())),
        };
        let replicas =
            (0..).map_while(|n| fields.get(format!("slave{n}").as_str())).map(|line| replica(line)).collect();
        Ok(Info {
            version: text_of("redis_version").to_owned(),
            run_id: text_of("run_id").to_owned(),
            process: text_of("process_id").parse().ok(),
            loading: text_of("loading") == "1" || text_of("async_loading") == "1",
            offset: offset.unwrap_or_default(),
            source,
            replicas,
        })
    }

    /// Whether every replica that copies from it has everything that it has.
    pub fn is_copied(&self) -> bool {
        self.replicas.iter().filter(|replica| replica.online).all(|replica| replica.offset >= self.offset)
    }
}

/// `ip=10.0.0.2,port=6379,state=online,offset=1234,lag=0`
fn replica(line: &str) -> Replica {
    let field = |name: &str| line.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    Replica {
        online: field("state") == Some("online"),
        offset: field("offset").and_then(|offset| offset.parse().ok()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_with_a_replica_that_lags_and_one_that_is_new() {
        let text = "# Server\r\nredis_version:7.0.15\r\nprocess_id:4711\r\nrun_id:f00d\r\n\r\n# Persistence\r\nloading:0\r\n\r\n# Replication\r\n\
            role:master\r\nconnected_slaves:2\r\n\
            slave0:ip=10.0.0.2,port=6379,state=online,offset=690,lag=1\r\n\
            slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n\
            master_repl_offset:704\r\n";
        let mut info = Info::parse(text).unwrap();
        assert_eq!((info.version.as_str(), info.run_id.as_str(), info.offset), ("7.0.15", "f00d", 704));
        assert_eq!((info.source.as_ref(), info.process), (None, Some(4711)));
        assert!(!info.is_copied());
        info.replicas[0].offset = 704;
        assert!(info.is_copied(), "one that is still to get its first copy is not waited for");
    }

    #[test]
    fn a_replica_whose_link_is_down() {
        let text = "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n\
            master_sync_in_progress:0\r\nslave_repl_offset:1704\r\nmaster_link_down_since_seconds:3\r\nmaster_repl_offset:1704\r\n";
        let info = Info::parse(text).unwrap();
        let source = info.source.unwrap();
        assert!(source.is("10.0.0.1:6379".parse().unwrap()) && !source.is("10.0.0.1:6380".parse().unwrap()));
        assert_eq!(
            (source.link_up, source.syncing, source.down_s, info.offset),
            (false, false, Some(3), 1704)
        );
    }

    #[test]
    fn a_link_that_never_was_has_no_time_of_breaking() {
        let text = "role:slave\r\nmaster_host::::1\r\nmaster_port:1\r\nmaster_link_down_since_seconds:-1\r\nslave_repl_offset:-1\r\n";
        let info = Info::parse(text).unwrap();
        assert_eq!((info.offset, info.source.unwrap().down_s), (0, None));
    }

    #[test]
    fn something_else_is_no_server() {
        assert_eq!(
            Info::parse("role:sentinel\r\n").unwrap_err().to_string(),
            "INFO says role \"sentinel\", neither master nor replica"
        );
        assert!(Info::parse("").is_err());
    }
}
