//! Runs one test: its world is set up, its hooks are called, and what came of it is held against its file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use koi_files::{Durability, Temporary, WriteOptions};
use koi_plugin_api::{ConfigKey, ConfigKind, Context, Failure, Handler, Hook, LogLevel, Role};
use tokio::runtime::Runtime;

use crate::backend::wasm::script::StateStore;
use crate::config::setting::{Setting, SettingValue};
use crate::conformance::error::{LoadedHandlerError, ScratchError};
use crate::conformance::harness::{Harness, TrialCall};
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::plugin::{Facts, Kind};
use crate::scripted::compare::{self, Stored};
use crate::scripted::file::Test;
use crate::scripted::file::call::CallScript;
use crate::scripted::finding::{Finding, Findings};
use crate::scripted::machine;
use crate::scripted::machine::ScriptedMachine;
use crate::scripted::network::NetworkError;
use crate::scripted::peers::{PeerError, Peers};
use crate::scripted::store;
use crate::scripted::store::TestStoreError;
use crate::service::manifest::Manifest;
use crate::stand_in::StandIn;

/// The address of the node that a test takes place on, where the node itself is the master.
const OWN_ADDRESS: &str = "127.0.0.1";

/// koid takes no secret that others may read.
const SECRET: WriteOptions<'static> =
    WriteOptions { mode: 0o600, temporary: Temporary::Fixed, durability: Durability::Unsynced };

/// Why the hooks of a test are not called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TestError {
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Store(#[from] TestStoreError),
    #[error("the handler cannot be had so: {0}")]
    Handler(Box<LoadedHandlerError>),
    #[error("a secret of it cannot be put into a file: {0}")]
    Secret(io::Error),
    #[error("it needs a network: {0}")]
    Network(String),
    #[error("`{0}` is for components: scripts and libraries do by themselves what koi does for a component")]
    OnlyComponents(&'static str),
    #[error(
        "`attributes` is for components and native libraries: a script asks koid for them, and there is none here"
    )]
    ScriptWithAttributes,
}

impl From<LoadedHandlerError> for TestError {
    fn from(error: LoadedHandlerError) -> TestError {
        TestError::Handler(Box::new(error))
    }
}

/// What all tests of a run share.
pub(crate) struct Stage<'s> {
    pub(crate) target: &'s Target,
    pub(crate) scratch: &'s Scratch,
    pub(crate) facts: &'s Facts,
    pub(crate) harness: &'s Harness<'s>,
    /// For peers and stores: not that which hooks are called in.
    pub(crate) runtime: &'s Runtime,
    /// Why there is no network of its own.
    pub(crate) network: Option<&'s NetworkError>,
}

/// What came of a test.
pub(crate) struct TestReport {
    pub(crate) findings: Vec<Finding>,
    pub(crate) took: Duration,
    /// Of the call that did not go as it should, or of the last one.
    pub(crate) log: Vec<(LogLevel, String)>,
}

/// Runs a test to its end.
pub(crate) fn run(stage: &Stage<'_>, test: &Test) -> TestReport {
    let (began, findings) = (Instant::now(), Findings::default());
    let log = within_world(stage, test, &findings).unwrap_or_else(|error| {
        findings.add(Finding::of(test.line, error.to_string()));
        Vec::new()
    });
    TestReport { findings: findings.take(), took: began.elapsed(), log }
}

type Log = Vec<(LogLevel, String)>;

fn within_world(stage: &Stage<'_>, test: &Test, findings: &Findings) -> Result<Log, TestError> {
    check_kind(stage, test)?;
    if let Some(error) = stage.network.filter(|_| needs_network(stage.target.kind(), test)) {
        return Err(TestError::Network(error.to_string()));
    }
    let target = target(stage.target, test);
    let machine = Arc::new(ScriptedMachine::new(test, findings.clone()));
    let mut scratch = stage.scratch.another(target.kind(), &target.name)?;
    if target.kind() == Kind::Wasm {
        scratch.stand_in(StandIn::new(machine.clone()), machine::resolver(&test.given.names));
    }
    let store = StateStore::open(scratch.host().store_file(scratch.store_name()));
    store::fill(stage.runtime, &store, &test.given.store)?;
    let loaded = LoadedHandler::resume(&target, &scratch, stage.facts)?;
    let settings =
        with_secret_files(&loaded.facts().metadata.config, &target.manifest.config, scratch.home())?;
    if let Some(wanted) = &test.refused {
        findings.extend(compare::refusal(wanted, refusal(&loaded, &settings).as_ref()));
        return Ok(Log::new());
    }
    let config = loaded.settle(&settings)?;
    let peers = Peers::begin(stage.runtime, test, findings)?;
    let opened = match loaded.open(&config) {
        Ok(opened) => opened,
        Err(error) => {
            peers.finish(stage.runtime);
            // Nothing was used; that is not what is wrong.
            let _ = findings.take();
            return Err(error.into());
        }
    };
    stage.harness.group.reset(test.given.attributes.clone(), test.given.attribute_writes);
    let mut log = Vec::new();
    for call in &test.calls {
        machine.set_clock(call.clock.or(test.given.clock));
        let mut context = stage.harness.context(call.hook, loaded.home(), &config.values);
        set_circumstances(&mut context, call, test);
        let newest_epoch = call.newest_epoch.unwrap_or(context.epoch);
        let order = TrialCall { hook: call.hook, newest_epoch, context, cancel_after: None };
        let ran = stage.harness.run(&opened.handler, order);
        let stored =
            if call.expected.store.is_empty() { Stored::new() } else { store::read(stage.runtime, &store)? };
        let found = compare::findings(call, &ran, &stored, &stage.harness.group.attributes());
        let is_well = found.is_empty();
        findings.extend(found);
        log = ran.lines;
        // What follows was written for what was to come of this one.
        if !is_well || stage.harness.interrupted() {
            break;
        }
    }
    end(stage, peers, &machine, opened.handler, findings);
    Ok(log)
}

