//! `koi plugins pull`, `verify`, `save` and `load`: components as artifacts, in registries and in files.

use std::fs;
use std::io::{self, BufReader, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use koi_artifact::signature::{KeyError, Signature, TrustedKey, TrustedKeys, path_beside};
use koi_artifact::{Artifact, Reference, SCHEME, Store, TITLE_ANNOTATION};
use koi_config::{Config, load as load_config};
use koi_proto::api::{PluginDetail, PluginSignature, SignatureState};
use koi_registry::{HttpError, Login, Registries, RegistryClient, RegistryError};
use serde_json::json;

use super::inspected;
use super::signing::{public_path, read_from};
use crate::cli::{Load, Options, Pull, ReachRegistry, Save, Verify};
use crate::error::{CommandError, exit};
use crate::output::{Out, to_stderr};
use crate::render::plugins::signature;

/// How registries are reached, where there is no configuration.
const REGISTRIES: &str = "/etc/koi/registries.toml";
const REGISTRIES_FILE: &str = "registries.toml";
/// Between two words about a transfer on a terminal.
const PROGRESS: Duration = Duration::from_millis(200);

/// Gets an artifact into the store of this node.
pub(crate) async fn pull(options: &Options, args: &Pull, out: Out) -> Result<u8, CommandError> {
    let config = config(options)?;
    let store = Store::in_state(&config.node.state_dir);
    let there = args.reference.digest.and_then(|digest| store.read(digest).ok());
    let artifact = match there {
        // What was pulled is there, whether its registry is or not.
        Some(artifact) => artifact,
        None => {
            let settings = settings_path(options, &args.reach)?;
            let client = client(&settings, &args.reach, &args.reference)?;
            let pulled = client.pull(&args.reference, &progress(out)).await;
            pulled.map_err(|error| of_registry(&error, &settings))?
        }
    };
    let pinned = args.reference.pinned(artifact.digest);
    take(&config, &artifact, &pinned, args.reference.version.as_deref(), "pulled", out)
}

/// Takes an archive into the store of this node.
pub(crate) fn load(options: &Options, args: &Load, out: Out) -> Result<u8, CommandError> {
    let shown = args.archive.display();
    let failed = |error: &dyn std::fmt::Display| CommandError::local(format!("{shown}: {error}"), "");
    let file = fs::File::open(&args.archive).map_err(|error| failed(&error))?;
    let (artifact, name) = koi_registry::load(BufReader::new(file)).map_err(|error| failed(&error))?;
    // koid looks for the digest; where it came from is for people. Other tools do not write that.
    let nameless = || {
        let title = artifact
            .manifest
            .annotations
            .get(TITLE_ANNOTATION)
            .filter(|title| is_name(title))
            .map_or("plugin", String::as_str);
        let (host, name) = ("archive".to_owned(), title.to_owned());
        Reference { host, name, version: None, digest: None }
    };
    let pinned = name.unwrap_or_else(nameless).pinned(artifact.digest);
    take(&config(options)?, &artifact, &pinned, None, "loaded", out)
}

/// Whether it can stand in a reference.
fn is_name(title: &str) -> bool {
    format!("{SCHEME}archive/{title}:0").parse::<Reference>().is_ok_and(|reference| reference.name == *title)
}

/// Writes what was pulled to a file.
pub(crate) fn save(options: &Options, args: &Save, out: Out) -> Result<u8, CommandError> {
    let artifact = from_store(&config(options)?, &args.reference)?;
    let shown = args.target.display();
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::local(format!("{shown} cannot be written: {error}"), "")
    };
    if args.target.exists() {
        return Err(CommandError::local(format!("{shown} exists already"), "name another file"));
    }
    let folder = args.target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(|error| failed(&error))?;
    koi_registry::save(&artifact, &args.reference, BufWriter::new(&mut file))
        .map_err(|error| failed(&error))?;
    file.persist_noclobber(&args.target).map_err(|error| failed(&error.error))?;
    out.show(&json!({ "file": args.target, "digest": artifact.digest }), |_| {
        format!("wrote {shown}; where no registry can be reached: koi plugins load {shown}\n")
    })?;
    Ok(exit::WELL)
}

