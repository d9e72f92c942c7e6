//! Numbers for monitoring, in the text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::Write;

/// How a number behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows while the node runs.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its unit: characters a-z, 0-9 and `_`.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// A label's name and value, for numbers that share a name. Those of one name stand together.
    pub label: Option<(&'static str, String)>,
    /// The number.
    pub value: u64,
}

/// All of them as text.
pub(crate) fn text(metrics: &[Metric]) -> String {
    let mut text = String::new();
    let mut last = "";
    for metric in metrics {
        let Metric {
            name, help, value, ..
        } = metric;
        if *name != last {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            last = name;
        }
        let label = metric.label.as_ref();
        let label = label.map(|(name, value)| format!("{{{name}=\"{}\"}}", escaped(value)));
        let _ = writeln!(text, "{name}{} {value}", label.unwrap_or_default());
    }
    text
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_name_share_its_head() {
        let metric = |state: &str, value| Metric {
            name: "mc_jobs",
            help: "Jobs by state.",
            kind: MetricKind::Gauge,
            label: Some(("state", state.to_owned())),
            value,
        };
        assert_eq!(
            text(&[metric("queued", 1), metric("a\"b\n", 2)]),
            "# HELP mc_jobs Jobs by state.\n# TYPE mc_jobs gauge\n\
             mc_jobs{state=\"queued\"} 1\nmc_jobs{state=\"a\\\"b\\n\"} 2\n"
        );
    }
}
