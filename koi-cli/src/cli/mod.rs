//! The command line: one tree of options and commands feeds the parser, the help and the completions.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use koi_proto::api::Group;

mod artifacts;
mod attr;
mod drill;
mod plugins;
mod time;

use self::time::duration;
pub(crate) use artifacts::{
    KeyPassword, Load, PluginKeygen, PluginVersion, Pull, Push, ReachRegistry, Rollout, Save, Sign, Verify,
};
pub(crate) use attr::{Attr, AttrRead, AttrWait, AttrWrite};
pub(crate) use drill::{Drill, DrillKind};
pub(crate) use plugins::{
    Capability, CheckPlugin, Dev, HookName, Inspect, Language, New, Plugins, RunHook, ShowGrants, TestPlugin,
    value_name,
};

/// How long one answer may take when nobody says otherwise.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// How long `koi wait` waits in all when nobody says otherwise.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  koi status                     is all well, and if not, why?
  koi status db1                 one node with each of its services
  koi promote db2 --dry-run      what would happen?
  koi promote db2 --wait         make db2 the master, and return when it is promoted
  koi promote db2 --group web    the same for one of several groups; `koi status` lists them
  koi drill switch-over          move the role to another node and back: what takes how long?
  koi wait --for master          return when a master is promoted with all its critical services
  koi attr set sync db2          in a hook of the master: every node knows, and the next promote does
  koi maintenance on             run no hooks and elect nobody, while you work on it
  koi plugins list               the handlers of the asked node, and whether they can be used
  koi plugins new mydb --lang go begin a handler of your own
  koi -H 10.0.0.2 -o json status ask another machine, for a program

Exit codes:
  0  done, or all is well
  1  failed, or refused by the state of things; (drill) a bound was exceeded
  2  wrong usage
  3  (status, wait) degraded, warnings, or no master; (promote --wait) not in time
  4  no answer in time: no daemon, no leader, or a change that was not confirmed
  5  refused because it would not be safe

Without -f: ./koi.toml, /etc/koi/koi.toml, ./koi.conf, /etc/koi/koi.conf, the first that exists.
A hook's script asks the daemon that runs it, by KOI_SOCKET in its environment.
KOI_SECRET in the environment holds the cluster's password where no configuration does.";

/// The `koi` command.
#[derive(Debug, Parser)]
#[command(
    name = "koi",
    version,
    about = "Shows and steers a koi cluster",
    after_help = "`koi --help` has examples and the exit codes.",
    after_long_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    infer_long_args = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Options {
    /// Configuration file, for the socket, the port and the key
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Ask the daemon of another machine: a name or an address, or either with :PORT
    #[arg(short = 'H', long, global = true, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Its port; without --host: of a daemon on this machine
    #[arg(short, long, global = true, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Ask the daemon behind this socket, whatever the configuration says
    #[arg(long, global = true, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub(crate) socket: Option<PathBuf>,
    /// How long an answer may take: 500ms, 6s, 1m [default: 6s]
    #[arg(short, long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// For people, or for programs: what the API says, errors too
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Output,
    /// When to use colour; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(short, long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// Say on standard error what is asked of whom
    #[arg(short, long, global = true)]
    pub(crate) debug: bool,
    /// The cluster's password; `ps` shows it to everyone, KOI_SECRET or the configuration do not
    #[arg(long, global = true, value_name = "PASSWORD")]
    pub(crate) secret: Option<Secret>,
    /// The cluster's id
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) id: Option<u32>,
}

