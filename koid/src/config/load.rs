//! Reads the configuration, with what the command line overrides.

use std::path::Path;

use koi_config::{ConfigError, Diagnostic, Loaded, Severity};

/// Loads the file, or the first of the usual ones; `name` replaces `node.name`.
pub(crate) fn load(file: Option<&Path>, name: Option<&str>) -> Result<Loaded, ConfigError> {
    let mut loaded = koi_config::load(file)?;
    if let Some(name) = name {
        name.clone_into(&mut loaded.config.node.name);
        judge_again(&loaded)?;
    }
    Ok(loaded)
}

/// The file was judged with its own name.
fn judge_again(loaded: &Loaded) -> Result<(), ConfigError> {
    let findings = loaded.config.validate().into_iter().filter(|f| f.severity == Severity::Error);
    let problem = |f: koi_config::ConfigDiagnostic| Diagnostic {
        path: loaded.path.clone(),
        line: None,
        column: None,
        message: format!("with the name that -n gives: {}", f.message),
        hint: f.hint,
    };
    let problems: Vec<_> = findings.map(problem).collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ConfigError { problems, warnings: loaded.warnings.clone() }),
    }
}
