//! `registries.toml`: how registries are reached, and who logs in there. Only `koi` reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use koi_files::trust;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Bytes of `registries.toml`, and of a file of certificates.
const FILE_BYTES: u64 = 1 << 20;
/// Bytes of a password.
const PASSWORD_BYTES: u64 = 4096;

/// Everything that `registries.toml` says, by host and port as references name them.
#[derive(Clone, Debug, Default)]
pub struct Registries(BTreeMap<String, RegistrySettings>);

/// How one registry is reached.
#[derive(Clone, Debug, Default)]
pub struct RegistrySettings {
    /// Who logs in.
    pub login: Option<Login>,
    /// Authorities beside the public ones, as PEM.
    pub authorities: Option<Vec<u8>>,
    /// Without TLS: everybody on the way reads and changes what passes.
    pub plain_http: bool,
    /// Hosts that may be given the password for a token, beside the registry itself.
    pub token_hosts: Vec<String>,
}

/// A user and a password. `Debug` does not print the password.
#[derive(Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password, or an access token in its place.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why `registries.toml`, or a file that it names, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says something that koi does not understand.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What, and in which line.
        message: String,
    },
    /// A user without a password, or the other way round.
    #[error("{}: {host} must have both `user` and `password_file`, or neither", path.display())]
    HalfLogin {
        /// The file.
        path: PathBuf,
        /// The registry.
        host: String,
    },
    /// Others can read a password.
    #[error("{path} holds a password, and others than its owner can read it; chmod 600 {path}", path = .0.display())]
    Exposed(PathBuf),
    /// There is nothing in it.
    #[error("{} holds no password", .0.display())]
    NoPassword(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    registries: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    #[serde(default)]
    plain_http: bool,
    #[serde(default)]
    token_hosts: Vec<String>,
}

impl Registries {
    /// Reads the file at `path`, and the files that it names; a file that is not there says nothing. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or says something that cannot be.
    pub fn read(path: &Path) -> Result<Registries, SettingsError> {
        let text = match limited(path, FILE_BYTES) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Registries::default()),
            Err(source) => return Err(SettingsError::Unreadable { path: path.to_owned(), source }),
        };
        let invalid = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            SettingsError::Invalid {
                path: path.to_owned(),
                message: format!("line {line}: {}", error.message()),
            }
        };
        let file: File = toml::from_str(&text).map_err(invalid)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let read = |(host, entry): (String, Entry)| {
            Ok((host.to_ascii_lowercase(), entry.settle(&host, path, folder)?))
        };
        file.registries.into_iter().map(read).collect::<Result<_, _>>().map(Registries)
    }

    /// What is said of the registry at this host; nothing: it is reached over TLS, and nobody logs in.
    pub fn of(&self, host: &str) -> RegistrySettings {
        self.0.get(host).cloned().unwrap_or_default()
    }
}

impl Entry {
    fn settle(self, host: &str, path: &Path, folder: &Path) -> Result<RegistrySettings, SettingsError> {
        let login = match (self.user, self.password_file) {
            (Some(user), Some(file)) => Some(Login { user, password: read_password(&folder.join(file))? }),
            (None, None) => None,
            _ => return Err(SettingsError::HalfLogin { path: path.to_owned(), host: host.to_owned() }),
        };
        let authorities = self.ca_file.map(|file| folder.join(file)).map(|file| {
            limited(&file, FILE_BYTES).map_err(|source| SettingsError::Unreadable { path: file, source })
        });
        Ok(RegistrySettings {
            login,
            authorities: authorities.transpose()?,
            plain_http: self.plain_http,
            token_hosts: self.token_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        })
    }
}

/// The first line of a file that only its owner can read. Blocks.
///
/// # Errors
/// It cannot be read, is empty, or others can read it.
pub fn read_password(path: &Path) -> Result<Zeroizing<String>, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let bytes = Zeroizing::new(limited(path, PASSWORD_BYTES).map_err(unreadable)?);
    if trust::is_open_to_others(&fs::metadata(path).map_err(unreadable)?) {
        return Err(SettingsError::Exposed(path.to_owned()));
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|error| unreadable(io::Error::other(error)))?;
    match text.trim_end_matches('\r') {
        "" => Err(SettingsError::NoPassword(path.to_owned())),
        password => Ok(Zeroizing::new(password.to_owned())),
    }
}

fn limited(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!("it is longer than {most} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(folder: &Path, text: &str) -> Result<Registries, String> {
        fs::write(folder.join("registries.toml"), text).unwrap();
        Registries::read(&folder.join("registries.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_registry_has_what_stands_below_its_host_and_no_other_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("password"), "s3cret\n").unwrap();
        fs::set_permissions(at.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        let text = "[registries.\"Registry.example:5000\"]\nuser = \"me\"\npassword_file = \"password\"\ntoken_hosts = [\"auth.example\"]\n";
        let all = read(at, text).unwrap();
        let of = all.of("registry.example:5000");
        let login = of.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("me", "s3cret"));
        assert!(!format!("{login:?}").contains("s3cret"));
        assert_eq!(of.token_hosts, ["auth.example"]);
        assert!(all.of("registry.example").login.is_none());
        assert!(Registries::read(&at.join("none.toml")).unwrap().0.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_without_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::write(at.join("password"), "s3cret").unwrap();
        fs::set_permissions(at.join("password"), fs::Permissions::from_mode(0o640)).unwrap();
        let login = "[registries.r]\nuser = \"me\"\npassword_file = \"password\"\n";
        for (text, said) in [
            ("[registries.r]\nuser = \"me\"\n", "both `user` and `password_file`"),
            ("[registries.r]\n\npassword = \"s\"\n", "line 3: unknown field `password`"),
            ("[registries.r]\nca_file = \"none.pem\"\n", "none.pem cannot be read"),
            (login, "chmod 600"),
        ] {
            let why = read(at, text).unwrap_err();
            assert!(why.contains(said) && !why.contains("s3cret"), "{why}");
        }
    }
}
