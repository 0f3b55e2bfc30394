//! `koi init`.

use std::path::Path;

use koi_config::{ExampleSettings, SEARCHED, example, parse_toml};
use serde_json::json;

use crate::cli::{Init, Options};
use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;

/// A password may come to stand in it.
const MODE: u32 = 0o640;
const DEFAULT: &str = "koi.toml";

/// Writes a configuration to begin with.
pub(crate) fn init(options: &Options, args: &Init, out: Out) -> Result<u8, CommandError> {
    let target = args.target.as_deref().or(options.file.as_deref()).unwrap_or(Path::new(DEFAULT));
    let text = example(&example_settings(args));
    // What was asked for may be no address: nothing is written that the daemon would refuse.
    parse_toml(&text, target)
        .map_err(|e| CommandError::usage(format!("this would be no configuration:\n{e}"), ""))?;
    write(target, &text, MODE, Existing::Keep("name another file; what is there stays as it is"))?;
    out.show(&json!({ "file": target }), |_| next_steps(target, args))?;
    Ok(exit::WELL)
}

fn example_settings(args: &Init) -> ExampleSettings {
    let mut settings = ExampleSettings::default();
    if let Some(electors) = args.electors {
        settings.electors = electors;
    }
    if !args.transport.is_empty() {
        settings.transport.clone_from(&args.transport);
    }
    if let Some(key_file) = &args.key_file {
        settings.key_file.clone_from(key_file);
    }
    settings
}

/// What was said needs no editing, and a key that is there is not made again.
fn next_steps(target: &Path, args: &Init) -> String {
    let file = target.display();
    let mut steps = Vec::new();
    let unsaid = match (args.electors, args.transport.is_empty()) {
        (None, true) => "electors and transport",
        (None, false) => "electors",
        (Some(_), true) => "transport",
        (Some(_), false) => "",
    };
    if !unsaid.is_empty() {
        steps.push(format!("edit it: {unsaid} above all"));
    }
    let settings = example_settings(args);
    // As in the file: a relative path begins at its folder.
    let key = target.parent().unwrap_or(Path::new("")).join(&settings.key_file);
    steps.push(match key.exists() {
        true => format!("copy the key {} to every node, if it is not there yet", key.display()),
        false => format!("koi keygen {}, and copy the key to every node", key.display()),
    });
    steps.push(format!("koi -f {file} check"));
    steps.push(match target.is_absolute() && SEARCHED.iter().any(|searched| Path::new(searched) == target) {
        true => "systemctl start koid, on every node".to_owned(),
        false => format!("koid -f {file}, on every node"),
    });
    let steps = steps.iter().zip(1..).map(|(step, n)| format!("  {n}. {step}\n"));
    format!("wrote {file}\nnext:\n{}", steps.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(target: &str, electors: Option<u16>, transport: &[&str], key: Option<&str>) -> String {
        let transport = transport.iter().map(ToString::to_string).collect();
        let args =
            Init { target: None, electors, transport, key_file: key.map(Into::into), new_identity: false };
        next_steps(Path::new(target), &args)
    }

    #[test]
    fn what_was_said_is_not_asked_for_again() {
        assert_eq!(
            steps("/no/such/koi.toml", None, &["10.0.0.1"], Some("cluster.key")),
            "wrote /no/such/koi.toml\nnext:\n  1. edit it: electors above all\n  2. koi keygen /no/such/cluster.key, and copy the \
             key to every node\n  3. koi -f /no/such/koi.toml check\n  4. koid -f /no/such/koi.toml, on every node\n"
        );
        let all = steps("/etc/koi/koi.toml", Some(3), &["10.0.0.1"], Some("/dev/null"));
        assert!(all.contains("  1. copy the key /dev/null to every node"), "{all}");
        assert!(all.ends_with("  3. systemctl start koid, on every node\n"), "{all}");
    }
}
