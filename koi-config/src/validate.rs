//! What must hold between the values, whatever the format.

mod groups;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use koi_duration::format as show;

use crate::config::{CLASSIC_PASSWORD, ClusterKey, Config, ELECTORS, Electors, NAME_BYTES, Quorum};
use crate::keys::display_name;
use crate::source::{Format, Identity};

/// Hooks that may run at once.
const PARALLEL: u32 = 4096;
/// Bad statuses in a row that a service may have at most.
const BAD_STATUSES: u32 = 1000;
/// Restarts of a service in a window at most.
const RESTARTS: u32 = 100;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can; an operator should know.
    Warning,
}

/// Something that is wrong with a configuration as a whole, wherever it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDiagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The keys that it is about (`timing.heartbeat`), the one to look at first in front.
    pub keys: Vec<Cow<'static, str>>,
    /// What is wrong: one line.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Config {
    /// Everything that is wrong with this configuration, or worth a warning. [`crate::load`] does this too.
    pub fn validate(&self) -> Vec<ConfigDiagnostic> {
        check(self, Format::Toml, Identity::File)
    }
}

/// As [`Config::validate`], with the keys' names in this format.
pub(crate) fn check(config: &Config, format: Format, identity: Identity<'_>) -> Vec<ConfigDiagnostic> {
    let mut validator = Validator { config, format, identity, problems: Vec::new() };
    validator.node();
    validator.names();
    validator.key();
    validator.electors();
    validator.quorum();
    validator.transport();
    validator.leases();
    validator.durations();
    validator.services();
    validator.plugins();
    validator.problems.extend(groups::check(config));
    validator.problems
}

struct Validator<'c> {
    config: &'c Config,
    format: Format,
    identity: Identity<'c>,
    problems: Vec<ConfigDiagnostic>,
}

