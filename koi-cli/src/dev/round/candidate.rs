//! What came of a build, before it comes into the cluster: it is looked at, granted what it wants, and said what it is.

use std::fs;

use koi_proto::api::PluginDetail;

use super::component::InspectError;
use super::deploy::Wanted;
use super::error::RoundError;
use super::tool::Stop;
use super::{HANDLER, MANIFEST, Rounds};
use crate::render::layout::Tone;

/// Bytes of a component, as koid takes them.
pub(super) const COMPONENT_BYTES: u64 = 256 << 20;

impl Rounds {
    /// What there is to run, and all that is known of it, which is said when it has changed.
    pub(super) async fn look(&mut self, stop: &mut Stop) -> Result<(PluginDetail, Wanted), RoundError> {
        let path = &self.project.component;
        let unreadable = |source| RoundError::Unreadable { path: path.clone(), source };
        if fs::metadata(path).map_err(unreadable)?.len() > COMPONENT_BYTES {
            return Err(RoundError::TooLarge(path.clone()));
        }
        let component = fs::read(path).map_err(unreadable)?;
        let mut service_toml = self.source.text()?;
        self.stage(HANDLER, &component)?;
        self.stage(MANIFEST, service_toml.as_bytes())?;
        // What is looked at is what will run, whatever becomes of the file meanwhile.
        let copy = self.staged.join(HANDLER);
        let mut granted = String::new();
        if self.source.folder.is_none() {
            let wants = self.inspector.wants(&copy, &self.staged, stop).await;
            let wants = wants.map_err(|error| self.own_words(error))?.ok_or(RoundError::Stopped)?;
            let unset = wants.section.lines().filter(|line| line.starts_with("# with `"));
            self.unset = unset.map(|line| line.trim_start_matches("# ").to_owned()).collect();
            if wants.dangerous && !self.takes_dangerous {
                return Err(RoundError::Dangerous(wants.section));
            }
            service_toml.push_str(&format!("\n{}", wants.section));
            self.stage(MANIFEST, service_toml.as_bytes())?;
            granted = wants.section;
        }
        let detail = self.inspector.detail(&copy, &self.staged, stop).await;
        let detail = detail.map_err(|error| self.own_words(error))?.ok_or(RoundError::Stopped)?;
        self.introduce(&detail, &granted);
        let hash = detail.plugin.hash.clone().unwrap_or_default();
        Ok((detail, Wanted { component, hash, service_toml }))
    }

    fn stage(&self, file: &str, content: &[u8]) -> Result<(), RoundError> {
        let failed = |source| RoundError::Staging { folder: self.staged.clone(), source };
        fs::create_dir_all(&self.staged).map_err(failed)?;
        fs::write(self.staged.join(file), content).map_err(failed)
    }

    /// A refusal, as it concerns what the author has written.
    fn own_words(&self, error: InspectError) -> InspectError {
        match error {
            InspectError::Refused(why) => {
                InspectError::Refused(self.source.in_own_words(&why, &self.staged, &self.project.component))
            }
            other => other,
        }
    }

    /// Says what the component is and wants, if it is not what was said last.
    fn introduce(&mut self, detail: &PluginDetail, granted: &str) {
        if detail.compiled.as_ref().is_some_and(|compiled| !compiled.cached) {
            self.compiled_here.extend(detail.plugin.hash.clone());
        }
        let plugin = &detail.plugin;
        let mut words = format!("{} {}: {}\n", plugin.name, plugin.version, plugin.description);
        let lines: Vec<&str> = granted.lines().filter(|line| *line != "[grants]").collect();
        let has_grants = lines.iter().any(|line| !line.starts_with('#'));
        match (&self.source.folder, has_grants) {
            (Some(_), _) => {
                let all = detail.used_by.iter().flat_map(|used| &used.granted);
                let all: Vec<&str> = all.map(String::as_str).collect();
                words.push_str(&match all.is_empty() {
                    true => "granted by service.toml: nothing\n".to_owned(),
                    false => format!("granted by service.toml:\n  {}\n", all.join("\n  ")),
                });
            }
            (None, true) => {
                words.push_str("granted in this cluster, and to be asked of operators under [grants]:\n");
            }
            (None, false) => words.push_str("it wants no grants\n"),
        }
        lines.iter().for_each(|line| words.push_str(&format!("  {line}\n")));
        if self.said.as_ref() != Some(&words) {
            words.lines().for_each(|line| self.screen.say(Tone::Plain, &format!("  {line}")));
            self.said = Some(words);
        }
    }
}
