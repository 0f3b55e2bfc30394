//! The configuration that is in force, with what is drawn from it. Replaced as a whole by a reload.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use koi_config::{ClusterKey, Config};
use koi_core::settings::Settings;
use koi_proto::key::{Key, KeyError, Keyring};

use crate::cluster::transport::Wire;
use crate::config::exposure;
use crate::config::exposure::ExposureError;
use crate::config::settings;

/// A configuration that was found good.
#[derive(Clone, Debug)]
pub(crate) struct ActiveConfig {
    /// As loaded, with what the command line overrides.
    pub(crate) config: Config,
    /// For the core.
    pub(crate) settings: Settings,
    /// The cluster's keys.
    pub(crate) keyring: Arc<Keyring>,
}

/// A configuration that reads well and cannot be used all the same.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnusableConfigError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    ExposureError(#[from] ExposureError),
}

impl ActiveConfig {
    /// Reads the keys, and refuses what this version cannot do.
    pub(crate) fn new(config: Config) -> Result<ActiveConfig, UnusableConfigError> {
        let keyring = Arc::new(keyring(&config)?);
        Ok(ActiveConfig { settings: settings::for_core(&config), keyring, config })
    }

    /// What the transport needs.
    pub(crate) fn wire(&self) -> Wire {
        Wire {
            cluster_id: self.config.cluster.id,
            keyring: (*self.keyring).clone(),
            entries: self.config.cluster.transport.clone(),
        }
    }
}

/// The key that seals, and those accepted beside it.
fn keyring(config: &Config) -> Result<Keyring, UnusableConfigError> {
    let sealing = match &config.cluster.key {
        ClusterKey::File(path) => read_key(path)?,
        ClusterKey::Password(password) => Key::from_password(password, config.cluster.id)?,
    };
    let accepted =
        config.cluster.accept_key_files.iter().map(|path| read_key(path)).collect::<Result<_, _>>()?;
    Ok(Keyring { sealing, accepted })
}

fn read_key(path: &Path) -> Result<Key, UnusableConfigError> {
    let key = Key::read_file(path)?;
    exposure::refuse_key(path)?;
    Ok(key)
}

/// The configuration in force. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedConfig(Arc<RwLock<Arc<ActiveConfig>>>);

impl SharedConfig {
    /// Begins with this one.
    pub(crate) fn new(current: ActiveConfig) -> SharedConfig {
        SharedConfig(Arc::new(RwLock::new(Arc::new(current))))
    }

    /// The one in force now.
    pub(crate) fn get(&self) -> Arc<ActiveConfig> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in force.
    pub(crate) fn set(&self, current: ActiveConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
    }
}
