//! `koi plugins` on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::artifacts;
use super::artifacts::{Load, PluginKeygen, Pull, Push, Rollout, Save, Sign, Verify};
use super::time::duration;

/// `koi plugins`.
#[derive(Debug, Subcommand)]
pub(crate) enum Plugins {
    /// Show the plugins of a node: kind, version, who uses them, and why one cannot be used
    List {
        /// Name or UUID [default: the asked node]
        node: Option<String>,
    },
    /// Show all that is known of one plugin: what it says of itself, what it wants and what it is granted
    Inspect(Inspect),
    /// Print the `[grants]` that a handler wants, each with what it is for, as they belong into service.toml
    Grants(ShowGrants),
    /// Try a handler: does it keep to the contract? Reads like a test report
    #[command(long_about = CHECK)]
    Check(CheckPlugin),
    /// Run one hook of a handler by hand, and show its log
    #[command(long_about = RUN)]
    Run(RunHook),
    /// Run the test files of a handler: given a world, when its hooks are called, then …
    #[command(long_about = TEST)]
    Test(TestPlugin),
    /// Begin a handler: writes a small one with its build and a README
    New(New),
    /// Build a handler and run it in three nodes on this machine, again with each change, until Ctrl-C
    #[command(long_about = DEV)]
    Dev(Dev),
    /// Make a key to sign plugins with
    Keygen(PluginKeygen),
    /// Sign a plugin's file
    #[command(long_about = artifacts::SIGN)]
    Sign(Sign),
    /// Say who has signed a plugin, and whether it is what was signed
    Verify(Verify),
    /// Bring a component to a registry, with its signature
    Push(Push),
    /// Get a component from a registry, for services of this node
    #[command(long_about = artifacts::PULL)]
    Pull(Pull),
    /// Write what was pulled to a file, for machines that reach no registry
    Save(Save),
    /// Take what `koi plugins save` has written, as if it had been pulled
    Load(Load),
    /// Have every node take a new version of a plugin: standbys first, the master last
    #[command(long_about = artifacts::ROLLOUT)]
    Rollout(Rollout),
}

const CHECK: &str = "\
Try a handler: does it keep to the contract? Reads like a test report.

Loads it, lets it describe itself, and runs its hooks in every legal order, again and again, cut off in the middle, out of \
time, with odd configuration and odd epochs. `FAIL` breaks the contract; `note` is what is good to know, or could not be tried.

