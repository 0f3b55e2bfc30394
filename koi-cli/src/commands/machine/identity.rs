//! `koi reset-identity`: a machine whose disk was copied gets an identity of its own.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use koi_config::load;
use koi_files::set_aside;
use koi_proto::api::ErrorCode;
use serde_json::json;

use crate::cli::Options;
use crate::error::{CommandError, exit};
use crate::output::Out;

/// What in a state folder says who a node is, and what it has promised as that.
const FILES: [&str; 2] = ["identity", "state"];

/// Sets aside what says who this node is. The next koid here draws a new id.
pub(crate) fn reset(options: &Options, out: Out) -> Result<u8, CommandError> {
    let loaded = load(options.file.as_deref())
        .map_err(|e| CommandError::new(exit::FAILED, ErrorCode::Configuration, e.to_string(), ""))?;
    let folder = &loaded.config.node.state_dir;
    let _lock = lock(folder)?;
    let mut aside = Vec::new();
    for path in FILES.map(|file| folder.join(file)).iter().filter(|path| path.exists()) {
        let renamed = set_aside(path, "of-another", u32::MAX);
        aside.push(renamed.map_err(|e| {
            CommandError::local(format!("cannot set {} aside: {}", path.display(), e.source), "")
        })?);
    }
    let message = match aside.is_empty() {
        true => format!("{} says nothing of an identity: the next koid here draws one", folder.display()),
        false => format!(
            "the next koid here begins as a node that nobody knows; what it was is set aside in {}",
            folder.display()
        ),
    };
    out.show(&json!({ "message": message, "set_aside": aside }), |_| format!("{message}\n"))?;
    Ok(exit::WELL)
}

/// Nobody uses the folder while this is held.
fn lock(folder: &Path) -> Result<Option<File>, CommandError> {
    let path = folder.join("lock");
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(CommandError::local(
                format!("cannot open {}: {e}", path.display()),
                "say it as root",
            ));
        }
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(CommandError::local(
            format!("koid runs here and uses {}", folder.display()),
            "stop koid first (systemctl stop koid), say `koi reset-identity`, and start it again",
        )),
        Err(TryLockError::Error(e)) => {
            Err(CommandError::local(format!("cannot lock {}: {e}", path.display()), ""))
        }
    }
}
