//! `koi config`: the configuration of this machine.

use koi_config::{Loaded, load};
use koi_proto::api::ErrorCode;
use serde_json::json;

use crate::cli::{Config, Format, Options};
use crate::error::{CommandError, exit};
use crate::files::{Existing, write};
use crate::output::Out;

/// A password may stand in it.
const MODE: u32 = 0o640;

/// Shows or converts.
pub(crate) fn config(options: &Options, command: &Config, out: Out) -> Result<u8, CommandError> {
    let loaded = load(options.file.as_deref())
        .map_err(|e| CommandError::new(exit::FAILED, ErrorCode::Configuration, e.to_string(), ""))?;
    match command {
        Config::Show => show(&loaded, out),
        Config::Convert { to, out: target } => convert(&loaded, *to, target.as_deref(), out),
    }
}

fn show(loaded: &Loaded, out: Out) -> Result<u8, CommandError> {
    let text = koi_config::show(&loaded.config);
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let said = json!({ "file": loaded.path, "format": format_name(format_of(loaded)), "text": text, "warnings": warnings });
    if !out.is_json() {
        out.note(&format!("read from {}", loaded.path.display()));
        warnings.iter().for_each(|warning| out.warn(warning));
    }
    out.show(&said, |_| text.clone())?;
    Ok(exit::WELL)
}

fn convert(
    loaded: &Loaded,
    to: Option<Format>,
    target: Option<&std::path::Path>,
    out: Out,
) -> Result<u8, CommandError> {
    let to = to.unwrap_or(match format_of(loaded) {
        Format::Toml => Format::Classic,
        Format::Classic => Format::Toml,
    });
    let (text, notes) = write_as(to, &loaded.config);
    let notes: Vec<String> = loaded.warnings.iter().map(ToString::to_string).chain(notes).collect();
    if !out.is_json() {
        notes.iter().for_each(|note| out.warn(note));
    }
    match target {
        None if hides_password(&loaded.config, out) => {
            out.note("the password is not shown on a terminal: --out FILE, or `> FILE`, writes it");
            let mut config = loaded.config.clone();
            config.cluster.key = koi_config::ClusterKey::Password("…".to_owned());
            out.write(&write_as(to, &config).0)?;
        }
        None => {
            let said = json!({ "format": format_name(to), "text": text, "notes": notes });
            out.show(&said, |_| text.clone())?;
        }
        Some(target) => {
            write(target, &text, MODE, Existing::Keep("name another file; what is there stays as it is"))?;
            let said = json!({ "format": format_name(to), "file": target, "notes": notes });
            out.show(&said, |_| format!("wrote {}\n", target.display()))?;
        }
    }
    Ok(exit::WELL)
}

/// The text, and what it cannot say.
fn write_as(format: Format, config: &koi_config::Config) -> (String, Vec<String>) {
    match format {
        Format::Toml => (koi_config::to_toml(config), Vec::new()),
        Format::Classic => koi_config::to_classic(config),
    }
}

/// Whoever looks over a shoulder, or at what a terminal has kept, is not to read it.
fn hides_password(config: &koi_config::Config, out: Out) -> bool {
    out.is_on_terminal()
        && !out.is_json()
        && matches!(config.cluster.key, koi_config::ClusterKey::Password(_))
}

fn format_of(loaded: &Loaded) -> Format {
    match loaded.format {
        koi_config::Format::Toml => Format::Toml,
        koi_config::Format::Classic => Format::Classic,
    }
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Toml => "toml",
        Format::Classic => "classic",
    }
}
