//! The processes that a guest names: by their ids, or by files that it may read itself.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use koi_plugin_api::{CallLog, LogLevel, NamedProcess, for_people};

use crate::backend::wasm::host::talk::Desk;
use crate::backend::wasm::protocol::{PATH_BYTES, ProcessName};

/// Characters of a path, as it is logged.
const PATH_CHARS: usize = 300;

/// What of the names of one service's guests was refused.
#[derive(Debug, Default)]
pub(crate) struct NamedProcesses {
    /// The newest that was said. It is said once, until it is another.
    said: Mutex<Option<String>>,
}

impl NamedProcesses {
    /// What koid may watch of what a status names: at most one more than is watched, which says that there are too many. The guest may be hostile:
    /// a file that it may not read is ignored. Looks at no file.
    pub(crate) fn allowed(
        &self,
        named: Vec<ProcessName>,
        desk: &Desk,
        log: &dyn CallLog,
    ) -> Vec<NamedProcess> {
        let (mut allowed, mut refused) = (Vec::new(), None);
        for name in named.into_iter().take(NamedProcess::MOST + 1) {
            let process = match name {
                ProcessName::Id(id) => NamedProcess::Id(id.to_string()),
                ProcessName::File(path) => match file(&path, desk) {
                    Ok(process) => process,
                    Err(why) => {
                        refused.get_or_insert(why);
                        continue;
                    }
                },
            };
            if !allowed.contains(&process) {
                allowed.push(process);
            }
        }
        self.say(refused, log);
        allowed
    }

    fn say(&self, refused: Option<String>, log: &dyn CallLog) {
        // It is whole at any moment.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = refused.as_ref().filter(|why| said.as_ref() != Some(why)) {
            log.line(LogLevel::Warn, why);
            *said = refused;
        }
    }
}

/// The file as koid reads it, or why it does not.
fn file(path: &str, Desk { grants, secrets, .. }: &Desk) -> Result<NamedProcess, String> {
    let ignored = |why: &str| format!("its pidfile {:?} is ignored: {why}", for_people(path, PATH_CHARS));
    if path.len() > PATH_BYTES {
        return Err(ignored("no path is as long"));
    }
    if secrets.hide(path) != path {
        return Err("a pidfile is ignored: there is a secret in its path, which would be shown".into());
    }
    let named = Path::new(path);
    if let Some((folder, way)) = grants.file_to_read(named) {
        let (Some(folder), Some(way)) = (folder.to_str(), way.to_str()) else {
            return Err(ignored("the directory that it lies in has a name that is no UTF-8"));
        };
        return Ok(NamedProcess::FileWithin { folder: folder.to_owned(), path: way.to_owned() });
    }
    let is_plain = named.is_absolute() && Path::new(path).components().all(|part| part.as_os_str() != "..");
    match named.parent().and_then(Path::to_str) {
        Some(folder) if is_plain && folder != "/" => {
            let line = grants.line_with("read", folder);
            Err(ignored(&format!(
                "the handler may not read it; to grant that write under [grants] of service.toml: {line}"
            )))
        }
        _ => Err(ignored("it should be an absolute path of a file in a directory of its own, without `..`")),
    }
}