/// Why nobody can have the handler with these settings; none: it can be had.
fn refusal(loaded: &LoadedHandler<'_>, settings: &[Setting]) -> Option<LoadedHandlerError> {
    loaded.settle(settings).and_then(|config| loaded.open(&config)).err()
}

/// Ends the handler, then its world. What was not used is said of a test that went its way to the end.
fn end(
    stage: &Stage<'_>,
    peers: Peers,
    machine: &ScriptedMachine,
    handler: Arc<dyn Handler>,
    findings: &Findings,
) {
    let is_whole = findings.is_empty();
    stage.harness.close(handler);
    if is_whole {
        machine.finish();
        return peers.finish(stage.runtime);
    }
    let before = findings.take();
    peers.finish(stage.runtime);
    // Peers know what they were sent that they did not expect; that they were not sent the rest is a consequence.
    let of_peers = findings.take().into_iter().filter(Finding::is_a_cause);
    findings.extend(before.into_iter().chain(of_peers));
}

/// The service of a test.
fn target(of: &Target, test: &Test) -> Target {
    let given = &test.given;
    let manifest = Manifest {
        config: given
            .config
            .iter()
            .map(|(key, value)| Setting { value: value.clone(), ..Setting::said(key, "") })
            .collect(),
        grants: given.grants.clone(),
        limits: given.limits.clone(),
        ..Manifest::default()
    };
    let name = given.service.clone().unwrap_or_else(|| of.name.clone());
    Target { name, home: of.home.clone(), source: of.source.clone(), manifest }
}

/// The settings, with files for the secrets among them: a test says what is in them.
fn with_secret_files(
    declared: &[ConfigKey],
    settings: &[Setting],
    folder: &Path,
) -> Result<Vec<Setting>, TestError> {
    let is_secret =
        |key: &str| declared.iter().any(|known| known.name == key && known.kind == ConfigKind::Secret);
    let of = |(at, setting): (usize, &Setting)| {
        let SettingValue::One(text) = &setting.value else { return Ok(setting.clone()) };
        if !is_secret(&setting.key) {
            return Ok(setting.clone());
        }
        let path = folder.join(format!("secret-{at}"));
        koi_files::replace(&path, text.as_bytes(), &SECRET)
            .map_err(|error| TestError::Secret(error.source))?;
        Ok(Setting { value: SettingValue::File(path), ..setting.clone() })
    };
    settings.iter().enumerate().map(of).collect()
}

/// What a call is told beside the configuration.
pub(crate) fn set_circumstances(context: &mut Context, call: &CallScript, test: &Test) {
    let given = &test.given;
    context.role = call.role.unwrap_or(match call.hook {
        Hook::Promote => Role::Promoted,
        Hook::Stop => Role::None,
        Hook::Start | Hook::Demote | Hook::Status | Hook::Failed | Hook::Changed => Role::Standby,
    });
    context.circumstances.group = given.group.clone().filter(|group| group != "main");
    context.node = given.node.clone();
    if let Some(service) = &given.service {
        context.service = service.clone();
    }
    context.epoch = call.epoch.or(given.epoch).unwrap_or(context.epoch);
    context.timeout = call.timeout.unwrap_or(given.timeout);
    context.node_state = if context.role == Role::Promoted { "Master" } else { "Slave" }.into();
    let own = || (context.role == Role::Promoted).then(|| (given.node.clone(), OWN_ADDRESS.to_owned()));
    context.master = given.master.clone().or_else(own);
    if call.hook == Hook::Failed {
        let by_default =
            || Failure { hook: Hook::Status, message: "failed in a test".into(), timed_out: false };
        context.cause = Some(call.cause.clone().unwrap_or_else(by_default));
    }
}

/// Whether a test can reach the machine's network unless it has one of its own. What a script or a library does nobody knows.
fn needs_network(kind: Kind, test: &Test) -> bool {
    let is_granted = ["tcp", "udp", "http"].iter().any(|key| test.given.grants.contains_key(*key));
    let is_scripted = !test.tcp.is_empty() || !test.udp.is_empty() || !test.http.is_empty();
    test.refused.is_none() && (kind != Kind::Wasm || is_granted || is_scripted)
}

/// What only koi's side of a component can make up.
fn check_kind(stage: &Stage<'_>, test: &Test) -> Result<(), TestError> {
    let given = &test.given;
    let asked = [
        ("exec", !test.programs.is_empty()),
        ("grants", !given.grants.is_empty()),
        ("store", !given.store.is_empty() || test.calls.iter().any(|call| !call.expected.store.is_empty())),
        ("names", !given.names.is_empty()),
        ("env", !given.env.is_empty()),
        ("clock", given.clock.is_some() || test.calls.iter().any(|call| call.clock.is_some())),
        ("https", test.http.iter().any(|server| server.is_encrypted)),
    ];
    let is_of_attributes = !given.attributes.is_empty()
        || given.attribute_writes.is_some()
        || test.calls.iter().any(|call| !call.expected.attributes.is_empty());
    if is_of_attributes && stage.target.kind() == Kind::Builtin {
        return Err(TestError::ScriptWithAttributes);
    }
    match asked.into_iter().find(|(_, is_asked)| *is_asked && stage.target.kind() != Kind::Wasm) {
        Some((what, _)) => Err(TestError::OnlyComponents(what)),
        None => Ok(()),
    }
}
