//! What hooks cost, in the text format of Prometheus.

use std::fmt::Write;

use hyper::Response;
use koi_core::group::GroupName;
use koi_core::view::View;
use koi_proto::api::{HandlerStatistics, HookStatistics};

use crate::api::Api;
use crate::api::body::{ResponseBody, metrics};
use crate::api::endpoints::statistics;

/// One metric of a hook: its name, its kind, what it says, and its value.
type HookMetric = (&'static str, &'static str, &'static str, fn(&HookStatistics) -> f64);

const OF_HOOKS: [HookMetric; 8] = [
    ("koi_hook_calls_total", "counter", "Calls that have ended.", |of| of.calls as f64),
    ("koi_hook_failures_total", "counter", "Calls that failed.", |of| of.failures as f64),
    ("koi_hook_timed_out_total", "counter", "Failures that were not done in time.", |of| of.timed_out as f64),
    ("koi_hook_crashed_total", "counter", "Failures in which the handler broke off.", |of| of.crashed as f64),
    ("koi_hook_aborted_total", "counter", "Calls that koi ended early.", |of| of.aborted as f64),
    ("koi_hook_no_room_total", "counter", "Calls for which the machine had no room.", |of| of.no_room as f64),
    ("koi_hook_seconds_total", "counter", "Time of all calls together.", |of| seconds(of.time_total_us)),
    ("koi_hook_longest_seconds", "gauge", "Time of the longest call.", |of| seconds(of.time_longest_us)),
];

/// The same of a handler in all hooks; none: nothing is known.
type HandlerMetric = (&'static str, &'static str, fn(&HandlerStatistics) -> Option<u64>);

const OF_HANDLERS: [HandlerMetric; 2] = [
    ("koi_handler_memory_peak_bytes", "The most memory at a time.", |of| of.memory_peak_bytes),
    ("koi_handler_memory_limit_bytes", "The memory that it may have.", |of| of.memory_limit_bytes),
];

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

impl Api {
    /// What the hooks of this node's services have cost since koid was started.
    pub(super) async fn metrics(&self) -> Response<ResponseBody> {
        let view = self.view().await;
        let group_of = |service: &str| {
            let mut all = view.iter().flat_map(View::own_services);
            all.find(|(_, of)| of.name == service).map(|(group, _)| group.clone()).unwrap_or_default()
        };
        let counted = self.statistics.all().into_iter();
        let services: Vec<_> = counted
            .map(|(name, counted)| Counted {
                group: group_of(&name),
                service: name,
                of: statistics::of_handler(&counted.current),
            })
            .collect();
        metrics(text(&services))
    }
}

/// What a service has cost.
struct Counted {
    service: String,
    group: GroupName,
    of: HandlerStatistics,
}

/// Of services by name.
fn text(services: &[Counted]) -> String {
    let mut out = String::new();
    for (name, kind, help, value) in OF_HOOKS {
        head(&mut out, name, kind, help);
        for counted in services {
            let labelled = labels(counted);
            for (hook, counted) in &counted.of.hooks {
                let labels = format!("{labelled},hook=\"{}\"", hook.as_str());
                // Writing to a text does not fail.
                let _ = writeln!(out, "{name}{{{labels}}} {}", value(counted));
            }
        }
    }
    for (name, help, value) in OF_HANDLERS {
        head(&mut out, name, "gauge", help);
        for counted in services {
            if let Some(bytes) = value(&counted.of) {
                let _ = writeln!(out, "{name}{{{}}} {bytes}", labels(counted));
            }
        }
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Those of `main` name no group: there may be no other.
fn labels(counted: &Counted) -> String {
    let Counted { service, group, of } = counted;
    let group = if group.is_main() { String::new() } else { format!(",group=\"{group}\"") };
    format!("service=\"{}\"{group},version=\"{}\"", escaped(service), escaped(&of.version))
}

/// What a handler calls its version is any text.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use koi_proto::api::Hook;

    use super::*;

    #[test]
    fn each_metric_is_explained_once_and_said_of_each_hook_that_was_called() {
        let status = HookStatistics { calls: 3, failures: 1, time_total_us: 1_500_000, ..Default::default() };
        let of = HandlerStatistics {
            version: "1.0 \"beta\"\n".to_owned(),
            hooks: [(Hook::Status, status)].into(),
            memory_peak_bytes: Some(4096),
            ..HandlerStatistics::default()
        };
        let counted = |service: &str, group: &str, of: &HandlerStatistics| Counted {
            service: service.to_owned(),
            group: group.parse().unwrap(),
            of: of.clone(),
        };
        let none = HandlerStatistics::default();
        let said = text(&[
            counted("db", "main", &of),
            counted("web", "main", &none),
            counted("nginx", "front", &of),
        ]);
        let expected = [
            "# HELP koi_hook_calls_total Calls that have ended.",
            "# TYPE koi_hook_calls_total counter",
            r#"koi_hook_calls_total{service="db",version="1.0 \"beta\"\n",hook="status"} 3"#,
            r#"koi_hook_seconds_total{service="db",version="1.0 \"beta\"\n",hook="status"} 1.5"#,
            r#"koi_handler_memory_peak_bytes{service="db",version="1.0 \"beta\"\n"} 4096"#,
            r#"koi_hook_calls_total{service="nginx",group="front",version="1.0 \"beta\"\n",hook="status"} 3"#,
        ];
        for line in expected {
            assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{line}\n{said}");
        }
        assert!(!said.contains("memory_limit_bytes{"), "nothing limits it");
    }
}