Without --service nothing is granted to a component, and only the defaults of its configuration are set: it can do no harm. A \
native library and a script are in no sandbox: their hooks really run. With --service DIR (or when the plugin named is a \
service's folder) its service.toml counts, and hooks really start, promote, demote and stop that service on this machine, \
beside any cluster: do it where that harms nobody. What the handler keeps in its store goes to a scratch folder.

Refused without --really: a service in the services folder of this machine's configuration, which belongs to koid; and one \
whose first `status` says that it runs, because it would be stopped.

A hook that was late once, because it hangs, is from then on given 2 s at most.

Exit code: 0 keeps to the contract; 1 breaks it, or cannot be loaded; 2 there is nothing to try (no such file, a service.toml \
with a mistake); 5 refused as above; 130 interrupted.";

const RUN: &str = "\
Run one hook of a handler by hand, and show its log.

Without --service nothing is granted to a component. With --service DIR (or when the plugin named is a service's folder) its \
configuration, grants and limits count, and the hook does what it does, on this machine and beside any cluster. A service in \
the services folder of this machine's configuration belongs to koid: only its `status` is run without --really.

What the handler keeps in its store is forgotten afterwards; --state DIR keeps it for the next run.";

const TEST: &str = "\
Run the test files of a handler: given a world, when its hooks are called, then …

A test file is TOML. Each [[test]] gives the handler its configuration, grants, store, epoch and clock, and a world: TCP and \
UDP peers, HTTP servers, programs and names that say what the file says. Its [[test.call]] are made one after the other, and \
what comes of each is held against the file: outcome, message, score, details, log and store; and the world knows what it was \
sent, and what it was not. docs/handlers.md has all of it.

Nothing of this machine is reached: the tests run in a network of their own, programs of a component are not run, and `sleep` \
passes at once. Scripts and native libraries run as they are, in that network. Where the machine gives no such network (no \
root, and no namespaces of users) tests that need one fail and say so.

Without files: NAME.test.toml and tests/*.toml beside the handler; without a handler: the one that the file names, or the \
handler.wasm beside it.

Exit code: 0 all passed; 1 some did not; 2 there is nothing to test (no such file, a test file with a mistake, a handler that \
cannot be loaded); 5 refused without --really; 130 interrupted.";

const DEV: &str = "\
Build a handler and run it in three nodes on this machine, again with each change, until Ctrl-C.

The folder is one that `koi plugins new` has made, or any other with a build.sh that writes handler.wasm. It is watched, but for \
what the build and editors write. A change has it built; while it is built, a further change begins anew. What comes of it is \
loaded and described, brought into the three nodes as `koi reconfigure` would, taken down and up again there by its own hooks, and \
promoted where it was. Then its tests are run. A build that fails or a component that is refused changes nothing: the version \
before goes on.

The three nodes are as those of `koi demo`: on 127.0.0.1, in a temporary folder, without configuration or rights, and gone in the \
end. Below are the log of the handler on all three, how its hooks end, and what its status says when that changes.

With --service DIR its service.toml counts, for [config], [grants], [limits] and [timeouts]; and without it that of service/ in \
the handler's folder, which `koi plugins new` writes. Where there is neither, the component is granted what it wants, in this \
cluster alone, and it is said what that is. Hooks may really connect, write and run programs on this machine, so do it with \
handlers of your own. What would let it do all that you may is granted with --dangerous only, which passes over service/.

On a terminal keys do the rest; the line at the bottom says which.

Exit code: 0 ended by Ctrl-C or `q`; 1 the nodes cannot be started; 2 there is nothing to build or run; 5 the service belongs to koid.";

/// `koi plugins inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A plugin's name, to ask the daemon, with its version where several are there; or a file, with a slash or an ending
    #[arg(value_name = "NAME[@VERSION]|FILE")]
    pub(crate) plugin: String,
    /// As used by the service in this folder (only of a file)
    #[arg(long, value_name = "DIR")]
    pub(crate) service: Option<PathBuf>,
    /// Name or UUID of the node to ask (only by name) [default: the asked node]
    #[arg(long, value_name = "NODE", conflicts_with = "service")]
    pub(crate) node: Option<String>,
}

/// `koi plugins grants`.
#[derive(Debug, Args)]
pub(crate) struct ShowGrants {
    /// A .wasm
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// For the service in this folder: with what stands under [config] of its service.toml [default: the handler's defaults]
    #[arg(long, value_name = "DIR")]
    pub(crate) service: Option<PathBuf>,
}

/// `koi plugins check`.
#[derive(Debug, Args)]
pub(crate) struct CheckPlugin {
    /// A .wasm, a .so, a script, or a service's folder
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// Take configuration, grants and limits from the service.toml in this folder, and do the real thing
    #[arg(long, value_name = "DIR")]
    pub(crate) service: Option<PathBuf>,
    /// Also when the service belongs to koid, or runs already
    #[arg(long)]
    pub(crate) really: bool,
    /// Set a key of the configuration, before what service.toml says; a secret by KEY=@FILE; may stand several times
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<String>,
    /// Show only notes, failures and how it ended; does not change -o json
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How long a hook may take [default: what the service says, or 30s; 5s for a component without a service]
    #[arg(id = "hook_timeout", long = "timeout", value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Stands in for the global option, whose long name is taken here; no answer is waited for.
    #[arg(id = "timeout", short = 't', value_name = "TIME", value_parser = duration, hide = true)]
    _answer_timeout: Option<Duration>,
}

/// `koi plugins run`.
#[derive(Debug, Args)]
pub(crate) struct RunHook {
    /// A .wasm, a .so, a script, or a service's folder
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// Which
    pub(crate) hook: HookName,
    /// Take configuration, grants and limits from the service.toml in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) service: Option<PathBuf>,
    /// Set a key of the configuration, before what service.toml says; a secret by KEY=@FILE; may stand several times
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<String>,
    /// What koi wants the service to be [default: what goes with the hook]
    #[arg(long)]
    pub(crate) role: Option<RoleName>,
    /// The fencing token
    #[arg(long, value_name = "N")]
    pub(crate) epoch: Option<u64>,
    /// The group that the service is promoted with [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Give the group this attribute; may stand several times. A promoted handler may write them, and what it wrote is shown
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) attributes: Vec<String>,
    /// Keep what the handler stores in this folder, from run to run
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Also when the service belongs to koid
    #[arg(long)]
    pub(crate) really: bool,
    /// How long the hook may take [default: what the service says, or 30s; 5s for a component without a service]
    #[arg(id = "hook_timeout", long = "timeout", value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Stands in for the global option, whose long name is taken here; no answer is waited for.
    #[arg(id = "timeout", short = 't', value_name = "TIME", value_parser = duration, hide = true)]
    _answer_timeout: Option<Duration>,
}

/// `koi plugins test`.
#[derive(Debug, Args)]
pub(crate) struct TestPlugin {
    /// A .wasm, a .so, a script or a service's folder to test; test files, which end in .toml; with --record: hooks
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only tests that have this in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Write a report in the form of JUnit as well
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Make a test file: really run the hooks that are named behind the handler, in the service of --service, and note what the
    /// world told them. As root; the file must be new, and is for its owner alone
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// The service to record, with its configuration and grants
    #[arg(long, value_name = "DIR", requires = "record")]
    pub(crate) service: Option<PathBuf>,
    /// Put what was sent and received into the recording, and not only how many bytes; known secrets stay out
    #[arg(long, requires = "record")]
    pub(crate) with_bodies: bool,
    /// Show only what failed and how it ended; does not change -o json
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Also scripts and libraries of a service that belongs to koid
    #[arg(long)]
    pub(crate) really: bool,
}

/// `koi plugins new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// What services will name it by: lower-case letters, digits and `-`
    #[arg(value_parser = crate::template::name)]
    pub(crate) name: String,
    /// In which language
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) lang: Language,
    /// With examples of these: programs of the node, TCP connections, HTTP requests
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    pub(crate) with: Vec<Capability>,
    /// Where to; it must not exist or be empty [default: ./NAME]
    #[arg(value_name = "DIR")]
    pub(crate) target: Option<PathBuf>,
}

/// `koi plugins dev`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Dev {
    /// The handler's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// A command of the shell that builds it, run in the folder [default: ./build.sh]
    #[arg(long, value_name = "COMMAND")]
    pub(crate) build: Option<String>,
    /// What the build writes, from the folder [default: handler.wasm]
    #[arg(long, value_name = "FILE")]
    pub(crate) component: Option<PathBuf>,
    /// Take configuration, grants and limits from the service.toml in this folder [default: service, if the handler's folder has it]
    #[arg(long, value_name = "DIR")]
    pub(crate) service: Option<PathBuf>,
    /// Set a key of the configuration, before what service.toml says; a secret by KEY=@FILE; may stand several times
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<String>,
    /// Also grant what lets the handler do all that you may
    #[arg(long, conflicts_with = "service")]
    pub(crate) dangerous: bool,
    /// Let a new version take over what runs, as in production; its `start` and `promote` are not run then
    #[arg(long)]
    pub(crate) no_restart: bool,
    /// Compile it as koid does, which takes longer; for components that are refused otherwise
    #[arg(long)]
    pub(crate) optimized: bool,
    /// Also when the service belongs to koid
    #[arg(long)]
    pub(crate) really: bool,
}

/// The hooks, as words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookName {
    Start,
    Stop,
    Promote,
    Demote,
    Status,
    Failed,
    Changed,
}

/// The roles, as words of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// It is not to run.
    None,
    /// It is to run, ready for promotion.
    Standby,
    /// It is to be the master.
    Promoted,
}

/// The languages that there is a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    C,
    Js,
    Python,
    Go,
}

/// What a new handler shows how to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Capability {
    Exec,
    Tcp,
    Http,
}

/// The word of the command line for a value of one of its enums.
pub(crate) fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|word| word.get_name().to_owned()).unwrap_or_default()
}

/// An argument that is no setting.
#[derive(Debug, thiserror::Error)]
#[error("a setting is written KEY=VALUE")]
struct SettingError;

fn setting(text: &str) -> Result<String, SettingError> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err(SettingError),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_hook_has_a_timeout_of_its_own() {
        let words = ["koi", "plugins", "run", "h.wasm", "start"];
        let good = [
            "--timeout",
            "3s",
            "--config",
            "a=b=c",
            "-o",
            "json",
            "--group",
            "db",
            "--attribute",
            "a=b",
            "--attribute",
            "c=",
        ];
        let cli = Cli::try_parse_from(words.into_iter().chain(good)).unwrap();
        let Command::Plugins(Plugins::Run(run)) = cli.command else { panic!("not run") };
        assert_eq!((run.hook, run.timeout), (HookName::Start, Some(Duration::from_secs(3))));
        assert_eq!((run.settings, cli.options.timeout), (vec!["a=b=c".to_owned()], None));
        assert_eq!(
            (run.group.as_deref(), run.attributes),
            (Some("db"), vec!["a=b".to_owned(), "c=".to_owned()])
        );
        for wrong in [["--config", "novalue"], ["--config", "=x"], ["--role", "king"], ["--epoch", "-1"]] {
            let error = Cli::try_parse_from(words.into_iter().chain(wrong)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