/// A password. It is never shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Table,
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the asked node as it sees itself
    Local,
    /// Show whether all is well, and if not, why; or one node in detail
    Status {
        /// Name or UUID of a node
        node: Option<String>,
    },
    /// Show the nodes with all their services
    Tree,
    /// Show the status, redrawn every second, until Ctrl-C
    Watch,
    /// Show what happens as it happens
    Events(Events),
    /// Show recent failures
    Failures(OfGroup),
    /// Read and write the attributes of a group: a few texts that its master writes and every node reads
    #[command(
        subcommand,
        long_about = "Read and write the attributes of a group: a few texts that its master writes and every node reads.\n\n\
        A hook's script needs no options: KOI_TOKEN names its group and its mastership. Attributes are no place for secrets."
    )]
    Attr(Attr),
    /// Wait until the cluster has a master, has a leader, or is healthy
    Wait(Wait),
    /// Make a node the master, and leave manual mode
    Promote(PromoteNode),
    /// Bring about a fault on purpose, measure what follows, and bring the role back
    #[command(
        long_about = "Bring about a fault on purpose, measure what follows, and bring the role back.\n\n\
        It says first what it will do and to whom, and asks. The times of detection, demotion, grant and promotion are compared with \
        demote_grace and the leases, shown, and written into the events of the asked node. It is refused unless all is well: in maintenance, \
        without a quorum, or with a node missing nothing is begun. -t is how long each wait may take [default: 60s]."
    )]
    Drill(Drill),
    /// Demote the master and choose none until `promote` or `elect` (manual mode)
    Demote(ForGroup),
    /// Leave manual mode: let the leader choose the master
    Elect(ForGroup),
    /// Allow services on a node again
    Start(OnNodeForGroup),
    /// Forbid services on a node: they are demoted and stopped
    Stop(OnNodeForGroup),
    /// Forget a node's failures and let it try again
    Recover(OnNodeForGroup),
    /// Switch maintenance mode: no hook runs anywhere, nobody is elected or demoted
    Maintenance {
        /// on or off
        state: OnOff,
    },
    /// Make a node read its configuration again
    Reconfigure(OnNode),
    /// Attest that a lost node is surely off, so that another may be promoted at once
    #[command(
        long_about = "Attest that a lost node is surely off, so that another may be promoted at once.\n\n\
        koi believes you. If the node still runs with something promoted, there will be two masters: cut its power \
        or its network first."
    )]
    ConfirmDown {
        /// Name or UUID
        node: String,
    },
    /// Turn a node off by its fence, so that another may be promoted
    #[command(long_about = "Turn a node off by its fence, so that another may be promoted.\n\n\
        The leader does what [fence] in its koi.toml says. When the node was seen to be off, what it was master of is free. A node that \
        is heard is not turned off, unless it says itself that it could not stop something. `koi status` and `koi events` tell what comes of it.")]
    Fence {
        /// Name or UUID
        node: String,
        /// Only say what would happen
        #[arg(long)]
        dry_run: bool,
    },
    /// Show who votes, or change it
    #[command(subcommand)]
    Electors(Electors),
    /// Let an elector without a record begin a new cluster
    #[command(
        long_about = "Let an elector without a record begin a new cluster, with the electors without one that it hears.\n\n\
        It shows them and asks. Say it on each of them: the first leader needs the vote of every one. Only needed when the \
        configured electors cannot all be there, or have lost their disks. What others know of an older cluster is given up: \
        use it only when no majority of the old electors can come back."
    )]
    Bootstrap {
        /// Only show with which electors
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
    /// Give this machine an identity of its own: after its disk was copied from another
    #[command(
        name = "reset-identity",
        long_about = "Give this machine an identity of its own, after its disk was copied from another.\n\n\
        What its state folder says is another node's: it is set aside, and the next koid here begins as a node that nobody knows. \
        Stop koid on this machine first. `koi electors add` or `replace` makes an elector of it."
    )]
    ResetIdentity,
    /// Validate this machine's configuration, services and plugins (runs `koid --check`)
    Check,
    /// Show the configuration, or convert it
    #[command(subcommand)]
    Config(Config),
    /// Write a starting koi.toml
    Init(Init),
    /// Make a key for the cluster: 64 hexadecimal digits, readable by you alone
    Keygen {
        /// Where to write it; `-` is standard output
        #[arg(value_name = "FILE", default_value = "/etc/koi/cluster.key")]
        target: PathBuf,
        /// Replace a key that is there
        #[arg(long)]
        force: bool,
    },
    /// Show the handlers that run services; check, try and begin handlers of your own
    #[command(subcommand)]
    Plugins(Plugins),
    /// Print the interface of WASM handlers (WIT)
    Wit,
    /// Run a cluster of three nodes on this machine, to look at and to try things on
    #[command(
        long_about = "Run a cluster of three nodes on this machine, to look at and to try things on.\n\n\
        Everything is in one temporary folder and on 127.0.0.1: it needs no configuration and no rights, touches \
        nothing else, and leaves nothing behind. Ctrl-C ends it."
    )]
    Demo(Demo),
    /// Write the completions for a shell to standard output
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// `koi electors`.
#[derive(Debug, Subcommand)]
pub(crate) enum Electors {
    /// Show the electors, and the nodes that could become one
    List,
    /// Make an elector of a node that answers and is configured to vote
    Add {
        /// Name or UUID
        node: String,
    },
    /// Let a node vote no more, whether it is there or not
    Remove {
        /// Name or UUID of an elector
        node: String,
    },
    /// Let a node vote in another's place: for a machine that was replaced, under the same name too
    Replace {
        /// Name or UUID of an elector
        old: String,
        /// Name or UUID of a node that answers and does not vote
        new: String,
    },
}

