//! `koi plugins list`, `grants` and `new`; what else there is, is in files of its own.

use std::path::{Path, PathBuf};

use koi_proto::api::Plugin;
use serde_json::json;

use super::paths::{PLUGINS, at_node};
use super::{artifacts, inspect, inspected, push, rollout, signing, trial};
use crate::cli::{New, Options, Plugins, ShowGrants, value_name};
use crate::connect::{self, Daemon};
use crate::dev;
use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;
use crate::render;
use crate::template;

/// Carries out one of them.
pub(crate) async fn plugins(options: &Options, command: &Plugins, out: Out) -> Result<u8, CommandError> {
    let daemon = || connect::daemon(options, out);
    match command {
        Plugins::List { node } => list(&daemon()?, node.as_deref(), out).await,
        Plugins::Inspect(args) if inspect::is_file(&args.plugin) => inspect::file(options, args, out),
        Plugins::Inspect(args) => inspect::named(&daemon()?, args, out).await,
        Plugins::Grants(args) => grants(args, out),
        Plugins::Check(args) => trial::check(options, args, out).await,
        Plugins::Run(args) => trial::run(options, args, out).await,
        Plugins::Test(args) => trial::test(options, args, out).await,
        Plugins::New(args) => new(args, out),
        Plugins::Dev(args) => {
            // Hooks are run beside any other cluster.
            let service = args.service.as_deref();
            trial::must_be_harmless(options, &args.folder, service, args.really)?;
            dev::dev(args, out).await
        }
        Plugins::Keygen(args) => signing::keygen(args, out),
        Plugins::Sign(args) => signing::sign(args, out),
        Plugins::Verify(args) => artifacts::verify(options, args, out),
        Plugins::Push(args) => push::push(options, args, out).await,
        Plugins::Pull(args) => artifacts::pull(options, args, out).await,
        Plugins::Save(args) => artifacts::save(options, args, out),
        Plugins::Load(args) => artifacts::load(options, args, out),
        Plugins::Rollout(args) => rollout::rollout(&daemon()?, args, out).await,
    }
}

async fn list(daemon: &Daemon, node: Option<&str>, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<Vec<Plugin>>(&at_node(PLUGINS, node)).await?;
    out.show(&answer.raw, |view| render::plugins::list::list(&answer.value, view))?;
    Ok(exit::WELL)
}

/// `[grants]` as it belongs into `service.toml`.
fn grants(args: &ShowGrants, out: Out) -> Result<u8, CommandError> {
    let (section, raw) = inspected::grants(&args.plugin, args.service.as_deref())?;
    out.show(&raw, |_| section)?;
    Ok(exit::WELL)
}

fn new(args: &New, out: Out) -> Result<u8, CommandError> {
    let folder = args.target.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    must_be_free(&folder)?;
    let files = template::files(args.lang, &args.name, &args.with);
    if files.is_empty() {
        return Err(CommandError::local(
            format!("this koi was built without a template in {}", value_name(args.lang)),
            "",
        ));
    }
    for file in &files {
        write(&folder.join(&file.path), &file.content, file.mode, Existing::Keep("it has come meanwhile"))?;
    }
    let paths: Vec<_> = files.iter().map(|file| &file.path).collect();
    let said =
        json!({ "name": args.name, "language": value_name(args.lang), "folder": folder, "files": paths });
    out.show(&said, |_| next_steps(&folder, &files))?;
    Ok(exit::WELL)
}

fn must_be_free(folder: &Path) -> Result<(), CommandError> {
    let hint = "name another folder; what is there stays as it is";
    match folder.read_dir() {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                Err(CommandError::local(format!("{} is there and is not empty", folder.display()), hint))
            }
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(CommandError::local(format!("{} cannot be used: {e}", folder.display()), hint)),
    }
}

fn next_steps(folder: &Path, files: &[template::TemplateFile]) -> String {
    let mut page = format!("wrote {}:\n", folder.display());
    for file in files {
        page.push_str(&format!("  {}\n", file.path.display()));
    }
    let folder = shell_word(&folder.display().to_string());
    page + &format!(
        "next:\n  cd {folder}\n  ./build.sh\n  koi plugins check service\n  koi plugins test\n  koi plugins dev      # builds and runs it as you write\nREADME.md says what each file is for.\n"
    )
}

/// `text` as one word for a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_for_a_shell() {
        assert_eq!(shell_word("my-db"), "my-db");
        assert_eq!(shell_word("it's mine"), r"'it'\''s mine'");
    }
}
