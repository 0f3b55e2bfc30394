//! One node of the cluster, as one that deploys sees it.

use std::fs::{self, DirBuilder, DirEntry};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use koi_files::{Durability, Temporary, WriteOptions};
use koi_proto::api::{Done, Local, Reconfigure};
use koi_proto::client::{Client, ClientError, Endpoint};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{DeployError, PERIOD, Wanted};
use crate::dev::round::{HANDLER, MANIFEST};
use crate::local_cluster::folder::Folder;

/// How long an answer may take, and taking a plugin whose code is compiled.
const ANSWER_TIME: Duration = Duration::from_secs(5);
const TAKE_TIME: Duration = Duration::from_secs(60);
/// How long a node may be away that was killed.
const BACK_TIME: Duration = Duration::from_secs(15);

/// What the names of the code of languages' runtimes begin with. Components share it.
const RUNTIME: &str = "runtime-";
/// A component that has just been loaded has used its runtime's code no longer ago; the file's time says when.
const JUST_USED: Duration = Duration::from_secs(60);

/// Nothing of it has to outlive the machine.
const FILE: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Random(".koi-"), durability: Durability::Unsynced };

/// A node to bring versions to.
#[derive(Clone, Debug)]
pub(super) struct DeployNode {
    pub(super) name: &'static str,
    home: PathBuf,
    client: Client,
    /// Waits for plugins.
    patient: Client,
}

impl DeployNode {
    /// The node of this name, in the cluster in this folder.
    pub(super) fn new(folder: &Folder, name: &'static str) -> DeployNode {
        let client = |timeout| Client::new(Endpoint::Socket(folder.socket(name)), timeout);
        DeployNode {
            name,
            home: folder.home(name),
            client: client(ANSWER_TIME),
            patient: client(TAKE_TIME + ANSWER_TIME),
        }
    }

    /// Puts component, `service.toml` and machine code where this node's koid looks.
    pub(super) fn bring(&self, entry: &str, wanted: &Wanted, compiled: &Path) -> Result<(), DeployError> {
        let folder = self.home.join("services").join(entry);
        let failed = |path: &Path, source| DeployError::Write { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| failed(&folder, e))?;
        let texts: [(&str, &[u8]); 2] =
            [(HANDLER, &wanted.component), (MANIFEST, wanted.service_toml.as_bytes())];
        for (name, content) in texts {
            let path = folder.join(name);
            koi_files::replace(&path, content, &FILE).map_err(|e| failed(&path, e.source))?;
        }
        self.bring_code(&wanted.hash, compiled).map_err(|e| failed(&self.compiled(), e))
    }

    /// koid would compile it again, once for each node.
    fn bring_code(&self, hash: &str, compiled: &Path) -> io::Result<()> {
        let own = self.compiled();
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        for entry in fs::read_dir(compiled)?.flatten() {
            let name = entry.file_name();
            let target = own.join(&name);
            if belongs_to(&entry, hash) && !target.exists() {
                fs::hard_link(entry.path(), &target)
                    .or_else(|_| fs::copy(entry.path(), &target).map(drop))?;
            }
        }
        Ok(())
    }

    /// Removes machine code of other versions than these.
    pub(super) fn tidy(&self, hashes: &[String]) {
        let is_needed = |name: &str| hashes.iter().any(|hash| name.starts_with(hash.as_str()));
        remove(&self.compiled(), |name| !is_needed(name) && !name.starts_with(RUNTIME));
    }

    fn compiled(&self) -> PathBuf {
        self.home.join("state/plugins/compiled")
    }

    /// The node as it sees itself.
    pub(super) async fn local(&self) -> Result<Local, DeployError> {
        self.client.get("/v1/local").await.map_err(|error| DeployError::Asked(self.name, error))
    }

    /// Gives it a command.
    pub(super) async fn order(&self, verb: &str, body: &impl Serialize) -> Result<(), DeployError> {
        let done: Result<Done, ClientError> = self.client.post(&format!("/v1/{verb}"), body).await;
        done.map(drop).map_err(|error| DeployError::Asked(self.name, error))
    }

    /// Has it take what lies there. One that was killed comes back.
    pub(super) async fn reconfigure_in_time(&self) -> Result<Done, ClientError> {
        let deadline = Instant::now() + BACK_TIME;
        loop {
            match self.reconfigure().await {
                Err(ClientError::NoDaemon { .. }) if Instant::now() < deadline => sleep(PERIOD).await,
                done => return done,
            }
        }
    }

    async fn reconfigure(&self) -> Result<Done, ClientError> {
        let wait_ms = u64::try_from(TAKE_TIME.as_millis()).ok();
        self.patient.post("/v1/reconfigure", &Reconfigure { node: None, wait_ms }).await
    }
}

/// Whether a file with compiled code is of the component with this hash, which has just been loaded.
fn belongs_to(file: &DirEntry, hash: &str) -> bool {
    let name = file.file_name();
    let name = name.to_string_lossy();
    let used = || file.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().ok();
    name.starts_with(hash) || name.starts_with(RUNTIME) && used().is_none_or(|used| used < JUST_USED)
}

/// Removes the files whose names are such.
pub(super) fn remove(folder: &Path, which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(&which) {
            // What stays costs room and nothing else.
            let _ = fs::remove_file(entry.path());
        }
    }
}
