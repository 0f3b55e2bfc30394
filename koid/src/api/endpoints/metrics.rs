//! What hooks cost, in the text format of Prometheus.

use std::fmt::Write;

use hyper::Response;
use koi_proto::api::{HandlerStatistics, Hook, HookStatistics};

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
    pub(super) fn metrics(&self) -> Response<ResponseBody> {
        let counted = self.statistics.all().into_iter();
        let services: Vec<_> =
            counted.map(|(name, counted)| (name, statistics::of_handler(&counted.current))).collect();
        metrics(text(&services))
    }
}

/// Of services by name.
fn text(services: &[(String, HandlerStatistics)]) -> String {
    let mut out = String::new();
    for (name, kind, help, value) in OF_HOOKS {
        head(&mut out, name, kind, help);
        for (service, of) in services {
            for (hook, counted) in &of.hooks {
                let labels = labels(service, &of.version, Some(hook));
                // Writing to a text does not fail.
                let _ = writeln!(out, "{name}{{{labels}}} {}", value(counted));
            }
        }
    }
    for (name, help, value) in OF_HANDLERS {
        head(&mut out, name, "gauge", help);
        for (service, of) in services {
            if let Some(bytes) = value(of) {
                let _ = writeln!(out, "{name}{{{}}} {bytes}", labels(service, &of.version, None));
            }
        }
    }
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(service: &str, version: &str, hook: Option<&Hook>) -> String {
    let mut labels = format!("service=\"{}\",version=\"{}\"", escaped(service), escaped(version));
    if let Some(hook) = hook {
        let _ = write!(labels, ",hook=\"{}\"", hook.as_str());
    }
    labels
}

/// What a handler calls its version is any text.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
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
        let said = text(&[("db".to_owned(), of), ("web".to_owned(), HandlerStatistics::default())]);
        let expected = [
            "# HELP koi_hook_calls_total Calls that have ended.",
            "# TYPE koi_hook_calls_total counter",
            r#"koi_hook_calls_total{service="db",version="1.0 \"beta\"\n",hook="status"} 3"#,
            r#"koi_hook_seconds_total{service="db",version="1.0 \"beta\"\n",hook="status"} 1.5"#,
            r#"koi_handler_memory_peak_bytes{service="db",version="1.0 \"beta\"\n"} 4096"#,
        ];
        for line in expected {
            assert_eq!(said.lines().filter(|said| *said == line).count(), 1, "{line}\n{said}");
        }
        assert!(!said.contains("memory_limit_bytes{"), "nothing limits it");
    }
}
