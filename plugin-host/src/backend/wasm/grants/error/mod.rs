//! What can be wrong with `[grants]`.

mod address;
mod entry;

use std::path::PathBuf;

use koi_files::trust::TrustError;
use koi_plugin_api::{Capability, Want};

pub(crate) use self::address::{
    AddressError, AddressFormError, AuthorityError, AuthorityFormError, HostNameError,
};
pub(crate) use self::entry::{DirectoryError, EntryError, ProgramError, UserError, VariableError};

/// Why a service's `[grants]` cannot be used, or do not give its component what it needs.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// No such key.
    #[error("`{key}` is not a key of [grants]; the nearest is `{nearest}`")]
    UnknownKey { key: String, nearest: &'static str },
    /// A flag is something else than true or false.
    #[error("`{key}` under [grants] must be true or false, without quotes")]
    NotABoolean { key: String },
    /// Something else stands where a text belongs. `kind` comes with its article.
    #[error("`{key}` under [grants] is {kind}; write one text in double quotes")]
    NotAText { key: String, kind: String },
    /// A single text stands where a list belongs.
    #[error("`{key}` under [grants] must be a list; write {key} = [{text:?}]")]
    NotAList { key: String, text: String },
    /// A list is too long.
    #[error("`{key}` under [grants] has more than {most} entries")]
    TooManyEntries { key: String, most: usize },
    /// An entry is no text. `kind` comes with its article.
    #[error("`{key}` under [grants] has {kind} in it; write a list of texts, like {key} = [\"{example}\"]")]
    WrongKind { key: String, kind: String, example: &'static str },
    /// An entry has the right kind and cannot be granted. `entry` is as TOML writes it.
    #[error("`{key}` under [grants]: {entry}: {source}")]
    Entry { key: String, entry: String, source: EntryError },
    /// Variables for programs, and no program.
    #[error("`exec-env` under [grants] is of no use without `exec`: name the programs too")]
    ExecEnvAlone,
    /// With that program the handler may do anything.
    #[error(
        "`exec` under [grants]: {entry}: {danger}, or set `dangerous = true` under [grants] if that is meant"
    )]
    Dangerous { entry: String, danger: Danger },
    /// The service may change a program that it may run.
    #[error(
        "`write` under [grants]: {} holds {}, which `exec` runs: a handler that may change its programs may run anything; keep the \
         program elsewhere, or grant another directory", directory.display(), program.display()
    )]
    OwnProgram { program: PathBuf, directory: PathBuf },
    /// Others may change a program.
    #[error("`exec` under [grants]: {entry}: whoever changes this program has koid run it: {why}")]
    Untrusted { entry: String, why: TrustError },
    /// Nothing would ever end what is kept.
    #[error(
        "`exec` under [grants]: {entry}: what is kept is ended after `stop`, and the handler has no such hook; take out `keep`, or \
         take a handler that has one"
    )]
    KeepWithoutStop { entry: String },
    /// The handler asks for more than is granted: `missing`. `lacks` says of each what it is for, and `keys` are those of `[grants]`
    /// that give it all, each whole.
    #[error("[grants] lacks {}; it should read: {}{}", lacks.join(" and "), keys.join(" and "), about_exec(missing))]
    NotGranted { missing: Vec<Want>, lacks: Vec<String>, keys: Vec<String> },
    /// The service may put another file in the place of its secret's.
    #[error(
        "`write` under [grants]: {} holds {}, the file of the secret `{key}`: keep it elsewhere, or grant another directory",
        directory.display(), file.display()
    )]
    OwnSecret { key: String, file: PathBuf, directory: PathBuf },
    /// The handler asks for something that cannot be.
    #[error("the handler wants `{capability}`, and that is not {expected}; look at [config]")]
    Senseless { capability: Capability, expected: &'static str },
    /// The handler asks for an address that is none.
    #[error("the handler wants `{capability}`: {source}; look at [config]")]
    SenselessAddress { capability: Capability, source: AddressError },
    /// The component was built for another WASI.
    #[error(
        "the component imports `{interface}`; koid offers WASI 0.2 only: build it for that (wasm32-wasip2)"
    )]
    OtherWasi { interface: String },
    /// No koid has this interface.
    #[error("the component imports `{interface}`, which koid does not offer: build it without")]
    UnknownInterface { interface: String },
    /// The interface needs a grant. `line` gives it.
    #[error(
        "the component imports `{interface}`, and nothing of it is granted; write under [grants] of service.toml: {line}"
    )]
    InterfaceNotGranted { interface: String, line: &'static str },
}

impl GrantError {
    /// The key of `[grants]` that it is about; none: of several, or of none.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            GrantError::UnknownKey { key, .. }
            | GrantError::NotABoolean { key }
            | GrantError::NotAText { key, .. }
            | GrantError::NotAList { key, .. }
            | GrantError::TooManyEntries { key, .. }
            | GrantError::WrongKind { key, .. }
            | GrantError::Entry { key, .. } => Some(key),
            GrantError::ExecEnvAlone => Some("exec-env"),
            GrantError::Dangerous { .. }
            | GrantError::Untrusted { .. }
            | GrantError::KeepWithoutStop { .. } => Some("exec"),
            GrantError::OwnProgram { .. } | GrantError::OwnSecret { .. } => Some("write"),
            GrantError::NotGranted { missing, .. } => missing.first().map(|want| want.capability.grant_key()),
            GrantError::Senseless { .. }
            | GrantError::SenselessAddress { .. }
            | GrantError::OtherWasi { .. }
            | GrantError::UnknownInterface { .. }
            | GrantError::InterfaceNotGranted { .. } => None,
        }
    }

    /// Whether a line of `[grants]` is to be changed.
    pub(crate) fn is_of_section(&self) -> bool {
        !matches!(
            self,
            GrantError::Senseless { .. }
                | GrantError::SenselessAddress { .. }
                | GrantError::OtherWasi { .. }
                | GrantError::UnknownInterface { .. }
        )
    }
}

/// Why a handler that may run a program may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// It runs what it is given.
    #[error(
        "this program runs whatever it is given, and the handler could do all that koid may: name the program that is needed itself"
    )]
    Launcher,
    /// It takes any arguments.
    #[error(
        "with `**` the handler may give it any option, and most programs can be made to run or write anything by one: say which arguments, `*` for each that changes"
    )]
    AnyArguments,
}

fn about_exec(missing: &[Want]) -> &'static str {
    if missing.iter().any(|want| matches!(want.capability, Capability::ExecPath(_))) {
        "; put there what it calls the program with: `*` stands for one argument, which begins with no `-`"
    } else {
        ""
    }
}
