//! The command lines of these processes. `koi` writes them; people write to `koi`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use koi_artifact::Store;
use koi_plugin_api::{Hook, Role};

use crate::catalog::storage::sources::Sources;
use crate::conformance::error::UsageError;
use crate::conformance::trial_group::{Attributes, put};

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Args {
    /// The plugin's file, or a service.
    pub(crate) plugin: PathBuf,
    /// The only hook to run.
    pub(crate) hook: Option<Hook>,
    /// The folder whose `service.toml` counts.
    pub(crate) service: Option<PathBuf>,
    /// Also if the service runs already.
    pub(crate) really: bool,
    /// How long each hook may take.
    pub(crate) timeout: Option<Duration>,
    /// Settings that come before those of `service.toml`.
    pub(crate) config: Vec<(String, String)>,
    pub(crate) role: Option<Role>,
    pub(crate) epoch: Option<u64>,
    /// The group that the service is promoted with; none: `main`.
    pub(crate) group: Option<String>,
    /// Its attributes.
    pub(crate) attributes: Attributes,
    /// Where the handler's store stays.
    pub(crate) state: Option<PathBuf>,
    /// Where plugins lie on this machine; the default: nobody says.
    pub(crate) sources: Sources,
    /// Only what is not as it should be.
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    pub(crate) color: bool,
}

/// Reads what follows the process's word.
pub(crate) fn read(words: &[OsString], one_hook: bool) -> Result<Args, UsageError> {
    let mut args = Args::default();
    let mut words = words.iter();
    let mut bare = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| UsageError::NoValue(word.clone()));
        match word.to_str() {
            Some("--really") => args.really = true,
            Some("--quiet") => args.quiet = true,
            Some("--json") => args.json = true,
            Some("--color") => args.color = true,
            Some("--service") => args.service = Some(value()?.into()),
            Some("--state") => args.state = Some(value()?.into()),
            Some("--timeout-ms") => args.timeout = Some(Duration::from_millis(number(value()?)?.max(1))),
            Some("--epoch") => args.epoch = Some(number(value()?)?),
            Some("--group") => args.group = Some(text(value()?)?),
            Some("--attribute") => {
                let (key, value) = setting(value()?)?;
                put(&mut args.attributes, &key, &value)?;
            }
            Some("--config") => args.config.push(setting(value()?)?),
            Some("--plugins") => args.sources.dirs.push(value()?.into()),
            Some("--pulled") => args.sources.pulled = Store::new(value()?.into()),
            Some("--role") => args.role = Some(role(value()?)?),
            Some(other) if other.starts_with("--") => {
                return Err(UsageError::UnknownOption(other.to_owned()));
            }
            _ => bare.push(word),
        }
    }
    match (bare[..].split_first(), one_hook) {
        (Some((plugin, [])), false) => args.plugin = (*plugin).into(),
        (Some((plugin, [hook])), true) => (args.plugin, args.hook) = ((*plugin).into(), Some(hook_of(hook)?)),
        _ => return Err(UsageError::Arguments),
    }
    Ok(args)
}

fn number(word: &OsStr) -> Result<u64, UsageError> {
    word.to_str().and_then(|w| w.parse().ok()).ok_or_else(|| UsageError::NotANumber(word.to_owned()))
}

fn text(word: &OsStr) -> Result<String, UsageError> {
    word.to_str().map(str::to_owned).ok_or_else(|| UsageError::NotAText(word.to_owned()))
}

fn setting(word: &OsStr) -> Result<(String, String), UsageError> {
    let pair = word.to_str().and_then(|word| word.split_once('='));
    let (key, value) = pair.ok_or_else(|| UsageError::NotASetting(word.to_owned()))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn role(word: &OsStr) -> Result<Role, UsageError> {
    match word.to_str() {
        Some("none") => Ok(Role::None),
        Some("standby") => Ok(Role::Standby),
        Some("promoted") => Ok(Role::Promoted),
        _ => Err(UsageError::NotARole(word.to_owned())),
    }
}

fn hook_of(word: &OsStr) -> Result<Hook, UsageError> {
    let found = Hook::ALL.into_iter().find(|hook| Some(hook.as_str()) == word.to_str());
    found.ok_or_else(|| UsageError::NotAHook(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn a_hook_by_hand_has_a_file_a_hook_and_circumstances() {
        let text = "h.wasm promote --config a=b=c --role standby --epoch 7 --timeout-ms 50 --json";
        let args = read(&words(text), true).unwrap();
        assert_eq!((args.hook, args.role, args.epoch), (Some(Hook::Promote), Some(Role::Standby), Some(7)));
        assert_eq!((args.config, args.json), (vec![("a".to_owned(), "b=c".to_owned())], true));
        assert_eq!(args.timeout, Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_group_has_a_name_and_attributes() {
        let args = read(&words("h.wasm promote --group db --attribute a=b=c --attribute d="), true).unwrap();
        let all = args.attributes.into_iter().collect::<Vec<_>>();
        assert_eq!(args.group.as_deref(), Some("db"));
        assert_eq!(all, [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), String::new())]);
        let long = format!("h.wasm promote --attribute k={}", "v".repeat(257));
        assert!(read(&words(&long), true).unwrap_err().to_string().contains("257 bytes: 256 are allowed"));
        assert!(read(&words("h.wasm promote --attribute k"), true).is_err());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in
            [("a.so --frob", "--frob"), ("a.so --epoch x", "x"), ("a.so --service", "--service")]
        {
            let why = read(&words(text), false).unwrap_err().to_string();
            assert!(why.contains(named), "{text}: {why}");
        }
        assert!(read(&words("a.so"), true).is_err() && read(&words("a.so b.so"), false).is_err());
        assert!(read(&words("a.so frob"), true).unwrap_err().to_string().contains("frob"));
    }
}
