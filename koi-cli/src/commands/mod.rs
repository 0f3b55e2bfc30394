//! What each command does. All of them return the exit code, or why they failed.

mod ask;
pub(crate) mod cluster;
mod machine;
mod plugins;

use self::cluster::{attr, drill, electors, events, fence, operate, promote, show, wait, watch};
use self::machine::{check, completions, config, identity, init, keygen};
use self::plugins::manage;
use crate::cli::{Cli, Command};
use crate::connect;
use crate::demo;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::template;

/// Carries out the command.
pub(crate) async fn run(cli: &Cli, out: Out) -> Result<u8, CommandError> {
    let options = &cli.options;
    let daemon = || connect::daemon(options, out);
    match &cli.command {
        Command::Local => show::local(&daemon()?, out).await,
        Command::Status { node: None } => show::status(&daemon()?, out).await,
        Command::Status { node: Some(node) } => show::node(&daemon()?, node, out).await,
        Command::Tree => show::tree(&daemon()?, out).await,
        Command::Failures(args) => show::failures(&daemon()?, args.group.as_ref(), out).await,
        Command::Watch => watch::watch(&daemon()?, out).await,
        Command::Events(args) => events::events(&daemon()?, args, out).await,
        Command::Attr(args) => attr::attr(&daemon()?, args, out).await,
        Command::Wait(args) => wait::wait(&daemon()?, args, out).await,
        Command::Promote(args) => promote::promote(&daemon()?, args, out).await,
        Command::Drill(args) => drill::drill(&daemon()?, args, out).await,
        Command::Demote(args) => operate::order(&daemon()?, "demote", args, out).await,
        Command::Elect(args) => operate::order(&daemon()?, "elect", args, out).await,
        Command::Electors(args) => electors::electors(&daemon()?, args, out).await,
        Command::Bootstrap { dry_run, yes } => electors::bootstrap(&daemon()?, *dry_run, *yes, out).await,
        Command::ResetIdentity => identity::reset(options, out),
        Command::Start(args) => operate::on_node(&daemon()?, "start", args, out).await,
        Command::Stop(args) => operate::on_node(&daemon()?, "stop", args, out).await,
        Command::Recover(args) => operate::on_node(&daemon()?, "recover", args, out).await,
        Command::Reconfigure(args) => operate::reconfigure(&daemon()?, args.node.as_deref(), out).await,
        Command::ConfirmDown { node } => operate::confirm_down(&daemon()?, node, out).await,
        Command::Fence { node, dry_run } => fence::fence(&daemon()?, node, *dry_run, out).await,
        Command::Maintenance { state } => operate::maintenance(&daemon()?, *state, out).await,
        Command::Check => check::check(options, out),
        Command::Config(args) => config::config(options, args, out),
        Command::Init(args) if args.new_identity => identity::reset(options, out),
        Command::Init(args) => init::init(options, args, out),
        Command::Keygen { target, force } => keygen::keygen(target, *force, out),
        Command::Plugins(args) => manage::plugins(options, args, out).await,
        Command::Wit => {
            out.write(template::WIT)?;
            Ok(exit::WELL)
        }
        Command::Demo(args) => demo::demo(args, out).await,
        Command::Completions { shell } => completions::completions(*shell, out),
    }
}