/// Says who has signed a file, or what was pulled.
pub(crate) fn verify(options: &Options, args: &Verify, out: Out) -> Result<u8, CommandError> {
    let trusted = match args.keys.is_empty() {
        true => config(options)?.plugins.trusted_keys,
        false => TrustedKeys::new(args.keys.iter().map(|key| public_key(key)).collect::<Result<_, _>>()?),
    };
    let detail = match args.what.starts_with(SCHEME) {
        true => {
            let reference: Reference =
                args.what.parse().map_err(|error| CommandError::usage(format!("{error}"), ""))?;
            inspect_artifact(&from_store(&config(options)?, &reference)?, &trusted)?
        }
        false => inspected::plugin(Path::new(&args.what), &trusted)?,
    };
    let signed = detail.plugin.signature.unwrap_or_default();
    let said = json!({ "name": detail.plugin.name, "version": detail.plugin.version, "hash": detail.plugin.hash, "signature": signed });
    out.show(&said, |view| {
        let (line, tone) = signature::line(&signed);
        format!("{} {}: {}\n", detail.plugin.name, detail.plugin.version, view.paint.tone(tone, &line))
    })?;
    Ok(if signed.state == SignatureState::Signed { exit::WELL } else { exit::FAILED })
}

/// A key as it is written, or in a file of minisign's.
fn public_key(text: &str) -> Result<TrustedKey, CommandError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let file = fs::read_to_string(text).unwrap_or_default();
    let line = file.lines().nth(1).unwrap_or(text).trim();
    line.parse().map_err(|error| match error {
        KeyError::Secret if !file.is_empty() => {
            let public = public_path(Path::new(text));
            let message = format!("{text} is a secret key, and verifying takes the public one");
            CommandError::usage(message, format!("--key {}", public.display()))
        }
        KeyError::Secret | KeyError::NoKey(_) => {
            CommandError::usage(error.to_string(), "name a key, or a .pub file")
        }
    })
}

fn from_store(config: &Config, reference: &Reference) -> Result<Artifact, CommandError> {
    let Some(digest) = reference.digest else {
        let hint = "`koi plugins pull` prints the reference with its digest";
        return Err(CommandError::usage(format!("{reference} does not say which digest"), hint));
    };
    Store::in_state(&config.node.state_dir).read(digest).map_err(|error| {
        CommandError::local(format!("{reference}: {error}"), format!("koi plugins pull {reference}"))
    })
}

/// Keeps an artifact, if it may be, and says how services name it.
fn take(
    config: &Config,
    artifact: &Artifact,
    pinned: &Reference,
    version: Option<&str>,
    verb: &str,
    out: Out,
) -> Result<u8, CommandError> {
    let plugins = &config.plugins;
    let refused = |error: &dyn std::fmt::Display| {
        CommandError::local(format!("{pinned} is not kept: {error}"), "nothing has changed on this node")
    };
    // Before anything of it runs.
    let found = artifact
        .manifest
        .signature()
        .map_or(Signature::None, |text| Signature::of_file(&artifact.component, text, &plugins.trusted_keys));
    if plugins.require_signature {
        found.require().map_err(|error| refused(&error))?;
    }
    let detail = inspect_artifact(artifact, &plugins.trusted_keys)?;
    let plugin = detail.plugin;
    let signed = plugin.signature.unwrap_or_default();
    if plugins.require_signature && signed.state != SignatureState::Signed {
        return Err(refused(&signature::line(&signed).0));
    }
    if let Some(version) = version {
        check_version(
            &Reference { version: Some(version.to_owned()), ..pinned.clone() },
            &plugin.name,
            &plugin.version,
        )?;
    }
    Store::in_state(&config.node.state_dir).keep(artifact).map_err(|error| refused(&error))?;
    show_taken(pinned, &plugin.name, &plugin.version, &signed, verb, out)
}

fn show_taken(
    pinned: &Reference,
    name: &str,
    version: &str,
    signed: &PluginSignature,
    verb: &str,
    out: Out,
) -> Result<u8, CommandError> {
    let handler = pinned.to_string();
    let said = json!({ "name": name, "version": version, "handler": handler, "digest": pinned.digest, "signature": signed });
    out.show(&said, |view| {
        let (line, tone) = signature::line(signed);
        let line = view.paint.tone(tone, &line);
        format!("{verb} {name} {version}, {line}\nfor service.toml:\n\nhandler = \"{handler}\"\n")
    })?;
    Ok(exit::WELL)
}

