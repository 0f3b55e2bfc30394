//! What the tests of several modules share.

use std::path::Path;

use koi_config::Config;

/// A configuration with everything below `folder`.
pub(crate) fn config(folder: &Path) -> Config {
    let text = "[node]\nname = \"a\"\nstate_dir = \"state\"\n[cluster]\npassword = \"a long one\"\n\
                [services]\nfolder = \"services\"\nworkingdir = \"services\"\n[plugins]\ndirs = [\"plugins\"]\n";
    koi_config::parse_toml(text, &folder.join("koi.toml")).unwrap().config
}
