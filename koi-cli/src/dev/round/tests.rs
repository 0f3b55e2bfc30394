//! The handler's own tests, beside the cluster: what runs does not wait for them.

use super::component::Inspector;
use super::tool;
use super::tool::{Stop, ToolEnd};
use crate::dev::project::Project;
use crate::dev::show::screen::Screen;
use crate::render::layout::Tone;

/// Lines of a report that are shown; all of it is to be had by `koi plugins test`.
const LINES: usize = 40;

/// What it takes to run tests.
pub(in crate::dev) struct Tester {
    pub(super) project: Project,
    pub(super) inspector: Inspector,
    pub(super) screen: Screen,
}

/// Runs the test files that there are, and says in a line that all went well, or what did not.
pub(in crate::dev) async fn run(tester: Tester, mut stop: Stop) {
    let Tester { project, inspector, screen } = tester;
    let files = project.tests();
    if files.is_empty() {
        return;
    }
    let mut command = inspector.command("plugin-test");
    command.current_dir(&project.folder).arg("--quiet");
    if screen.has_color() {
        command.arg("--color");
    }
    let is_usual = project.component == project.folder.join("handler.wasm");
    if !is_usual {
        command.arg(&project.component);
    }
    command.args(files.iter().map(|file| file.strip_prefix(&project.folder).unwrap_or(file)));
    let mut lines = Vec::new();
    match tool::run(command, &mut stop, |line| lines.push(line)).await {
        Ok(ToolEnd::Stopped) => {}
        Ok(ToolEnd::Exited(status)) if status.success() => {
            let last = lines.iter().rfind(|line| !line.is_empty()).map(String::as_str).unwrap_or_default();
            screen.raw(&format!("{} {last}", screen.painted(Tone::Good, "✓ tests")));
        }
        Ok(ToolEnd::Exited(_)) => {
            screen.say(Tone::Bad, "✗ tests");
            lines.iter().take(LINES).for_each(|line| screen.raw(&format!("  {line}")));
            if lines.len() > LINES {
                screen.say(Tone::Dim, "  … and more: koi plugins test");
            }
        }
        Err(error) => screen.say(Tone::Bad, &format!("✗ tests cannot be run: {error}")),
    }
}