/// `koi promote`.
#[derive(Debug, Args)]
pub(crate) struct PromoteNode {
    /// Name or UUID
    pub(crate) node: String,
    /// Only say what would happen
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    /// Return when it is promoted with all its critical services, and say what took how long; -t is then for the whole wait [default: 60s]
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) of: ForGroup,
}

/// A command for one node.
#[derive(Debug, Args)]
pub(crate) struct OnNode {
    /// Name or UUID [default: the asked node]
    pub(crate) node: Option<String>,
}

/// A command for one node, as far as a group goes.
#[derive(Debug, Args)]
pub(crate) struct OnNodeForGroup {
    #[command(flatten)]
    pub(crate) on: OnNode,
    #[command(flatten)]
    pub(crate) of: ForGroup,
}

/// A change of one group.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ForGroup {
    /// Of which group; needed where there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<Group>,
}

/// A question about one group, or all.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OfGroup {
    /// Only of this group [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<Group>,
}

/// `koi init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Where to [default: what -f says, or ./koi.toml]
    #[arg(value_name = "FILE")]
    pub(crate) target: Option<PathBuf>,
    /// How many nodes vote [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) electors: Option<u16>,
    /// Addresses of all nodes, or a multicast group, separated by commas
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    pub(crate) transport: Vec<String>,
    /// The cluster's key [default: /etc/koi/cluster.key]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Write no configuration: take the identity away from the one that is there, before a disk image is made of this machine
    #[arg(long, conflicts_with_all = ["target", "electors", "transport", "key_file"])]
    pub(crate) new_identity: bool,
}

/// `koi events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only those that are kept; do not wait for more
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Only those with a number from N on
    #[arg(long, value_name = "N")]
    pub(crate) since: Option<u64>,
    #[command(flatten)]
    pub(crate) of: OfGroup,
}

/// `koi wait`. Its `--timeout` is for the whole wait; `-t` stays what it is everywhere, the time for one answer.
#[derive(Debug, Args)]
pub(crate) struct Wait {
    /// What to wait for
    #[arg(long = "for", value_name = "WHAT")]
    pub(crate) goal: Goal,
    /// How long to wait in all [default: 60s]
    #[arg(id = "wait_timeout", long = "timeout", value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) of: OfGroup,
    /// Stands in for the global option, whose long name is taken here; clap copies the value to it.
    #[arg(id = "timeout", short = 't', value_name = "TIME", value_parser = duration, help = "How long one answer may take [default: 6s]")]
    _answer_timeout: Option<Duration>,
}

/// `koi demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// A fixed tour of faults and commands, measured and checked; exit 0 only if all went well
    #[arg(long)]
    pub(crate) script: bool,
    /// Leave the folder with its logs behind
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// A master is promoted with all its services that are critical.
    Master,
    /// A leader acts.
    Leader,
    /// All is well.
    Healthy,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

/// `koi config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show every setting as it is in force, defaults included
    Show,
    /// Turn koi.toml into the classic koi.conf or the other way round
    Convert {
        /// Into which [default: the one that it is not]
        #[arg(long, value_name = "FORMAT")]
        to: Option<Format>,
        /// Where to; it must not exist [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The two formats of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// koi.toml
    Toml,
    /// koi.conf
    Classic,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once("koi").chain(args.iter().copied())).unwrap()
    }

    #[test]
    fn the_command_tree_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_or_after_the_command() {
        let before = parse(&["-o", "json", "-t", "2s", "status", "a"]);
        let after = parse(&["status", "a", "-o", "json", "-t", "2s"]);
        for cli in [before, after] {
            assert_eq!(cli.options.output, Output::Json);
            assert_eq!(cli.options.timeout, Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn wait_tells_its_own_timeout_from_that_of_an_answer() {
        let cli = parse(&["-t", "1s", "wait", "--for", "master", "--timeout", "30s"]);
        assert_eq!(cli.options.timeout, Some(Duration::from_secs(1)));
        let Command::Wait(wait) = cli.command else { panic!("not wait") };
        assert_eq!((wait.goal, wait.timeout), (Goal::Master, Some(Duration::from_secs(30))));

        let cli = parse(&["wait", "--for", "healthy", "-t", "2s"]);
        assert_eq!(cli.options.timeout, Some(Duration::from_secs(2)));
        let Command::Wait(wait) = cli.command else { panic!("not wait") };
        assert_eq!(wait.timeout, None);
    }

    #[test]
    fn a_socket_and_a_host_exclude_each_other() {
        let error = Cli::try_parse_from(["koi", "--socket", "/s", "-H", "h", "status"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
