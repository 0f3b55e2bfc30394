//! `koi attr`: the attributes of a group.

use std::ffi::OsStr;
use std::time::Duration;

use koi_proto::api::{Done, ErrorCode, Group, GroupAttributes, Scope, WriteAttribute};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::operate;
use crate::cli::{Attr, AttrRead, AttrWait, AttrWrite, WAIT_TIMEOUT};
use crate::commands::ask;
use crate::connect::{Answer, Daemon};
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render::layout::clock::span;
use crate::render::layout::text;

/// How long one question of `wait` lasts at most.
const ONE_WAIT: Duration = Duration::from_secs(20);
/// Time between two questions when there was no answer.
const PAUSE: Duration = Duration::from_millis(100);

/// How an older koid says that it cannot be asked this.
const NO_QUESTION: &str = "there is no GET ";

/// Reads, writes, or waits.
pub(crate) async fn attr(daemon: &Daemon, command: &Attr, out: Out) -> Result<u8, CommandError> {
    match command {
        Attr::Get { key, read } => get(daemon, key, read, out).await,
        Attr::List(read) => list(daemon, read, out).await,
        Attr::Set { key, value, write } => {
            let value = Some(utf8(key, value)?);
            let body = WriteAttribute { key: key.clone(), value, ..WriteAttribute::default() };
            self::write(daemon, body, write, out).await
        }
        Attr::Unset { key, write } => {
            let body = WriteAttribute { key: key.clone(), remove: true, ..WriteAttribute::default() };
            self::write(daemon, body, write, out).await
        }
        Attr::Wait(args) => wait(daemon, args, out).await,
    }
}

fn utf8(key: &str, value: &OsStr) -> Result<String, CommandError> {
    let wrong = || {
        let message = format!("the value for {} is not UTF-8", text::clean(key));
        CommandError::usage(message, "attributes are texts; encode other bytes, as with base64")
    };
    value.to_str().map(str::to_owned).ok_or_else(wrong)
}

fn path(group: Option<&Group>, more: &str) -> String {
    match group {
        Some(group) => format!("/v1/attributes?group={group}{more}"),
        None => format!("/v1/attributes?sole=true{more}"),
    }
}

async fn read(daemon: &Daemon, args: &AttrRead) -> Result<Answer<GroupAttributes>, CommandError> {
    ask_for(daemon, &path(args.group.as_ref(), if args.fresh { "&fresh=true" } else { "" })).await
}

async fn ask_for(daemon: &Daemon, path: &str) -> Result<Answer<GroupAttributes>, CommandError> {
    match daemon.get_in_hook(path).await {
        Err(CommandError::Reported { error, .. })
            if error.code == ErrorCode::NotFound && error.message.starts_with(NO_QUESTION) =>
        {
            Err(older())
        }
        answer => answer,
    }
}

fn older() -> CommandError {
    let message = "the asked koid is older than this koi, and knows no attributes";
    CommandError::local(message, "nothing has changed; upgrade it")
}

async fn get(daemon: &Daemon, key: &str, args: &AttrRead, out: Out) -> Result<u8, CommandError> {
    let said = read(daemon, args).await?.value;
    let Some(value) = said.state.values.get(key) else { return Err(none(key, &said)) };
    if out.is_json() {
        let (group, version, seen_by) = (&said.group, &said.state.version, &said.seen_by);
        let all =
            json!({ "group": group, "seen_by": seen_by, "version": version, "key": key, "value": value });
        out.json(&all)?;
    } else if out.is_on_terminal() {
        // What others have written steers no terminal.
        out.line(&text::clean(value))?;
    } else {
        out.line(value)?;
    }
    Ok(exit::WELL)
}

fn none(key: &str, said: &GroupAttributes) -> CommandError {
    let GroupAttributes { group, seen_by, .. } = said;
    let message = format!("there is no attribute {} of group {group}, as {seen_by} knows", text::clean(key));
    CommandError::new(
        exit::FAILED,
        ErrorCode::NotFound,
        message,
        "`koi attr list` shows those that there are",
    )
}

async fn list(daemon: &Daemon, args: &AttrRead, out: Out) -> Result<u8, CommandError> {
    let answer = read(daemon, args).await?;
    out.show(&answer.raw, |_| listed(&answer.value))?;
    Ok(exit::WELL)
}

