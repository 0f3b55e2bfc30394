//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::reporting::log::Sink;

/// koi's daemon: one runs on each machine of the cluster. It stays in the foreground; systemd, or whatever else starts
/// it, keeps it running.
#[derive(Clone, Debug, Parser)]
#[command(name = "koid", version, disable_help_subcommand = true)]
pub(crate) struct Args {
    /// Configuration; without it the first of ./koi.toml, /etc/koi/koi.toml, ./koi.conf, /etc/koi/koi.conf that exists
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The node's name, instead of node.name
    #[arg(short, long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Check configuration, services and plugins, print every problem, and exit: 1 if there is one
    #[arg(long)]
    pub(crate) check: bool,
    /// Where the log goes; several separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "console", value_name = "WHERE")]
    pub(crate) log: Vec<Sink>,
    /// No colours on a terminal
    #[arg(short = 'C', long)]
    pub(crate) no_color: bool,
    /// Log more
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// Classic; refused with an explanation
    #[arg(long, value_name = "PIDFILE", hide = true)]
    pub(crate) daemonize: Option<PathBuf>,
    /// koid starts its guardian by this; the file is locked while the guardian lives
    #[arg(long, value_name = "LOCK", hide = true)]
    pub(crate) guard: Option<PathBuf>,
}

impl Args {
    /// What a guardian is started with.
    pub(crate) fn for_guardian(&self) -> Vec<OsString> {
        let sinks: Vec<_> = self.log.iter().filter_map(ValueEnum::to_possible_value).collect();
        let sinks: Vec<&str> = sinks.iter().map(|sink| sink.get_name()).collect();
        let mut words: Vec<OsString> = vec!["--log".into(), sinks.join(",").into()];
        words.extend(self.no_color.then(|| "--no-color".into()));
        words.extend(self.debug.then(|| "--debug".into()));
        if let Some(lock) = &self.guard {
            words.extend(["--guard".into(), lock.into()]);
        }
        words
    }
}

/// What `--daemonize` is answered.
pub(crate) const NO_DAEMONIZE: &str = "koid does not put itself in the background any more: it runs in the foreground and \
     something else keeps it running. With systemd: `systemctl enable --now koid`. Elsewhere: \
     `start-stop-daemon --background --make-pidfile --pidfile PIDFILE --exec /usr/sbin/koid -- --log syslog`";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn logs_can_be_combined() {
        let args = Args::try_parse_from(["koid", "--log", "console,syslog", "-n", "a", "-d", "-C"]).unwrap();
        assert_eq!(args.log, [Sink::Console, Sink::Syslog]);
        assert!(args.debug && args.no_color && args.name.as_deref() == Some("a"));
    }
}
