//! Secrets of a service: read from their files at each call, handed to the handler, and shown to nobody.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use koi_files::trust::{self, TrustError};
use koi_plugin_api::{CallLog, Hook, HookError, Incident, LogLevel, Outcome, for_people};
use koi_plugin_shell::open_regular;
use tokio::sync::Mutex as AsyncMutex;
use zeroize::Zeroizing;

use crate::config::setting::SecretFile;

/// Bytes of a secret.
const SECRET_BYTES: u64 = 64 * 1024;

/// A shorter text is not looked for in what a service says: it would be found everywhere.
const HIDDEN_BYTES: usize = 4;

/// How long a hook that takes the service down waits for files. It then makes do with what was read before.
const HURRY: Duration = Duration::from_millis(20);

/// Why the file of a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("the secret `{key}`: {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than 64 KiB.
    #[error("the secret `{key}`: {} is longer than {} KiB", path.display(), SECRET_BYTES / 1024)]
    TooLong {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("the secret `{key}`: everybody may read or change {}; chmod o= {0}", path.display())]
    Open {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// Others may change it.
    #[error("the secret `{key}`: {why}")]
    Untrusted {
        /// The key.
        key: String,
        /// Who, and what to do.
        why: TrustError,
    },
}

/// The secrets of one service.
#[derive(Default)]
pub(crate) struct Secrets {
    files: Vec<SecretFile>,
    /// What was read last, in the order of `files`, wiped when it is not needed any more; none: it was never read.
    last: Mutex<Vec<Option<Zeroizing<String>>>>,
    /// Held while the files are read: a disk that hangs costs one thread, and not one for each call.
    turn: Arc<AsyncMutex<()>>,
}

/// The keys, and nothing that was read.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.iter().map(|file| &file.key)).finish()
    }
}

impl Secrets {
    /// Looks at the files, and reads them. Blocks.
    ///
    /// # Errors
    /// One cannot be read, or others than root and koid's user can read or change it.
    pub(crate) fn open(files: &[SecretFile]) -> Result<Secrets, SecretError> {
        let read = files.iter().map(|file| {
            check(file)?;
            read(file).map(Some)
        });
        let last = read.collect::<Result<_, _>>()?;
        Ok(Secrets { files: files.to_vec(), last: Mutex::new(last), turn: Arc::default() })
    }

    /// Those of a service that was opened before: whatever can be read is. Blocks.
    pub(crate) fn resume(files: &[SecretFile]) -> Secrets {
        let last = files.iter().map(|file| read(file).ok()).collect();
        Secrets { files: files.to_vec(), last: Mutex::new(last), turn: Arc::default() }
    }

    /// The values for a call of `hook`, by key. What takes the service down goes on with what was read before, or without.
    ///
    /// # Errors
    /// A file cannot be read, and `hook` is none that takes the service down.
    pub(crate) async fn read(
        self: &Arc<Secrets>,
        hook: Hook,
        log: &dyn CallLog,
    ) -> Result<Vec<(String, String)>, SecretError> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let secrets = self.clone();
        let reading = async {
            let turn = secrets.turn.clone().lock_owned().await;
            let read = move || {
                let _turn = turn;
                secrets.read_again()
            };
            tokio::task::spawn_blocking(read).await
        };
        let goes_down = matches!(hook, Hook::Demote | Hook::Stop | Hook::Failed);
        let read = match goes_down {
            true => tokio::time::timeout(HURRY, reading).await.unwrap_or(Ok(Ok(()))),
            false => reading.await,
        };
        match read {
            Ok(Err(error)) if goes_down => {
                let text = format!("{error}; {} goes on with what was read before", hook.as_str());
                log.line(LogLevel::Warn, &text);
            }
            Ok(read) => read?,
            // The thread was lost: what was read before is there.
            Err(_) => {}
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.files.iter().zip(&*last);
        Ok(known.filter_map(|(file, text)| Some((file.key.clone(), text.as_ref()?.to_string()))).collect())
    }

    fn read_again(&self) -> Result<(), SecretError> {
        for (at, file) in self.files.iter().enumerate() {
            let text = read(file)?;
            if let Some(last) = self.last.lock().unwrap_or_else(PoisonError::into_inner).get_mut(at) {
                *last = Some(text);
            }
        }
        Ok(())
    }

    /// `text` with the name of a secret in place of each of its lines that stands there, as it is or made fit for people.
    pub(crate) fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut hidden = Cow::Borrowed(text);
        if self.files.is_empty() {
            return hidden;
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for (file, secret) in self.files.iter().zip(&*last) {
            let lines = secret.iter().flat_map(|secret| secret.lines()).map(str::trim);
            for line in lines.filter(|line| line.len() >= HIDDEN_BYTES) {
                // A helper has cleaned what its guest says by the time it comes here.
                let cleaned = Zeroizing::new(for_people(line, usize::MAX));
                for shown in [line, &**cleaned] {
                    if shown.len() >= HIDDEN_BYTES && hidden.contains(shown) {
                        hidden = Cow::Owned(hidden.replace(shown, &format!("(secret `{}`)", file.key)));
                    }
                }
            }
        }
        hidden
    }

    /// A log that hides them.
    pub(crate) fn hiding(self: &Arc<Secrets>, log: Arc<dyn CallLog>) -> Arc<dyn CallLog> {
        match self.files.is_empty() {
            true => log,
            false => Arc::new(HidingLog { inner: log, secrets: self.clone() }),
        }
    }