/// Each attribute in a line of its own.
fn listed(said: &GroupAttributes) -> String {
    let GroupAttributes { group, state, .. } = said;
    if state.values.is_empty() {
        return format!("group {group} has no attributes\n");
    }
    let width = state.values.keys().map(String::len).max().unwrap_or_default();
    let lines = state.values.iter().map(|(key, value)| {
        let line = format!("{:width$}  {}", text::clean(key), text::clean(value));
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

async fn write(
    daemon: &Daemon,
    body: WriteAttribute,
    args: &AttrWrite,
    out: Out,
) -> Result<u8, CommandError> {
    let scope = match daemon.is_in_hook() && !args.force {
        // The token says of which group.
        true => Scope { group: args.group.clone(), sole_group: false },
        false => Scope::named(args.group.as_ref()),
    };
    let body = WriteAttribute { force: args.force, scope, ..body };
    let path = body.scope.path("attributes");
    let answer = match args.force {
        false => daemon.post_in_hook::<Done>(&path, &body).await,
        true => {
            if !args.yes {
                confirm(&body, out)?;
            }
            daemon.without_token().post_in_hook::<Done>(&path, &body).await
        }
    };
    match answer {
        Err(CommandError::Reported { error, .. }) if error.is_unknown_command() => Err(older()),
        answer => operate::show(answer?, out),
    }
}

fn confirm(body: &WriteAttribute, out: Out) -> Result<(), CommandError> {
    let key = text::clean(&body.key);
    let group = body.scope.group.as_ref().map(|group| format!(" of group {group}")).unwrap_or_default();
    let verb = if body.remove { "removes" } else { "writes" };
    ask::agreed(
        out,
        &format!("this {verb} attribute {key}{group}, whoever is master"),
        "The services that read it act on it as on their master's word.",
        ("say --force --yes if that is what you want", "nothing was written"),
    )
}

/// What is waited for.
struct Wanted<'w> {
    key: &'w str,
    /// None: anything.
    value: Option<String>,
    gone: bool,
}

impl Wanted<'_> {
    fn is_met(&self, said: &GroupAttributes) -> bool {
        match (said.state.values.get(self.key), &self.value) {
            (found, _) if self.gone => found.is_none(),
            (found, None) => found.is_some(),
            (found, wanted) => found == wanted.as_ref(),
        }
    }

    fn lacking(&self) -> String {
        let key = text::clean(self.key);
        match (&self.value, self.gone) {
            (_, true) => format!("attribute {key} is there still"),
            (None, _) => format!("there is no attribute {key}"),
            (Some(_), _) => format!("attribute {key} does not say what is waited for"),
        }
    }
}

/// The daemon answers when something has changed, or the wait is over.
async fn wait(daemon: &Daemon, args: &AttrWait, out: Out) -> Result<u8, CommandError> {
    let value = args.value.as_deref().map(|value| utf8(&args.key, value)).transpose()?;
    let wanted = Wanted { key: &args.key, value, gone: args.gone };
    let total = args.timeout.unwrap_or(WAIT_TIMEOUT);
    let deadline = Instant::now() + total;
    let mut seen = None::<String>;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).min(ONE_WAIT);
        let more = seen.as_ref().map(|version| format!("&after={version}&wait_ms={}", left.as_millis()));
        let patient = daemon.within(daemon.timeout() + left);
        let asked = ask_for(&patient, &path(args.group.as_ref(), &more.unwrap_or_default())).await;
        let outcome = match asked {
            Ok(Answer { raw, value }) if wanted.is_met(&value) => {
                out.show(&raw, |_| listed(&value))?;
                return Ok(exit::WELL);
            }
            Ok(Answer { value, .. }) => {
                seen = Some(value.state.version);
                let message = format!("{} after {}", wanted.lacking(), span(total.as_millis() as u64));
                let hint = "`koi attr list` says more; --timeout waits longer";
                CommandError::new(exit::DEGRADED, ErrorCode::NotReached, message, hint)
            }
            Err(fail) if fail.may_pass() => {
                sleep(PAUSE).await;
                fail
            }
            Err(fail) => return Err(fail),
        };
        if Instant::now() >= deadline {
            return Err(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn said(json: &str) -> GroupAttributes {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_list_has_a_line_for_each_and_steers_no_terminal() {
        let some =
            said(r#"{"seen_by":"a","version":"3.7","values":{"sync":"db2","alone":"","x":"\u001b[2J"}}"#);
        assert_eq!(listed(&some), "alone\nsync   db2\nx       [2J\n");
        assert_eq!(listed(&said("{}")), "group main has no attributes\n");
    }

    #[test]
    fn what_is_waited_for_is_a_key_a_value_or_its_end() {
        let some = said(r#"{"values":{"sync":"db2"}}"#);
        let wanted = |key, value: Option<&str>, gone| Wanted { key, value: value.map(str::to_owned), gone };
        assert!(wanted("sync", None, false).is_met(&some));
        assert!(wanted("sync", Some("db2"), false).is_met(&some));
        assert!(!wanted("sync", Some("db3"), false).is_met(&some));
        assert!(!wanted("sync", None, true).is_met(&some));
        assert!(wanted("other", None, true).is_met(&some) && !wanted("other", None, false).is_met(&some));
    }

    #[test]
    fn a_value_of_other_bytes_is_refused() {
        let error = utf8("k", OsStr::from_bytes(b"\xff\xfe")).unwrap_err();
        assert!(error.message().contains("not UTF-8"), "{error:?}");
    }
}
