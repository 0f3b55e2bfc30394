//! What can be wrong with `[grants]`.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use koi_files::trust::TrustError;
use koi_plugin_api::{Capability, Want};
use nix::errno::Errno;

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

/// Why one entry of a list cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Of `read` or `write`.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Of `tcp` or `udp`.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Of `http`.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Of `exec`.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Of `env` or `exec-env`.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Of `user`.
    #[error(transparent)]
    User(#[from] UserError),
}

/// Why a directory cannot be granted, or not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A relative path, or one that climbs.
    #[error("write an absolute path without `..`")]
    NotAbsolute,
    /// Nothing is there.
    #[error("there is no such directory; create it or correct the line")]
    Missing,
    /// The system does not let us look.
    #[error("it cannot be looked at: {0}")]
    Unreadable(io::Error),
    /// A file or the like.
    #[error("not a directory; grant the directory that it lies in")]
    NotADirectory,
    /// `/`, for writing.
    #[error("the whole node cannot be granted for writing; name the directory that is needed")]
    WholeNode,
    /// For writing, and something of koi's own is in it or holds it.
    #[error(
        "{what} ({}) would be writable, and with it a handler could give itself everything; grant a directory that it is not in",
        path.display()
    )]
    Protected { what: &'static str, path: PathBuf },
    /// A secret of koi's is in it.
    #[error("{what} ({}) would be readable; grant a directory that it is not in", path.display())]
    Secret { what: &'static str, path: PathBuf },
    /// It was there when the service was loaded.
    #[error("the granted directory {} cannot be opened any more: {source}", path.display())]
    Gone { path: PathBuf, source: io::Error },
    /// A link on the way was changed since the service was loaded.
    #[error(
        "the granted directory {} now leads to {} and no longer to {}; if that is meant, run `koi reconfigure`",
        path.display(), now.display(), before.display()
    )]
    Moved { path: PathBuf, now: PathBuf, before: PathBuf },
    /// The sandbox does not take it.
    #[error("the granted directory {} cannot be opened: {error}", path.display())]
    Unopened { path: PathBuf, error: wasmtime::Error },
}

/// Why nothing can run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The machine has none of this name.
    #[error("there is no user {0} on this machine; make one or correct the line")]
    Missing(String),
    /// The system does not say who that is.
    #[error("who {name} is cannot be found out: {source}")]
    Unreadable { name: String, source: Errno },
    /// It is root, for a helper.
    #[error("a handler that breaks out of its sandbox would be root; name the user that owns what it needs")]
    Root,
    /// koid cannot become somebody else.
    #[error("only root can run something as {0}: run koid as root, or take out `user`")]
    NotRoot(String),
}

/// Why a text is not an address that can be granted.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not written like one.
    #[error(
        "{0}; write it like \"10.0.0.5:6379\", \"[::1]:80\", \"db.example:5432\" or \"10.0.0.0/24:6379\""
    )]
    Form(AddressFormError),
    /// The name server does not answer, or has no such name.
    #[error(
        "the name cannot be resolved ({0}); correct it, mend the node's name resolution, or write an IP address, which needs none"
    )]
    Unresolved(io::Error),
    /// The name server knows the name, and no address for it.
    #[error(
        "the name has no address; correct it, mend the node's name resolution, or write an IP address, which needs none"
    )]
    NoAddress,
}

/// Which part of an address is written wrongly.
#[derive(Debug, thiserror::Error)]
pub enum AddressFormError {
    #[error("it has no port")]
    NoPort,
    #[error("`{0}` is not a port (1 to 65535, or * for any)")]
    Port(String),
    #[error("a `]` is missing")]
    NoBracket,
    #[error("an IPv6 address stands in brackets")]
    BareIpv6,
    #[error("{0} is nobody's address")]
    Unspecified(IpAddr),
    #[error("`{0}` is not an IPv6 address")]
    NotIpv6(String),
    #[error("`{0}` is not an IP address")]
    NotAnIp(String),
    #[error("write the network of {0} as one of IPv4")]
    MappedNetwork(IpAddr),
    #[error("a network has 0 to {most} bits, not `{bits}`")]
    NetworkBits { most: u8, bits: String },
    #[error("{ip} is not the first address of a network of {bits} bits, {first} is")]
    NetworkStart { ip: IpAddr, bits: u8, first: IpAddr },
    #[error(transparent)]
    Name(#[from] HostNameError),
}

/// Why a text is not a host name.
#[derive(Debug, thiserror::Error)]
pub enum HostNameError {
    /// It has other characters, or too many of them.
    #[error("`{0}` is neither an IP address nor a host name")]
    NotAName(String),
    /// Digits and dots alone.
    #[error("`{0}` is not an IP address")]
    LooksLikeAnIp(String),
}

/// Why a text is not a server that can be granted.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0}; write host and port, like \"api.example:443\", or an address or a network, like \"10.1.0.0/16:443\""
)]
pub struct AuthorityError(#[from] pub AuthorityFormError);

/// Which part of a server is written wrongly.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFormError {
    #[error("it is no URL")]
    Url,
    #[error(transparent)]
    Address(#[from] AddressFormError),
}

/// Why a program cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// No word at all.
    #[error("it names no program; write an absolute path and arguments")]
    Empty,
    /// A relative path.
    #[error("`{}` is not an absolute path; write where the program lies", .0.display())]
    NotAbsolute(PathBuf),
    /// `**` with words behind it.
    #[error("`**` means any further arguments and so is the last word; write `*` for one")]
    OpenEndNotLast,
    /// Nothing is there.
    #[error("there is no {}; install it or correct the line", .0.display())]
    Missing(PathBuf),
    /// The system does not let us look.
    #[error("{} cannot be looked at: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A folder, or a file that is not executable.
    #[error("{} is not a program", .0.display())]
    NotAProgram(PathBuf),
    /// A table without a command line.
    #[error("`run` must be the command line: write {{ run = \"/PATH/TO/PROGRAM ARGUMENTS\" }}")]
    Run,
    /// A user that is none.
    #[error("`user` must be the name of a user, in double quotes")]
    User,
    /// Neither true nor false.
    #[error("`keep` must be true or false, without quotes")]
    Keep,
    /// A table with something else in it.
    #[error("`{0}` is not known here; there are `run`, `user` and `keep`")]
    UnknownKey(String),
    /// Of `user`.
    #[error(transparent)]
    RunAs(#[from] UserError),
}

/// Why a variable cannot be granted.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// It cannot be a name.
    #[error("not the name of an environment variable; write it like \"LANG\"")]
    NotAName,
    /// It would lead a program astray.
    #[error("a guest must not set it: with it any program can be made to run other code; take it out")]
    Unsafe,
}
