//! `koi keygen`.

use std::path::Path;

use koi_proto::key::Key;
use serde_json::json;

use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;

/// Only who runs the daemon may read a key.
const MODE: u32 = 0o600;

/// Makes a key and writes it to `target`; `-` is standard output.
pub(crate) fn keygen(target: &Path, force: bool, out: Out) -> Result<u8, CommandError> {
    let key = Key::generate().map_err(|e| CommandError::local(e.to_string(), ""))?;
    let digits = key.to_hex();
    if target == Path::new("-") {
        out.line(&digits)?;
        return Ok(exit::WELL);
    }
    let existing = if force {
        Existing::Replace
    } else {
        Existing::Keep(
            "a key in use must not be lost; --force replaces it, and then every node needs the new one",
        )
    };
    write(target, &format!("{}\n", *digits), MODE, existing)?;
    let said = json!({ "file": target, "key_id": format!("{:?}", key.id()) });
    out.show(&said, |_| {
        format!(
            "wrote a new key to {0}\ncopy it to every node, and name it there: key_file = \"{0}\"\n",
            target.display()
        )
    })?;
    Ok(exit::WELL)
}
