//! What the API says of plugins.

use std::time::Duration;

use hyper::Response;
use koi_artifact::signature::Signature;
use koi_plugin_api::{ConfigKey, ConfigKind, Want};
use koi_plugin_host::{Granted, Kind, OnDisk, PluginInfo, Registry, Use};
use koi_proto::api::{self, ApiError, ErrorCode};

use super::statistics;
use crate::api::Api;
use crate::api::body::{ResponseBody, json};
use crate::api::error::{bad_request, error, silent_core};
use crate::api::request::ApiRequest;
use crate::config::load;
use crate::hooks::statistics::{ServiceStatistics, Statistics};

impl Api {
    /// `GET /v1/plugins`.
    pub(in crate::api) async fn plugins(
        &self,
        asked: &ApiRequest,
    ) -> Result<Response<ResponseBody>, ApiError> {
        if let Some(elsewhere) = self.at_other_node(asked).await? {
            return Ok(elsewhere);
        }
        let (registry, statistics) = (self.plugins.get(), self.statistics.clone());
        // Files that were touched are read.
        let listed = tokio::task::spawn_blocking(move || {
            let counted = |info: &PluginInfo| {
                let costs = used_by(info, Some(&statistics));
                api::Plugin { statistics: in_all(&costs), ..plugin(&registry, info) }
            };
            registry.plugins().iter().map(counted).collect::<Vec<_>>()
        });
        Ok(json(&listed.await.map_err(broken)?))
    }

    /// `GET /v1/plugins/NAME`; a path is taken as well.
    pub(in crate::api) async fn plugin(
        &self,
        asked: &ApiRequest,
        name: &str,
    ) -> Result<Response<ResponseBody>, ApiError> {
        if let Some(elsewhere) = self.at_other_node(asked).await? {
            return Ok(elsewhere);
        }
        let (registry, wanted, statistics) = (self.plugins.get(), name.to_owned(), self.statistics.clone());
        // The file there now may have to be read.
        let found = tokio::task::spawn_blocking(move || {
            registry.plugin(&wanted).map(|info| detail(&registry, &info, Some(&statistics)))
        });
        let Some(detail) = found.await.map_err(broken)? else {
            let message = format!("{} has no plugin called {name}", self.shared.get().config.node.name);
            return Err(error(ErrorCode::NotFound, message, "`koi plugins list` lists them by name"));
        };
        Ok(json(&detail))
    }

    /// `GET /v1/staged`: the plugins as `koi reconfigure` would have them on this node. Takes long when components are to be compiled.
    pub(in crate::api) async fn staged(
        &self,
        asked: &ApiRequest,
    ) -> Result<Response<ResponseBody>, ApiError> {
        if let Some(elsewhere) = self.at_other_node(asked).await? {
            return Ok(elsewhere);
        }
        let (file, own) = (self.file.clone(), self.shared.get().config.node.name.clone());
        let read = tokio::task::spawn_blocking(move || load::load(Some(&file), Some(&own))).await;
        let written = read.map_err(broken)?.map_err(|why| {
            error(ErrorCode::Refused, format!("the configuration could not be taken: {why}"), "mend the file")
        })?;
        // What needs a restart stays as it is.
        let mut config = self.shared.get().config.clone();
        (config.plugins, config.services) = (written.config.plugins, written.config.services);
        let staged = self.plugins.staged(&config).await;
        let registry = staged.map_err(|why| error(ErrorCode::Failed, why.to_string(), ""))?;
        let listed = tokio::task::spawn_blocking(move || {
            registry.plugins().iter().map(|info| plugin(&registry, info)).collect::<Vec<_>>()
        });
        Ok(json(&listed.await.map_err(broken)?))
    }

    /// The answer of the node that `?node=` names; none: that is this one.
    async fn at_other_node(&self, asked: &ApiRequest) -> Result<Option<Response<ResponseBody>>, ApiError> {
        let Some(node) = asked.parameter("node")? else { return Ok(None) };
        let view = self.view().await.ok_or_else(silent_core)?;
        self.pass_to_node(asked, &view, &node).await.transpose()
    }

    /// The name behind `/v1/plugins/`.
    pub(in crate::api) fn plugin_name(asked: &ApiRequest) -> Result<Option<String>, ApiError> {
        let Some(text) = asked.path.strip_prefix("/v1/plugins/").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let name = crate::api::request::decoded(text, false);
        name.map(Some).ok_or_else(|| bad_request(format!("{text} is not well encoded")))
    }
}

fn broken(failed: tokio::task::JoinError) -> ApiError {
    error(ErrorCode::Internal, failed.to_string(), "look at koid's log")
}

/// A line of the list. Blocks.
fn plugin(registry: &Registry, info: &PluginInfo) -> api::Plugin {
    let facts = info.facts.clone().unwrap_or_default();
    api::Plugin {
        name: info.name.clone(),
        kind: kind(info.kind),
        version: facts.metadata.version,
        api: facts.api,
        api_version: Some(facts.api_version).filter(|version| !version.is_empty()),
        hooks: facts.metadata.hooks.iter().map(|hook| hook.as_str().into()).collect(),
        services: info.used_by.iter().map(|used| used.service.clone()).collect(),
        state: state(info),
        error: info.error.as_ref().map(ToString::to_string),
        path: info.path.as_ref().map(|path| path.display().to_string()),
        description: facts.metadata.description,
        hash: info.hash.map(|hash| hash.to_string()),
        loading_ms: info.loading.map(ms),
        problems: info.used_by.iter().filter_map(problem).collect(),
        on_disk: registry.on_disk(info).map_or(api::OnDisk::NoFile, on_disk),
        signature: info.signature.as_ref().map(signature),
        statistics: None,
    }
}

