//! `koi plugins sign`, `push`, `pull` and what else brings a plugin from its author to a cluster, on the command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use koi_artifact::Reference;

use super::time::duration;

pub(crate) const SIGN: &str = "\
Sign a plugin's file: writes FILE.minisig beside it.

The signature is one of minisign's: `minisign -V` verifies it, and keys of minisign serve. It says that the file is this plugin in \
this version, as it says of itself. Nodes that have the public key in plugins.trusted_keys show who has signed a plugin, and with \
plugins.require_signature take no other.

The key's password comes from the terminal, or from --password-file.";

pub(crate) const PULL: &str = "\
Get a component from a registry, for services of this node.

Everything is compared with its digest, and with its signature where plugins.trusted_keys has keys, before it is kept in the state \
folder. Prints the line for service.toml, with the digest: koid takes what has this digest and nothing else, and never speaks to \
a registry.

How registries are reached, and who logs in, stands in registries.toml beside koi's configuration:

  [registries.\"registry.example:5000\"]
  user = \"koi\"
  password_file = \"registry.password\"   # its first line; chmod 600
  ca_file = \"ca.pem\"                    # an authority of your own
  token_hosts = [\"auth.example\"]        # who else may be given the password, for a token
  plain_http = true                     # without TLS";

pub(crate) const ROLLOUT: &str = "\
Have every node take a new version of a plugin that it has got already: standbys first, the master last.

Nothing is sent: each node takes the file that was pulled, loaded or copied there, and that its services name, under its own \
trusted keys. Before anything begins each node is asked what it would take; if that is another version, another file or nothing on \
one of them, nothing is done. Then standby by standby takes it and must report a good status; the mastership is switched over to \
one of them, and the old master takes it last. Stops at the first trouble, says which node has what, and how to go back. Meanwhile \
standard error says what goes on where.

Going back is the same: put the old version there, and roll that out.";

/// `koi plugins keygen`.
#[derive(Debug, Args)]
pub(crate) struct PluginKeygen {
    /// Where the secret key goes; the public one goes to FILE.pub
    #[arg(value_name = "FILE")]
    pub(crate) target: PathBuf,
    #[command(flatten)]
    pub(crate) password: KeyPassword,
}

/// The password of a secret key.
#[derive(Debug, Args)]
pub(crate) struct KeyPassword {
    /// Read the key's password from this file, its first line; `-` is standard input [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The key has no password: whoever can read it can sign
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) no_password: bool,
}

/// `koi plugins sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// A .wasm or a .so
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// The secret key, of `koi plugins keygen` or `minisign -G`
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) password: KeyPassword,
}

/// How a registry is reached.
#[derive(Debug, Args)]
pub(crate) struct ReachRegistry {
    /// How registries are reached [default: registries.toml beside koi's configuration]
    #[arg(long, value_name = "FILE")]
    pub(crate) registries: Option<PathBuf>,
    /// Log in as this user, at the registry that is named
    #[arg(long, value_name = "USER", requires = "password_file")]
    pub(crate) user: Option<String>,
    /// The user's password is the first line of this file; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(crate) password_file: Option<PathBuf>,
}

/// `koi plugins push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// A component; FILE.minisig goes along if it is there
    #[arg(value_name = "FILE")]
    pub(crate) plugin: PathBuf,
    /// oci://HOST/NAME:VERSION
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: Reference,
    /// Also when another file, or the same with another signature, has this version in the registry
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) reach: ReachRegistry,
}

/// `koi plugins pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// oci://HOST/NAME:VERSION, or oci://HOST/NAME@sha256:…
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: Reference,
    #[command(flatten)]
    pub(crate) reach: ReachRegistry,
}

/// `koi plugins verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A file with FILE.minisig beside it, or oci://HOST/NAME@sha256:… of what was pulled
    #[arg(value_name = "FILE|REFERENCE")]
    pub(crate) what: String,
    /// A public key that counts, RW… or a .pub file; may stand several times [default: plugins.trusted_keys]
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

/// `koi plugins save`.
#[derive(Debug, Args)]
pub(crate) struct Save {
    /// oci://HOST/NAME@sha256:… of what was pulled
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: Reference,
    /// The archive to write
    #[arg(value_name = "FILE")]
    pub(crate) target: PathBuf,
}

/// `koi plugins load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// An archive of `koi plugins save`
    #[arg(value_name = "FILE")]
    pub(crate) archive: PathBuf,
}

/// `koi plugins rollout`.
#[derive(Debug, Args)]
pub(crate) struct Rollout {
    /// NAME@VERSION, as the plugin says of itself
    #[arg(value_name = "NAME@VERSION")]
    pub(crate) plugin: PluginVersion,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long each step may take, with what is compiled for it [default: 2m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) within: Option<Duration>,
}

/// A plugin in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginVersion {
    pub(crate) name: String,
    pub(crate) version: String,
}

impl std::fmt::Display for PluginVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// An argument does not say which version.
#[derive(Debug, thiserror::Error)]
#[error("a plugin's version is written NAME@VERSION, like redis@0.2.0")]
pub(crate) struct PluginVersionError;

impl FromStr for PluginVersion {
    type Err = PluginVersionError;

    fn from_str(text: &str) -> Result<PluginVersion, PluginVersionError> {
        match text.split_once('@') {
            Some((name, version)) if !name.is_empty() && !version.is_empty() => {
                Ok(PluginVersion { name: name.to_owned(), version: version.to_owned() })
            }
            _ => Err(PluginVersionError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugins_file_is_not_the_configuration() {
        use clap::Parser;

        use crate::cli::{Cli, Command, Plugins};

        let words = ["koi", "-f", "koi.toml", "plugins", "push", "h.wasm", "oci://h/n:1"];
        let cli = Cli::try_parse_from(words).unwrap();
        let Command::Plugins(Plugins::Push(push)) = cli.command else { panic!("not push") };
        assert_eq!((cli.options.file, push.plugin), (Some("koi.toml".into()), "h.wasm".into()));
        let words = ["koi", "-f", "koi.toml", "plugins", "sign", "h.wasm", "--key", "k"];
        let cli = Cli::try_parse_from(words).unwrap();
        let Command::Plugins(Plugins::Sign(sign)) = cli.command else { panic!("not sign") };
        assert_eq!((cli.options.file, sign.plugin), (Some("koi.toml".into()), "h.wasm".into()));
    }

    #[test]
    fn a_version_stands_behind_the_name() {
        let expected = PluginVersion { name: "redis".into(), version: "0.2.0".into() };
        assert_eq!("redis@0.2.0".parse::<PluginVersion>().unwrap(), expected);
        for wrong in ["redis", "@1", "redis@", ""] {
            assert!(
                wrong.parse::<PluginVersion>().unwrap_err().to_string().contains("NAME@VERSION"),
                "{wrong}"
            );
        }
    }
}
