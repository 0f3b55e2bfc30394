//! What the recorded hooks of all nodes wrote: one file, so that the order of its lines is the order of things.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A hook began or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Seconds of the machine's uptime.
    pub at: f64,
    /// `KOI_NODE`.
    pub node: String,
    /// `KOI_SERVICE`.
    pub service: String,
    /// `KOI_EVENT`.
    pub hook: String,
    /// It ended, by itself; otherwise it began.
    pub ended: bool,
    /// `KOI_IS_PROMOTED`.
    pub promoted: bool,
    /// `KOI_EPOCH`.
    pub epoch: u64,
    /// `KOI_STATE`.
    pub state: String,
    /// `KOI_GROUP`.
    pub group: String,
}

impl FromStr for Entry {
    type Err = String;

    fn from_str(line: &str) -> Result<Entry, String> {
        let words: Vec<&str> = line.split(' ').collect();
        // A native plugin is not told its group.
        let (words, group) = match words[..] {
            [.., group] if words.len() == 9 => (&words[..8], group),
            _ => (&words[..], "main"),
        };
        let [at, node, service, hook, what, promoted, epoch, state] = *words else {
            return Err(format!("not a line of the hook log: {line:?}"));
        };
        let number = |text: &str| text.parse().map_err(|e| format!("{text} in {line:?}: {e}"));
        Ok(Entry {
            at: at.parse().map_err(|e| format!("{at} in {line:?}: {e}"))?,
            node: node.into(),
            service: service.into(),
            hook: hook.into(),
            ended: what == "end",
            promoted: promoted == "1",
            epoch: number(epoch)?,
            state: state.into(),
            group: group.into(),
        })
    }
}

/// All entries so far, or those from some point on.
#[derive(Clone, Debug, Default)]
pub struct HookLog(pub Vec<Entry>);

impl HookLog {
    /// Reads the file's text. A last line without its newline is not there yet.
    pub(crate) fn read(text: &str) -> HookLog {
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        HookLog(whole.map(|line| line.trim_end().parse().expect("hooks write whole lines")).collect())
    }

    /// What came after the first `count` entries.
    pub fn since(&self, count: usize) -> HookLog {
        HookLog(self.0.get(count..).unwrap_or_default().to_vec())
    }

    /// How many entries there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The hooks that began on a node, in order, as `service:hook`.
    pub fn of(&self, node: &str) -> Vec<String> {
        let began = self.0.iter().filter(|e| e.node == node && !e.ended);
        began.map(|e| format!("{}:{}", e.service, e.hook)).collect()
    }

    /// Where `service:hook` first began on `node`, counted in entries.
    pub fn began(&self, node: &str, hook: &str) -> Option<usize> {
        self.position(node, hook, false)
    }

    /// Where `service:hook` first ended on `node`, counted in entries.
    pub fn ended(&self, node: &str, hook: &str) -> Option<usize> {
        self.position(node, hook, true)
    }

    /// Each of these hooks (`service:hook`) ended on `node` before the next one began.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_order(&self, node: &str, hooks: &[&str]) {
        for pair in hooks.windows(2) {
            let (ended, began) = (self.ended(node, pair[0]), self.began(node, pair[1]));
            let ordered = ended.is_some() && ended < began;
            assert!(ordered, "on {node} {} does not end before {} begins:\n{self}", pair[0], pair[1]);
        }
    }

    fn position(&self, node: &str, hook: &str, ended: bool) -> Option<usize> {
        let (service, hook) = hook.split_once(':').expect("a hook is called service:hook");
        let is = |e: &Entry| e.node == node && e.service == service && e.hook == hook && e.ended == ended;
        self.0.iter().position(is)
    }

    /// The promise (docs/safety.md): from the beginning of the first promote to the end of the last demote (or stop)
    /// nobody else promotes in the same group. Returns the nodes that are promoted at the end, in whatever group.
    ///
    /// # Panics
    /// If it was broken.
    #[track_caller]
    pub fn assert_one_promoted(&self) -> Vec<String> {
        let up = self.assert_promise();
        let nodes: BTreeSet<String> = up.iter().map(|(node, ..)| (*node).to_owned()).collect();
        nodes.into_iter().collect()
    }

    /// Node, service and group of all that is promoted at the end.
    #[track_caller]
    fn assert_promise(&self) -> BTreeSet<(&str, &str, &str)> {
        let mut up: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
        for entry in &self.0 {
            let place = (entry.node.as_str(), entry.service.as_str(), entry.group.as_str());
            match (entry.hook.as_str(), entry.ended) {
                ("promote", false) => {
                    let other =
                        up.iter().find(|(node, _, group)| *node != entry.node && *group == entry.group);
                    assert!(other.is_none(), "{place:?} promotes while {other:?} is promoted:\n{self}");
                    up.insert(place);
                }
                ("demote" | "stop", true) => drop(up.remove(&place)),
                _ => {}
            }
        }
        up
    }

    /// As [`HookLog::assert_one_promoted`], of one group.
    ///
    /// # Panics
    /// If the promise was broken, in whatever group.
    #[track_caller]
    pub fn assert_promoted_in(&self, group: &str) -> Vec<String> {
        let up = self.assert_promise();
        let nodes: BTreeSet<String> =
            up.iter().filter(|(_, _, of)| *of == group).map(|(node, ..)| (*node).to_owned()).collect();
        nodes.into_iter().collect()
    }

    /// As [`HookLog::assert_one_promoted`], and at the end it is `master`.
    ///
    /// # Panics
    /// If not.
    #[track_caller]
    pub fn assert_only(&self, master: &str) {
        let promoted = self.assert_one_promoted();
        assert!(promoted.iter().eq([master]), "{promoted:?} are promoted, not {master} alone:\n{self}");
    }
}

impl fmt::Display for HookLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for e in &self.0 {
            let what = if e.ended { "end" } else { "begin" };
            let promoted = if e.promoted { "promoted" } else { "standby" };
            writeln!(
                f,
                "{:.2} {} {}:{} {what} ({promoted}, epoch {}, {})",
                e.at, e.node, e.service, e.hook, e.epoch, e.state
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> HookLog {
        let line = |l: &&str| format!("1.00 {l} 0 1 Slave main\n");
        HookLog::read(&lines.iter().map(line).collect::<String>())
    }

    #[test]
    fn one_after_the_other_is_well() {
        let log = log(&["a db promote begin", "a db promote end", "a db demote end", "b db promote begin"]);
        assert_eq!(log.assert_one_promoted(), ["b"]);
        assert_eq!(log.of("a"), ["db:promote"]);
    }

    #[test]
    fn each_group_may_be_promoted_elsewhere() {
        let log =
            HookLog::read("1.00 a db promote begin 1 1 Slave main\n1.00 b web promote begin 1 2 Slave web\n");
        assert_eq!(log.assert_one_promoted(), ["a", "b"]);
        assert_eq!(
            (log.assert_promoted_in("main"), log.assert_promoted_in("web")),
            (vec!["a".into()], vec!["b".into()])
        );
    }

    #[test]
    #[should_panic(expected = "promotes while")]
    fn two_at_once_are_found() {
        log(&["a db promote begin", "b db promote begin"]).assert_one_promoted();
    }
}
