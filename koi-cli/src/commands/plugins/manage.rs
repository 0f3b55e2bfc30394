//! `koi plugins list`, `inspect`, `grants` and `new`.

use std::path::{Path, PathBuf};

use koi_config::load;
use koi_proto::api::{Plugin, PluginDetail};
use serde_json::json;

use super::{artifacts, inspected, push, rollout, signing, trial};
use crate::cli::{Inspect, New, Options, Plugins, ShowGrants, value_name};
use crate::connect::{self, Daemon};
use crate::dev;
use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;
use crate::render;
use crate::template;

const PLUGINS: &str = "/v1/plugins";

/// Carries out one of them.
pub(crate) async fn plugins(options: &Options, command: &Plugins, out: Out) -> Result<u8, CommandError> {
    let daemon = || connect::daemon(options, out);
    match command {
        Plugins::List { node } => list(&daemon()?, node.as_deref(), out).await,
        Plugins::Inspect(args) if is_file(&args.plugin) => inspect_file(options, args, out),
        Plugins::Inspect(args) => inspect(&daemon()?, args, out).await,
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

async fn inspect(daemon: &Daemon, args: &Inspect, out: Out) -> Result<u8, CommandError> {
    if args.service.is_some() {
        let hint = "a name asks the daemon, which knows the services that use it: leave --service out, or name the file";
        return Err(CommandError::usage("--service goes with a file", hint));
    }
    let path = format!("{PLUGINS}/{}", encoded(&args.plugin));
    let answer = daemon.get::<PluginDetail>(&at_node(&path, args.node.as_deref())).await?;
    out.show(&answer.raw, |view| render::plugins::detail::plugin(&answer.value, view))?;
    Ok(exit::WELL)
}

/// A file is not a plugin of any daemon: a koid of our own looks into it.
fn inspect_file(options: &Options, args: &Inspect, out: Out) -> Result<u8, CommandError> {
    if args.node.is_some() {
        let hint = "a file lies on this machine, whatever node is asked: leave --node out, or give the plugin's name";
        return Err(CommandError::usage("--node goes with a name", hint));
    }
    // Without a configuration nobody's signature counts.
    let trusted = load(options.file.as_deref()).map(|loaded| loaded.config.plugins.trusted_keys);
    let looked =
        inspected::inspect(args.plugin.as_ref(), args.service.as_deref(), &trusted.unwrap_or_default())?;
    out.show(&looked.raw, |view| render::plugins::detail::plugin(&looked.detail, view))?;
    Ok(if looked.well { exit::WELL } else { exit::FAILED })
}

/// `[grants]` as it belongs into `service.toml`.
fn grants(args: &ShowGrants, out: Out) -> Result<u8, CommandError> {
    let (section, raw) = inspected::grants(&args.plugin, args.service.as_deref())?;
    out.show(&raw, |_| section)?;
    Ok(exit::WELL)
}

/// Whether a plugin is named by its file. Names of plugins have neither slashes nor dots.
fn is_file(plugin: &str) -> bool {
    plugin.contains(['/', '.']) || Path::new(plugin).is_file()
}

pub(super) fn at_node(path: &str, node: Option<&str>) -> String {
    node.map_or_else(|| path.to_owned(), |node| format!("{path}?node={}", encoded(node)))
}

/// `text` as a part of a URL.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
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
    fn a_file_is_told_from_a_name() {
        for file in ["./redis", "redis.wasm", "/etc/koi/plugins/redis.so", "services/10-vip"] {
            assert!(is_file(file), "{file}");
        }
        assert!(!is_file("no-such-plugin-here"));
    }

    #[test]
    fn names_are_safe_in_a_url_and_in_a_shell() {
        assert_eq!(at_node(PLUGINS, Some("a b&c")), "/v1/plugins?node=a%20b%26c");
        assert_eq!(encoded("../status"), "..%2Fstatus");
        assert_eq!(shell_word("my-db"), "my-db");
        assert_eq!(shell_word("it's mine"), r"'it'\''s mine'");
    }
}