/// What a component in an artifact says of itself: it is looked at in a folder of its own.
fn inspect_artifact(artifact: &Artifact, trusted: &TrustedKeys) -> Result<PluginDetail, CommandError> {
    let failed = |error: io::Error| CommandError::local(format!("it cannot be looked at: {error}"), "");
    let folder = tempfile::Builder::new().prefix("koi-pull-").tempdir().map_err(failed)?;
    let file = folder.path().join("handler.wasm");
    fs::write(&file, &artifact.component).map_err(failed)?;
    if let Some(text) = artifact.manifest.signature() {
        fs::write(path_beside(&file), text).map_err(failed)?;
    }
    inspected::plugin(&file, trusted)
}

/// A registry that gives an old file for a new version is found out. Tags that are no versions may lead anywhere.
pub(super) fn check_version(reference: &Reference, name: &str, version: &str) -> Result<(), CommandError> {
    let tag = reference.version.as_deref().unwrap_or(version);
    let number = tag.strip_prefix('v').unwrap_or(tag);
    if number == version || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(());
    }
    let message = format!("{reference} would be {tag}, and the file calls itself {name} {version}");
    Err(CommandError::local(message, "a version in a registry is that of the plugin in it"))
}

pub(super) fn config(options: &Options) -> Result<Config, CommandError> {
    let loaded = load_config(options.file.as_deref());
    loaded.map(|loaded| loaded.config).map_err(|error| CommandError::local(error.to_string(), ""))
}

/// The file that says how registries are reached; it need not be there unless it is named.
pub(super) fn settings_path(options: &Options, reach: &ReachRegistry) -> Result<PathBuf, CommandError> {
    // An author's machine has no configuration; and one with a mistake says nothing of registries.
    let found =
        || load_config(None).map_or_else(|_| PathBuf::from(REGISTRIES), |loaded| beside(&loaded.path));
    match (&reach.registries, &options.file) {
        (Some(path), _) if !path.exists() => {
            let message = format!("--registries {}: there is no such file", path.display());
            Err(CommandError::local(message, "nothing has been sent"))
        }
        (Some(path), _) => Ok(path.clone()),
        (None, Some(file)) => Ok(beside(file)),
        (None, None) => Ok(found()),
    }
}

pub(super) fn client(
    path: &Path,
    reach: &ReachRegistry,
    reference: &Reference,
) -> Result<RegistryClient, CommandError> {
    let all = Registries::read(path).map_err(|error| CommandError::local(error.to_string(), ""))?;
    let mut settings = all.of(&reference.host);
    if let (Some(user), Some(file)) = (&reach.user, &reach.password_file) {
        settings.login = Some(Login { user: user.clone(), password: read_from(file)? });
    }
    RegistryClient::new(&reference.host, settings).map_err(|error| of_registry(&error, path))
}

/// Where registries are described for whoever has this configuration.
fn beside(config: &Path) -> PathBuf {
    config.with_file_name(REGISTRIES_FILE)
}

/// `settings`: the file that says how registries are reached.
pub(super) fn of_registry(error: &RegistryError, settings: &Path) -> CommandError {
    let hint = match error {
        RegistryError::Lie { .. } | RegistryError::Half { .. } | RegistryError::OtherDigest { .. } => {
            "nothing of it was kept".to_owned()
        }
        RegistryError::Http(HttpError::Tls { .. })
        | RegistryError::NeedsPassword(_)
        | RegistryError::ForeignRealm { .. } => {
            let how = if settings.exists() { "is" } else { "would be" };
            format!("registries.toml {how} {}; --registries names another file", settings.display())
        }
        _ => String::new(),
    };
    CommandError::local(error.to_string(), hint)
}

/// Says on a terminal how far a transfer is.
pub(super) fn progress(out: Out) -> impl Fn(&str, u64, u64) + Send + Sync {
    let shown = !out.is_json() && io::stderr().is_terminal();
    let last: Mutex<Option<Instant>> = Mutex::new(None);
    move |part, now, all| {
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_due = now >= all || last.is_none_or(|last| last.elapsed() > PROGRESS);
        if shown && all > 0 && is_due {
            *last = Some(Instant::now());
            let end = if now >= all { "\n" } else { "" };
            to_stderr(&format!("\r{part}: {} of {} KiB{end}", now / 1024, all.div_ceil(1024)));
        }
    }
}
