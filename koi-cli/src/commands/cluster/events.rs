//! `koi events`: what happens, as it happens.

use koi_proto::api::Event;

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
            show(&line, out)?;
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
    let query: Vec<String> = since.into_iter().chain(follow).collect();
    if query.is_empty() { "/v1/events".to_owned() } else { format!("/v1/events?{}", query.join("&")) }
}

fn show(line: &str, out: Out) -> Result<(), CommandError> {
    if out.is_json() {
        return out.line(line.trim_end());
    }
    match serde_json::from_str::<Event>(line) {
        Ok(event) => out.write(&render::cluster::event::event(&event, &out.view())),
        // A newer daemon may say what we do not understand: better shown than lost.
        Err(_) => out.line(&render::layout::text::clean(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_says_what_was_asked_for() {
        let path_of = |no_follow, since| path(&Events { no_follow, since });
        assert_eq!(path_of(false, None), "/v1/events");
        assert_eq!(path_of(true, None), "/v1/events?follow=false");
        assert_eq!(path_of(true, Some(7)), "/v1/events?since=7&follow=false");
    }
}