    /// A result whose texts hide them.
    pub(crate) fn hide_in(&self, result: Result<Outcome, HookError>) -> Result<Outcome, HookError> {
        let hide = |text: String| self.hide(&text).into_owned();
        match result {
            Ok(Outcome::Status(mut report)) => {
                report.message = hide(report.message);
                report.details =
                    report.details.into_iter().map(|(key, value)| (hide(key), hide(value))).collect();
                Ok(Outcome::Status(report))
            }
            Ok(other @ (Outcome::Done | Outcome::Started(_))) => Ok(other),
            Err(HookError::Failed(why)) => Err(HookError::Failed(hide(why))),
            Err(HookError::Lasting(why)) => Err(HookError::Lasting(hide(why))),
            Err(HookError::CannotRun(why)) => Err(HookError::CannotRun(hide(why))),
            Err(other @ (HookError::NoRoom(_) | HookError::TimedOut(_) | HookError::Aborted)) => Err(other),
        }
    }
}

/// Who may read and change it.
fn check(file: &SecretFile) -> Result<(), SecretError> {
    let SecretFile { key, path } = file;
    let unreadable = |source| SecretError::Unreadable { key: key.clone(), path: path.clone(), source };
    let found = open_regular(path).and_then(|open| open.metadata()).map_err(unreadable)?;
    if found.mode() & 0o007 != 0 {
        return Err(SecretError::Open { key: key.clone(), path: path.clone() });
    }
    match trust::check_metadata(path, &found).or_else(|| trust::check_parents(path)) {
        Some(why) => Err(SecretError::Untrusted { key: key.clone(), why }),
        None => Ok(()),
    }
}

/// Its text without an end of line.
fn read(file: &SecretFile) -> Result<Zeroizing<String>, SecretError> {
    let SecretFile { key, path } = file;
    let unreadable = |source| SecretError::Unreadable { key: key.clone(), path: path.clone(), source };
    let mut text = Zeroizing::new(String::new());
    let open = open_regular(path).map_err(unreadable)?;
    open.take(SECRET_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > SECRET_BYTES {
        return Err(SecretError::TooLong { key: key.clone(), path: path.clone() });
    }
    let bare = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Zeroizing::new(bare.strip_suffix('\r').unwrap_or(bare).to_owned()))
}

/// Hides secrets in each line.
struct HidingLog {
    inner: Arc<dyn CallLog>,
    secrets: Arc<Secrets>,
}

impl CallLog for HidingLog {
    fn line(&self, level: LogLevel, text: &str) {
        self.inner.line(level, &self.secrets.hide(text));
    }

    fn group_began(&self, id: i32) {
        self.inner.group_began(id);
    }

    fn broker_began(&self, id: i32) {
        self.inner.broker_began(id);
    }

    fn group_gone(&self, id: i32) {
        self.inner.group_gone(id);
    }

    fn incident(&self, incident: Incident) {
        self.inner.incident(incident);
    }

    fn memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.inner.memory(peak_bytes, limit_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Quiet;

    impl CallLog for Quiet {
        fn line(&self, _: LogLevel, _: &str) {}
    }

    /// A file that only its owner may read, below a folder that only its owner may change.
    fn file(folder: &tempfile::TempDir, text: &str) -> SecretFile {
        let path = folder.path().join("password");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        SecretFile { key: "password".into(), path }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn a_secret_that_was_changed_is_the_new_one_at_the_next_call() {
        let folder = tempfile::tempdir().unwrap();
        let secret = file(&folder, "first\n");
        let secrets = Arc::new(Secrets::open(std::slice::from_ref(&secret)).unwrap());
        let read = |hook| runtime().block_on(secrets.read(hook, &Quiet));
        assert_eq!(read(Hook::Start).unwrap(), [("password".into(), "first".into())]);
        fs::write(&secret.path, "second").unwrap();
        assert_eq!(read(Hook::Status).unwrap(), [("password".into(), "second".into())]);
        fs::remove_file(&secret.path).unwrap();
        assert!(read(Hook::Promote).unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(
            read(Hook::Demote).unwrap(),
            [("password".into(), "second".into())],
            "it goes down with it"
        );
        assert!(!format!("{secrets:?}").contains("second"));
    }

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secret = file(&folder, "hunter2");
        let error = |mode| {
            fs::set_permissions(&secret.path, fs::Permissions::from_mode(mode)).unwrap();
            Secrets::open(std::slice::from_ref(&secret)).unwrap_err().to_string()
        };
        assert!(error(0o604).ends_with(&format!("chmod o= {}", secret.path.display())));
        assert!(error(0o602).contains("everybody may read or change"));
        fs::write(&secret.path, "x".repeat(70_000)).unwrap();
        assert!(error(0o600).contains("longer than 64 KiB"));
    }

    #[test]
    fn what_a_service_says_has_the_name_of_a_secret_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&[file(&folder, "hunter2\nother line\nab\n")]).unwrap();
        assert_eq!(secrets.hide("tried hunter2:hunter2"), "tried (secret `password`):(secret `password`)");
        assert_eq!(secrets.hide("the other line"), "the (secret `password`)");
        assert_eq!(secrets.hide("about"), "about", "too short to look for");
        let failed = secrets.hide_in(Err(HookError::Failed("no hunter2".into())));
        assert_eq!(failed, Err(HookError::Failed("no (secret `password`)".into())));
    }
}
