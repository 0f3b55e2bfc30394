//! The broker that belongs to a helper, over all calls.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_child::group::KILL_WAIT;
use koi_plugin_api::{CallLog, Hook, LogLevel};
use koi_text::escaped;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::backend::wasm::broker::protocol::Remains;
use crate::backend::wasm::host::exec::broker::Broker;

/// Runs the programs of one service. Clones share the broker.
#[derive(Clone)]
pub(crate) struct Programs(Arc<Mutex<State>>);

pub(crate) struct State {
    /// koid's program.
    koid: PathBuf,
    service: String,
    /// None: it was lost, and the next program starts another.
    broker: Option<Broker>,
    /// That of a program which may leave something, while it runs. A call that is cut leaves it to be ended.
    launcher: Option<Broker>,
    /// What was run for the call under way.
    ran: Vec<String>,
}

impl Programs {
    /// With a broker that waits for the first program. Blocks a little; must be called in a runtime.
    pub(crate) fn start(koid: &Path, service: &str) -> io::Result<Programs> {
        let broker = Some(Broker::start(koid, service)?);
        let (koid, service, ran) = (koid.to_owned(), service.to_owned(), Vec::new());
        Ok(Programs(Arc::new(Mutex::new(State { koid, service, broker, launcher: None, ran }))))
    }

    /// A call begins. Before its first program runs the log knows of the broker.
    pub(crate) async fn begin_call(&self, log: &Arc<dyn CallLog>) {
        if let Some(broker) = &mut self.0.lock().await.broker {
            broker.work_for(log);
        }
    }

    /// For one program.
    pub(crate) async fn hold(&self) -> OwnedMutexGuard<State> {
        self.0.clone().lock_owned().await
    }

    /// A call is over: what its programs have left in the background ends with it. True: there were more processes than there may be, and nobody was
    /// told yet.
    pub(crate) async fn end_call(&self, hook: Hook, log: &dyn CallLog) -> bool {
        let mut state = self.0.lock().await;
        if let Some(launcher) = state.launcher.take() {
            launcher.shut_down().await;
        }
        let ran = std::mem::take(&mut state.ran);
        let Some(mut broker) = state.broker.take() else { return false };
        if ran.is_empty() && broker.is_usable() {
            broker.rest();
            state.broker = Some(broker);
            return false;
        }
        let remains = match broker.end(false, std::future::pending()).await {
            Ok(remains) => remains,
            Err(lost) => {
                log.line(LogLevel::Warn, &lost.to_string());
                broker.shut_down().await;
                return false;
            }
        };
        if remains.count > 0 {
            log.line(LogLevel::Warn, &left(&ran, &remains, hook));
        }
        if remains.hangs {
            // It goes on trying, and nobody waits for it: the hook has ended.
            drop(broker);
        } else if broker.is_usable() {
            broker.rest();
            state.broker = Some(broker);
        } else {
            broker.shut_down().await;
        }
        remains.exceeded
    }

    /// Ends the broker, with all that its programs have left.
    pub(crate) async fn shut_down(&self) {
        let (broker, launcher) = {
            let mut state = self.0.lock().await;
            (state.broker.take(), state.launcher.take())
        };
        for broker in broker.into_iter().chain(launcher) {
            broker.shut_down().await;
        }
    }
}

impl State {
    /// A broker of its own, for a program that may leave something: until [`State::launched`].
    pub(crate) async fn launcher(&mut self, log: &Arc<dyn CallLog>) -> io::Result<&mut Broker> {
        let broker = self.another(log).await?;
        Ok(self.launcher.insert(broker))
    }

    /// The launcher's program has ended.
    pub(crate) fn launched(&mut self) -> Option<Broker> {
        self.launcher.take()
    }

    async fn another(&self, log: &Arc<dyn CallLog>) -> io::Result<Broker> {
        let (koid, service) = (self.koid.clone(), self.service.clone());
        let starting = tokio::task::spawn_blocking(move || Broker::start(&koid, &service));
        let mut broker = starting.await.map_err(io::Error::from).flatten()?;
        broker.work_for(log);
        Ok(broker)
    }

    /// The broker, for this program.
    pub(crate) async fn broker_for(
        &mut self,
        program: &str,
        log: &Arc<dyn CallLog>,
    ) -> io::Result<&mut Broker> {
        self.ran.push(program.to_owned());
        let mut before = self.broker.take();
        if !before.as_mut().is_some_and(Broker::is_usable)
            && let Some(broken) = before.take()
        {
            broken.shut_down().await;
        }
        let broker = match before {
            Some(broker) => broker,
            None => self.another(log).await?,
        };
        Ok(self.broker.insert(broker))
    }
}

/// What is said of processes that a call has left.
fn left(ran: &[String], remains: &Remains, hook: Hook) -> String {
    let named = |(name, id): &(String, i32)| format!("{} ({id})", escaped(name, &[]));
    let mut names = remains.some.iter().map(named).collect::<Vec<_>>().join(", ");
    let more = remains.count.saturating_sub(remains.some.len() as u64);
    if more > 0 {
        names.push_str(&format!(" and {more} more"));
    }
    let mut programs = ran.to_vec();
    programs.sort();
    programs.dedup();
    let fate = match remains.hangs {
        true => format!("which cannot be killed within {KILL_WAIT:?}: it hangs in the kernel"),
        false => format!(
            "which was killed at the end of {}; to keep what this program starts write {{ run = \"…\", keep = true }} for it under exec",
            hook.as_str()
        ),
    };
    format!("{} left running: {names}, {fate}", escaped(&programs.join(", "), &[]))
}
