//! `koi plugins keygen` and `sign`: minisign's keys and signatures.

use std::fs;
use std::io::{self, Cursor, IsTerminal};
use std::path::{Path, PathBuf};

use koi_artifact::signature::{SignedAs, TrustedKey, TrustedKeys, path_beside, untrusted_comment};
use koi_registry::{SettingsError, read_password};
use minisign::{KeyPair, PError, SecretKey, SecretKeyBox};
use serde_json::json;
use zeroize::Zeroizing;

use super::inspected;
use crate::cli::{KeyPassword, PluginKeygen, Sign};
use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;

/// Only its owner may read a secret key.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
/// Bytes of a key's file, and of a password that is piped to us.
const KEY_BYTES: u64 = 16 * 1024;

/// What the name of a public key's file ends in, behind that of the secret one.
const PUBLIC_ENDING: &str = ".pub";

/// Makes a pair of keys.
pub(crate) fn keygen(args: &PluginKeygen, out: Out) -> Result<u8, CommandError> {
    let public = public_path(&args.target);
    let keep = Existing::Keep("a key in use must not be lost; name another file");
    if public.exists() {
        return Err(CommandError::local(format!("{} exists already", public.display()), "name another file"));
    }
    let failed = |error: PError| CommandError::local(format!("no key can be made: {error}"), "");
    let pair = match password(&args.password, "password of the new key", true)? {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password.to_string())),
        None => KeyPair::generate_unencrypted_keypair(),
    }
    .map_err(failed)?;
    let key = pair.pk.to_base64();
    let secret = Zeroizing::new(pair.sk.to_box(None).map_err(failed)?.to_string());
    write(&args.target, &format!("{}\n", secret.trim_end()), SECRET, keep)?;
    let text = pair.pk.to_box().map_err(failed)?.to_string();
    write(&public, &format!("{}\n", text.trim_end()), PUBLIC, keep)?;
    let said = json!({ "file": args.target, "public_file": public, "public_key": key });
    out.show(&said, |_| {
        format!(
            "wrote the secret key to {}: keep it, and nobody else may read it\nwrote the public key to {}; nodes that trust \
             it have in koi.toml:\n\n[plugins]\ntrusted_keys = [\"{key}\"]\n",
            args.target.display(),
            public.display()
        )
    })?;
    Ok(exit::WELL)
}

/// Signs a file as what it says it is.
pub(crate) fn sign(args: &Sign, out: Out) -> Result<u8, CommandError> {
    let cannot = |path: &Path, error: io::Error| {
        CommandError::local(format!("{} cannot be read: {error}", path.display()), "")
    };
    let key = secret_key(args)?;
    let bytes = fs::read(&args.plugin).map_err(|error| cannot(&args.plugin, error))?;
    let detail = inspected::plugin(&args.plugin, &TrustedKeys::default())?;
    let signed = SignedAs { name: detail.plugin.name, version: detail.plugin.version };
    let Some(comment) = signed.comment() else {
        let hint = "it needs a name without blanks, and a version";
        return Err(CommandError::local(format!("what calls itself {signed:?} cannot be signed"), hint));
    };
    let untrusted = untrusted_comment(&signed, &bytes);
    let text = minisign::sign(None, &key, Cursor::new(bytes), Some(&comment), Some(&untrusted))
        .map_err(|error| CommandError::local(format!("it cannot be signed: {error}"), ""))?;
    let target = path_beside(&args.plugin);
    write(&target, &format!("{}\n", text.into_string().trim_end()), PUBLIC, Existing::Replace)?;
    let said =
        json!({ "file": args.plugin, "signature": target, "name": signed.name, "version": signed.version });
    out.show(&said, |_| format!("signed {} as {signed}: {}\n", args.plugin.display(), target.display()))?;
    Ok(exit::WELL)
}

pub(super) fn public_path(secret: &Path) -> PathBuf {
    let mut name = secret.as_os_str().to_owned();
    name.push(PUBLIC_ENDING);
    PathBuf::from(name)
}

fn secret_key(args: &Sign) -> Result<SecretKey, CommandError> {
    let shown = args.key.display();
    let text = small_text(&args.key)
        .map_err(|error| CommandError::local(format!("{shown} cannot be read: {error}"), ""))?;
    let hint = "koi plugins keygen makes one, and so does minisign -G";
    if text.lines().nth(1).is_some_and(|line| line.trim().parse::<TrustedKey>().is_ok()) {
        let message = format!("{shown} is a public key, and signing takes the secret one");
        let secret = shown.to_string();
        let hint = secret.strip_suffix(PUBLIC_ENDING).map(|secret| format!("--key {secret}"));
        return Err(CommandError::local(message, hint.unwrap_or_default()));
    }
    let wrong = || CommandError::local(format!("{shown} is not a secret key of minisign"), hint);
    // It says itself whether it needs a password.
    if let Ok(key) = SecretKeyBox::from_string(&text).map_err(|_| wrong())?.into_unencrypted_secret_key() {
        return Ok(key);
    }
    let secret = SecretKeyBox::from_string(&text).map_err(|_| wrong())?;
    let Some(password) = password(&args.password, &format!("password of {shown}"), false)? else {
        return Err(CommandError::local(format!("{shown} has a password"), "leave --no-password out"));
    };
    secret.into_secret_key(Some(password.to_string())).map_err(|_| {
        CommandError::local(format!("the password is not that of {shown}, or it is no secret key"), hint)
    })
}

fn small_text(path: &Path) -> io::Result<Zeroizing<String>> {
    match fs::metadata(path)? {
        meta if !meta.is_file() => Err(io::Error::other("it is not a regular file")),
        meta if meta.len() > KEY_BYTES => Err(io::Error::other("it is too long for a key")),
        _ => fs::read_to_string(path).map(Zeroizing::new),
    }
}

/// The password of a key; none: it has none. `is_new`: it is asked for twice.
fn password(args: &KeyPassword, what: &str, is_new: bool) -> Result<Option<Zeroizing<String>>, CommandError> {
    if args.no_password {
        return Ok(None);
    }
    let Some(file) = &args.password_file else { return ask(what, is_new).map(Some) };
    read_from(file).map(Some)
}

/// The first line of a file that nobody else can read, or of standard input.
pub(crate) fn read_from(file: &Path) -> Result<Zeroizing<String>, CommandError> {
    if file != Path::new("-") {
        return read_password(file)
            .map_err(|error: SettingsError| CommandError::local(error.to_string(), ""));
    }
    let mut line = Zeroizing::new(String::new());
    io::BufRead::read_line(&mut io::Read::take(io::stdin().lock(), KEY_BYTES), &mut line)
        .map_err(|error| CommandError::local(format!("standard input cannot be read: {error}"), ""))?;
    match line.trim_end_matches(['\n', '\r']) {
        "" => Err(CommandError::local("standard input holds no password", "")),
        password => Ok(Zeroizing::new(password.to_owned())),
    }
}

fn ask(what: &str, is_new: bool) -> Result<Zeroizing<String>, CommandError> {
    let hint = "say --password-file FILE, or --no-password";
    if !io::stdin().is_terminal() {
        return Err(CommandError::usage(format!("there is no terminal to ask for the {what} on"), hint));
    }
    let read = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| CommandError::local(format!("the {what} cannot be read: {error}"), hint))
    };
    let password = read(&format!("{what}: "))?;
    if password.is_empty() {
        return Err(CommandError::usage("an empty password protects nothing", hint));
    }
    match is_new && *read("once more: ")? != *password {
        true => Err(CommandError::usage("these were two different passwords", "")),
        false => Ok(password),
    }
}
