//! `koi events`: what happens, as it happens.

use koi_proto::api::{Event, Group};

use super::signals::until_interrupted;
use crate::cli::Events;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;

/// Shows events until there are no more, or until Ctrl-C.
pub(crate) async fn events(daemon: &Daemon, args: &Events, out: Out) -> Result<u8, CommandError> {
    until_interrupted(follow(daemon, args, out)).await
}

async fn follow(daemon: &Daemon, args: &Events, out: Out) -> Result<u8, CommandError> {
    let mut lines = daemon.lines(&path(args)).await?;
    while let Some(line) = lines.next().await? {
        if !line.trim().is_empty() {
            show(&line, args.of.group.as_ref(), out)?;
        }
    }
    if args.no_follow {
        return Ok(exit::WELL);
    }
    Err(CommandError::local("the daemon has ended the stream of events", "is it stopping? `koi local` says"))
}

fn path(args: &Events) -> String {
    let since = args.since.map(|n| format!("since={n}"));
    let follow = args.no_follow.then(|| "follow=false".to_owned());
    let group = args.of.group.as_ref().map(|group| format!("group={group}"));
    let query: Vec<String> = since.into_iter().chain(follow).chain(group).collect();
    if query.is_empty() { "/v1/events".to_owned() } else { format!("/v1/events?{}", query.join("&")) }
}

/// An older daemon does not choose by group: what is not of this one is left out.
fn show(line: &str, group: Option<&Group>, out: Out) -> Result<(), CommandError> {
    let event = serde_json::from_str::<Event>(line);
    if let (Ok(event), Some(group)) = (&event, group)
        && event.group != *group
        && !event.node.is_empty()
    {
        return Ok(());
    }
    if out.is_json() {
        return out.line(line.trim_end());
    }
    match event {
        Ok(event) => out.write(&render::cluster::event::event(&event, &out.view())),
        // A newer daemon may say what we do not understand: better shown than lost.
        Err(_) => out.line(&render::layout::text::clean(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::OfGroup;

    #[test]
    fn the_query_says_what_was_asked_for() {
        let path_of = |no_follow, since| path(&Events { no_follow, since, of: OfGroup::default() });
        assert_eq!(path_of(false, None), "/v1/events");
        assert_eq!(path_of(true, None), "/v1/events?follow=false");
        assert_eq!(path_of(true, Some(7)), "/v1/events?since=7&follow=false");
        let of = OfGroup { group: "web".parse().ok() };
        assert_eq!(path(&Events { no_follow: true, since: None, of }), "/v1/events?follow=false&group=web");
    }
}