impl Validator<'_> {
    fn error(&mut self, keys: &[&'static str], message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Error, keys, message.into(), hint.into());
    }

    fn warn(&mut self, keys: &[&'static str], message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Warning, keys, message.into(), hint.into());
    }

    fn add(&mut self, severity: Severity, keys: &[&'static str], message: String, hint: String) {
        let keys = keys.iter().map(|key| Cow::Borrowed(*key)).collect();
        self.problems.push(ConfigDiagnostic { severity, keys, message, hint });
    }

    fn node(&mut self) {
        let node = &self.config.node;
        if let Err(why) = check_name(&node.name) {
            self.error(&["node.name"], format!("node.name {why}"), "");
        }
        if !node.elector && !node.runner {
            self.error(
                &["node.runner", "node.elector"],
                "this node is neither elector nor runner, so it has nothing to do",
                "set node.elector, node.runner or both to true",
            );
        }
    }

    /// The electors' names, and this node among them.
    fn names(&mut self) {
        let Some(Electors::Names(names)) = &self.config.cluster.electors else { return };
        let key = ["cluster.electors"];
        let mut seen = HashSet::new();
        for name in names {
            if let Err(why) = check_name(name) {
                self.error(&key, format!("cluster.electors: a name {why}"), "");
            }
            if !seen.insert(name) {
                self.error(
                    &key,
                    format!("cluster.electors names {name:?} twice"),
                    "each node has a name of its own",
                );
            }
        }
        if self.identity == Identity::Client {
            return;
        }
        let node = &self.config.node;
        match (node.elector, names.contains(&node.name)) {
            (true, false) => self.error(
                &["cluster.electors", "node.name"],
                format!("cluster.electors does not name this node, {:?}, which is an elector", node.name),
                "add it to cluster.electors on every node, or set node.elector = false, or set node.name",
            ),
            (false, true) => self.warn(
                &["node.elector", "cluster.electors"],
                format!("cluster.electors names this node, {:?}, which does not vote", node.name),
                "set node.elector = true, or take it out of cluster.electors on every node",
            ),
            (true, true) | (false, false) => {}
        }
    }

    fn key(&mut self) {
        let ClusterKey::Password(password) = &self.config.cluster.key else { return };
        let key = ["cluster.password"];
        if password.is_empty() {
            let hint = match self.format {
                Format::Toml => "make a key with `koi keygen` and set cluster.key_file",
                Format::Classic => "set one of your own, the same on every node",
            };
            self.error(&key, "cluster.password is empty", hint);
        } else if password == CLASSIC_PASSWORD {
            self.warn(
                &key,
                "cluster.password is \"secret\", the classic default, which everybody knows",
                "set one of your own on every node; better: `koi keygen` and cluster.key_file in koi.toml",
            );
        }
    }

    fn electors(&mut self) {
        let Some(electors) = self.config.cluster.electors.as_ref().map(Electors::count) else { return };
        if !(1..=ELECTORS).contains(&electors) {
            // Classic has no key for the number of electors; it follows from the quorum.
            self.error(
                &["cluster.electors", "cluster.quorum"],
                format!("a cluster has 1 to {ELECTORS} electors, not {electors}"),
                "3 or 5 are usual; further nodes can be runners only",
            );
        } else if electors == 2 && self.config.quorum_size() == 2 {
            self.warn(
                &["cluster.electors", "cluster.quorum"],
                "with 2 electors the majority is both: when one is lost, no failover is possible",
                "add a third elector; a machine that only votes is enough (node.runner = false)",
            );
        }
    }

    fn quorum(&mut self) {
        let known = self.config.elector_count();
        match (self.config.cluster.quorum, known) {
            (Quorum::Off, _) => self.warn(
                &["cluster.quorum"],
                "quorum is off: split brain is possible, two nodes that do not hear each other both become master",
                match self.format {
                    Format::Toml => "set cluster.electors and quorum = \"majority\"; the third elector may be a machine that only votes",
                    Format::Classic => "set cluster.quorum to the number of electors needed: 2 of 3, 3 of 5",
                },
            ),
            (Quorum::Majority, 0) => self.warn(
                &["cluster.quorum"],
                "electors is not set, so quorum is off: split brain is possible; set cluster.electors",
                "cluster.electors = 3, say, or a list of their names; the same on every node",
            ),
            (Quorum::Count(needed), 0) => self.error(
                &["cluster.quorum"],
                format!("cluster.quorum is {needed}, but cluster.electors is not set: nobody knows if that is a majority"),
                "set cluster.electors",
            ),
            (Quorum::Count(needed), electors) if needed > electors => self.error(
                &["cluster.quorum", "cluster.electors"],
                format!("cluster.quorum is {needed}, but there are only {electors} electors"),
                format!("quorum = \"majority\" is {} of {electors}", electors / 2 + 1),
            ),
            (Quorum::Count(needed), electors) if needed <= electors / 2 => self.error(
                &["cluster.quorum", "cluster.electors"],
                format!("cluster.quorum = {needed} is no majority of {electors} electors: two halves could both lead"),
                "use quorum = \"majority\"; if split brain is acceptable, quorum = \"off\" is what allows it",
            ),
            (Quorum::Majority | Quorum::Count(_), _) => {}
        }
    }

    fn transport(&mut self) {
        if self.config.cluster.transport.is_empty() && self.config.elector_count() != 1 {
            self.warn(
                &["cluster.transport"],
                "cluster.transport is empty: this node sends to nobody",
                "list the addresses of the other nodes, or a multicast group",
            );
        }
    }

    /// Leases under which the rules of docs/protocol.md hold.
    fn leases(&mut self) {
        let timing = &self.config.timing;
        let three = timing.heartbeat * 3;
        if timing.leader_lease < three {
            self.error(
                &["timing.leader_lease", "timing.heartbeat"],
                format!(
                    "timing.leader_lease is {}, and must be at least 3 heartbeats: {}",
                    show(timing.leader_lease),
                    show(three)
                ),
                "a shorter one ends whenever a datagram or two are lost; 5 heartbeats are usual",
            );
        }
        let least = timing.leader_lease + three;
        if timing.master_lease < least {
            self.error(
                &["timing.master_lease", "timing.leader_lease", "timing.heartbeat"],
                format!(
                    "timing.master_lease is {}, and must be at least leader_lease + 3 heartbeats: {}",
                    show(timing.master_lease),
                    show(least)
                ),
                "a shorter one ends while a new leader is elected: a healthy master would be demoted",
            );
        }
    }

    fn durations(&mut self) {
        let (timing, services) = (&self.config.timing, &self.config.services);
        let hooks = &services.timeouts;
        let ms = Duration::from_millis;
        let (minute, hour, day) = (Duration::from_mins(1), Duration::from_hours(1), Duration::from_hours(24));
        let bounds: [(&'static str, Duration, RangeInclusive<Duration>); 17] = [
            ("timing.heartbeat", timing.heartbeat, ms(5)..=ms(10_000)),
            ("timing.leader_lease", timing.leader_lease, ms(15)..=minute * 5),
            ("timing.master_lease", timing.master_lease, ms(30)..=minute * 10),
            ("timing.demote_grace", timing.demote_grace, ms(1)..=hour),
            ("timing.status_interval", timing.status_interval, ms(10)..=day),
            ("timing.initial_promotion_delay", timing.initial_promotion_delay, ms(0)..=day),
            ("timing.failure_promotion_timeout", timing.failure_promotion_timeout, ms(0)..=day * 7),
            ("services.timeouts.start", hooks.start, ms(1)..=day),
            ("services.timeouts.stop", hooks.stop, ms(1)..=day),
            ("services.timeouts.status", hooks.status, ms(1)..=day),
            ("services.timeouts.promote", hooks.promote, ms(1)..=day),
            ("services.timeouts.demote", hooks.demote, ms(1)..=day),
            ("services.timeouts.failed", hooks.failed, ms(1)..=day),
            ("services.timeouts.changed", hooks.changed, ms(1)..=day),
            ("services.policy.status_retry", services.policy.status_retry, ms(10)..=day),
            ("services.policy.restart_window", services.policy.restart_window, ms(1000)..=day * 7),
            ("services.policy.restart_timeout", services.policy.restart_timeout, ms(100)..=day),
        ];
        for (key, value, range) in bounds {
            if !range.contains(&value) {
                let (name, value) = (display_name(key, self.format), show(value));
                let (least, most) = (show(*range.start()), show(*range.end()));
                self.error(&[key], format!("{name} is {value}, and must be from {least} to {most}"), "");
            }
        }
    }

    fn plugins(&mut self) {
        let plugins = &self.config.plugins;
        if plugins.require_signature && plugins.trusted_keys.iter().next().is_none() {
            self.warn(
                &["plugins.require_signature", "plugins.trusted_keys"],
                "plugins.require_signature is true, and plugins.trusted_keys is empty: no plugin can be loaded",
                "write the public keys of those who sign your plugins into plugins.trusted_keys",
            );
        }
    }

    fn services(&mut self) {
        let services = &self.config.services;
        let bounds = [
            ("services.auto_recover_wait_factor", services.auto_recover_wait_factor, 1..=8),
            ("services.max_parallel", services.max_parallel, 1..=PARALLEL),
            ("services.policy.status_failures", services.policy.status_failures, 1..=BAD_STATUSES),
            ("services.policy.restarts", services.policy.restarts, 0..=RESTARTS),
        ];
        for (key, value, range) in bounds {
            if !range.contains(&value) {
                let name = display_name(key, self.format);
                self.error(
                    &[key],
                    format!("{name} is {value}, and must be from {} to {}", range.start(), range.end()),
                    "",
                );
            }
        }
    }
}

/// Why a name is none.
#[derive(Debug, thiserror::Error)]
enum NameError {
    #[error("must have 1 to {NAME_BYTES} bytes, not {0}")]
    Length(usize),
    #[error("must have no white space and no control characters: {0:?}")]
    Characters(String),
}

/// Whether a name can be typed, shown and sent.
fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() || name.len() > NAME_BYTES {
        Err(NameError::Length(name.len()))
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Err(NameError::Characters(name.to_owned()))
    } else {
        Ok(())
    }
}
