//! `koi init`.

use std::path::Path;

use koi_config::{Start, example, parse_toml};
use serde_json::json;

use crate::cli::{Init, Options};
use crate::fail::{Fail, exit};
use crate::files::{Existing, write};
use crate::output::Out;

/// A password may come to stand in it.
const MODE: u32 = 0o640;
const DEFAULT: &str = "koi.toml";

/// Writes a configuration to begin with.
pub(crate) fn init(options: &Options, args: &Init, out: Out) -> Result<u8, Fail> {
    let target = args.target.as_deref().or(options.file.as_deref()).unwrap_or(Path::new(DEFAULT));
    let text = example(&start(args));
    // What was asked for may be no address: nothing is written that the daemon would refuse.
    parse_toml(&text, target)
        .map_err(|e| Fail::usage(format!("this would be no configuration:\n{e}"), ""))?;
    write(target, &text, MODE, Existing::Keep("name another file; what is there stays as it is"))?;
    out.show(&json!({ "file": target }), |_| next_steps(target))?;
    Ok(exit::WELL)
}

fn start(args: &Init) -> Start {
    let mut start = Start::default();
    if let Some(electors) = args.electors {
        start.electors = electors;
    }
    if !args.transport.is_empty() {
        start.transport.clone_from(&args.transport);
    }
    if let Some(key_file) = &args.key_file {
        start.key_file.clone_from(key_file);
    }
    start
}

fn next_steps(target: &Path) -> String {
    format!(
        "wrote {0}\nnext:\n  1. edit it: electors and transport above all\n  2. koi keygen, and copy the key to every node\n  \
         3. koi -f {0} check\n  4. systemctl start koid, on every node\n",
        target.display()
    )
}
