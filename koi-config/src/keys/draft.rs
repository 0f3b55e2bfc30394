//! A configuration while it is read or written: what depends on something else may still be unset.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use koi_core::group::GroupName;

use crate::config::{
    Cluster, ClusterKey, Config, DEFAULT_PORT, Fence, NAME_BYTES, Node, OnStopFailure, Plugins, Policy,
    Quorum, Services, Timeouts, Timing,
};
use crate::source::Format;
use crate::value::{Bind, Destination, LogLevel, Secret};

/// What a file says, over the defaults.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) name: Option<String>,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) workingdir: Option<PathBuf>,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) bind: Bind,
    pub(crate) transport: Vec<Destination>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) password: Option<Secret>,
    /// Everything else; the fields above are not yet filled in.
    pub(crate) rest: Config,
}

/// Defaults that go by the port: several classic nodes on one machine differ in nothing else.
struct ByPort {
    name: String,
    state_dir: PathBuf,
    socket: PathBuf,
}

impl ByPort {
    fn new(format: Format, port: u16) -> ByPort {
        if format == Format::Toml || port == DEFAULT_PORT {
            return ByPort {
                name: host_name(NAME_BYTES),
                state_dir: "/var/lib/koi".into(),
                socket: "/run/koi/koid.sock".into(),
            };
        }
        let suffix = format!("-{port}");
        ByPort {
            name: host_name(NAME_BYTES - suffix.len()) + &suffix,
            state_dir: format!("/var/lib/koi/{port}").into(),
            socket: format!("/run/koi/koid-{port}.sock").into(),
        }
    }
}

/// This machine's name; only what stands before the first dot if it is longer than `most_bytes`.
fn host_name(most_bytes: usize) -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name if name.len() <= most_bytes => name.to_owned(),
        // A label has at most 63 bytes; only a port's suffix can still make it too long.
        name => name.split('.').next().unwrap_or(name).chars().take(most_bytes).collect(),
    }
}

impl Draft {
    /// Nothing is set: the defaults of a format.
    pub(crate) fn new(format: Format) -> Draft {
        let mut rest = defaults();
        if format == Format::Classic {
            rest.node.runner = false;
            rest.cluster.quorum = Quorum::Off;
        }
        Draft {
            name: None,
            state_dir: None,
            socket: None,
            workingdir: None,
            log_level: None,
            bind: Bind::any(),
            transport: Vec::new(),
            key_file: None,
            password: None,
            rest,
        }
    }

    /// The draft that becomes `config` in this format: what would be the default anyway is unset.
    pub(crate) fn for_config(config: &Config, format: Format) -> Draft {
        let by_port = ByPort::new(format, config.node.port);
        let unless = |value: &PathBuf, default: &PathBuf| (value != default).then(|| value.clone());
        let (key_file, password) = match &config.cluster.key {
            ClusterKey::File(path) => (Some(path.clone()), None),
            ClusterKey::Password(password) => (None, Some(Secret(password.clone()))),
        };
        Draft {
            name: (config.node.name != by_port.name).then(|| config.node.name.clone()),
            state_dir: unless(&config.node.state_dir, &by_port.state_dir),
            socket: unless(&config.node.socket, &by_port.socket),
            workingdir: unless(&config.services.workingdir, &config.services.folder),
            log_level: config.node.log_level.as_deref().and_then(LogLevel::named),
            bind: Bind { ip: config.node.bind, zone: config.node.bind_zone },
            transport: config
                .cluster
                .transport
                .iter()
                .map(|address| Destination::from_address(*address, config.node.port))
                .collect(),
            key_file,
            password,
            rest: config.clone(),
        }
    }

    /// The draft that says all of `config`, defaults too.
    pub(crate) fn full(config: &Config) -> Draft {
        Draft {
            name: Some(config.node.name.clone()),
            state_dir: Some(config.node.state_dir.clone()),
            socket: Some(config.node.socket.clone()),
            workingdir: Some(config.services.workingdir.clone()),
            log_level: config.node.log_level.as_deref().or(Some("info")).and_then(LogLevel::named),
            ..Draft::for_config(config, Format::Toml)
        }
    }

    /// Fills in what is unset. Without a key the password is empty.
    pub(crate) fn settle(self, format: Format) -> Config {
        let mut config = self.rest;
        let port = config.node.port;
        let by_port = ByPort::new(format, port);
        config.node.name = self.name.unwrap_or(by_port.name);
        config.node.state_dir = self.state_dir.unwrap_or(by_port.state_dir);
        config.node.socket = self.socket.unwrap_or(by_port.socket);
        config.node.log_level = self.log_level.map(|level| level.0.to_owned());
        config.services.workingdir = self.workingdir.unwrap_or_else(|| config.services.folder.clone());
        if let Some(main) = config.groups.get_mut(&GroupName::MAIN) {
            main.folder.clone_from(&config.services.folder);
        }
        (config.node.bind, config.node.bind_zone) = (self.bind.ip, self.bind.zone);
        config.cluster.transport = self.transport.into_iter().map(|d| d.resolve(port)).collect();
        config.cluster.key = match (self.key_file, self.password) {
            (Some(path), _) => ClusterKey::File(path),
            (None, Some(password)) => ClusterKey::Password(password.0),
            (None, None) => ClusterKey::Password(String::new()),
        };
        config
    }
}

/// The defaults of docs/configuration.md; what a draft fills in later is empty.
fn defaults() -> Config {
    Config {
        node: Node {
            name: String::new(),
            elector: true,
            runner: true,
            priority: 0,
            bind: Bind::any().ip,
            bind_zone: 0,
            port: DEFAULT_PORT,
            increment_port: false,
            state_dir: PathBuf::new(),
            socket: PathBuf::new(),
            fence: Fence::None,
            watchdog: "/dev/watchdog".into(),
            maintenance: false,
            log_level: None,
        },
        cluster: Cluster {
            id: 13,
            electors: None,
            quorum: Quorum::Majority,
            transport: Vec::new(),
            key: ClusterKey::Password(String::new()),
            accept_key_files: Vec::new(),
        },
        timing: Timing {
            heartbeat: Duration::from_millis(100),
            leader_lease: Duration::from_millis(500),
            master_lease: Duration::from_secs(1),
            demote_grace: Duration::from_secs(1),
            initial_promotion_delay: Duration::from_secs(5),
            failure_promotion_timeout: Duration::from_secs(60),
            status_interval: Duration::from_secs(10),
        },
        services: Services {
            folder: "/etc/koi/services".into(),
            workingdir: PathBuf::new(),
            auto_recover: 120,
            auto_recover_time: Duration::from_secs(10),
            auto_recover_wait_factor: 1,
            failcount_reset: Duration::from_mins(30),
            on_stop_failure: OnStopFailure::Block,
            max_parallel: 64,
            timeouts: Timeouts {
                start: Duration::from_secs(360),
                stop: Duration::from_secs(360),
                status: Duration::from_secs(120),
                promote: Duration::from_secs(30),
                demote: Duration::from_secs(30),
                failed: Duration::from_secs(20),
                changed: Duration::from_secs(20),
            },
            policy: Policy {
                status_failures: 1,
                status_retry: Duration::from_secs(1),
                restarts: 0,
                restart_window: Duration::from_mins(10),
                restart_timeout: Duration::from_secs(30),
                critical: true,
            },
        },
        plugins: Plugins {
            dirs: vec!["/usr/lib/koi/plugins".into(), "/etc/koi/plugins".into()],
            trusted_keys: Default::default(),
            require_signature: false,
        },
        groups: BTreeMap::new(),
        fence: None,
    }
}