fn signature(signature: &Signature) -> api::PluginSignature {
    let state = |state| api::PluginSignature { state, ..Default::default() };
    match signature {
        Signature::None => state(api::SignatureState::Unsigned),
        Signature::Untrusted(key) => {
            api::PluginSignature { key: Some(key.to_string()), ..state(api::SignatureState::Untrusted) }
        }
        Signature::Wrong(error) => {
            api::PluginSignature { error: Some(error.to_string()), ..state(api::SignatureState::Wrong) }
        }
        Signature::Good { key, signed } => api::PluginSignature {
            key: Some(key.clone()),
            signed: Some(signed.to_string()),
            ..state(api::SignatureState::Signed)
        },
    }
}

fn kind(kind: Kind) -> api::PluginKind {
    match kind {
        Kind::Builtin => api::PluginKind::Builtin,
        Kind::Native => api::PluginKind::Native,
        Kind::Wasm => api::PluginKind::Wasm,
    }
}

fn state(info: &PluginInfo) -> api::PluginState {
    match (info.ready, info.loading, info.kind) {
        (true, ..) => api::PluginState::Ready,
        (false, None, _) => api::PluginState::Error,
        (false, Some(_), Kind::Wasm) => api::PluginState::Compiling,
        (false, Some(_), Kind::Native | Kind::Builtin) => api::PluginState::Loading,
    }
}

fn on_disk(on_disk: OnDisk) -> api::OnDisk {
    match on_disk {
        OnDisk::Same => api::OnDisk::Same,
        OnDisk::Changed => api::OnDisk::Changed,
        OnDisk::Refused => api::OnDisk::Refused,
        OnDisk::Gone => api::OnDisk::Gone,
    }
}

fn problem(used: &Use) -> Option<api::ServiceProblem> {
    let problem = used.problem.as_ref()?;
    Some(api::ServiceProblem {
        service: used.service.clone(),
        problem: problem.to_string(),
        of_plugin: problem.is_of_plugin(),
    })
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// All that is known of one; without `statistics` nobody has called it. Blocks.
pub(crate) fn detail(
    registry: &Registry,
    info: &PluginInfo,
    statistics: Option<&Statistics>,
) -> api::PluginDetail {
    let used_by = used_by(info, statistics);
    let facts = info.facts.clone().unwrap_or_default();
    let compiled = facts.compiled.as_ref().map(|compiled| api::PluginCompiled {
        size_bytes: compiled.size_bytes,
        cached: compiled.cached,
        took_ms: ms(compiled.took),
    });
    api::PluginDetail {
        plugin: api::Plugin { statistics: in_all(&used_by), ..plugin(registry, info) },
        size_bytes: info.size_bytes,
        imports: facts.imports,
        config: facts.metadata.config.into_iter().map(config_key).collect(),
        wanted: facts.metadata.wants.iter().map(|want| want.capability.to_string()).collect(),
        wants: facts.metadata.wants.iter().map(wanted).collect(),
        compiled,
        used_by,
    }
}

/// How services use it, and what their hooks cost with it as it is now.
fn used_by(info: &PluginInfo, statistics: Option<&Statistics>) -> Vec<api::PluginUse> {
    let hash = info.hash.map(|hash| hash.to_string());
    let counted = |used: &Use| {
        let known = statistics?.for_service(&used.service)?;
        // A service may go on with the file before, or have another handler still.
        (known.current.hash == hash).then_some(known)
    };
    info.used_by.iter().map(|used| use_of(used, counted(used))).collect()
}

/// What it has cost in all services.
fn in_all(used_by: &[api::PluginUse]) -> Option<api::PluginStatistics> {
    api::PluginStatistics::of(used_by.iter().filter_map(|used| used.statistics.as_ref()))
}

fn use_of(used: &Use, counted: Option<ServiceStatistics>) -> api::PluginUse {
    let before = counted.as_ref().and_then(|counted| counted.before.as_deref());
    api::PluginUse {
        service: used.service.clone(),
        granted: used.granted.iter().map(|granted| granted.line.clone()).collect(),
        grants: used.granted.iter().map(grant).collect(),
        missing: used.missing.iter().map(wanted).collect(),
        limits: used.limits.clone(),
        problem: used.problem.as_ref().map(ToString::to_string),
        statistics: counted.as_ref().map(|counted| statistics::of_handler(&counted.current)),
        statistics_before: before.map(statistics::of_handler),
    }
}

fn config_key(key: ConfigKey) -> api::PluginConfigKey {
    api::PluginConfigKey {
        name: key.name,
        description: key.description,
        required: key.required,
        default: Some(key.default.join(", ")).filter(|_| !key.default.is_empty()),
        kind: Some(key.kind).filter(|kind| *kind != ConfigKind::Any).map(|kind| kind.to_string()),
        many: key.many,
    }
}

/// What a plugin wants.
pub(crate) fn wanted(want: &Want) -> api::Grant {
    api::Grant {
        key: want.capability.grant_key().to_owned(),
        value: want.capability.subject().to_owned(),
        line: want.capability.to_string(),
        reason: want.reason.clone(),
    }
}

fn grant(granted: &Granted) -> api::Grant {
    let (key, value, line) = (granted.key.clone(), granted.value.clone(), granted.line.clone());
    api::Grant { key, value, line, reason: String::new() }
}
