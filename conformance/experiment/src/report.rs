//! What an experiment came to.

use anyhow::Result;
use serde_json::{Map, Value};

/// What every report says; null where it does not apply.
const ALWAYS: [&str; 11] = [
    "tasks",
    "succeeded",
    "stale_commits",
    "duplicate_executions",
    "wait_p50_ms",
    "wait_p99_ms",
    "mttr_p50_s",
    "mttr_p95_s",
    "lease_ttl_s",
    "tasks_per_s",
    "form",
];

/// Fields in the order in which they were set, and whether what must hold does.
#[derive(Debug, Default)]
pub(crate) struct Report {
    fields: Map<String, Value>,
    violations: Vec<String>,
}

impl Report {
    /// The report that another process printed.
    pub(crate) fn of(fields: Value) -> Self {
        let Value::Object(mut fields) = fields else {
            return Self::default();
        };
        let violations = fields.remove("violations").unwrap_or_default();
        let violations = violations.as_array().into_iter().flatten();
        Self {
            violations: violations.map(ToString::to_string).collect(),
            fields,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// A number that was set.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.fields
            .get(name)
            .and_then(Value::as_u64)
            .unwrap_or_default()
    }

    /// Takes note of something that must hold.
    pub(crate) fn must(&mut self, what: &str, holds: bool) {
        if !holds {
            self.violations.push(what.to_owned());
        }
    }

    /// Adds the fields of a part of the experiment under a name of its own.
    pub(crate) fn part(&mut self, name: &str, part: Self) {
        self.violations
            .extend(part.violations.iter().map(|what| format!("{name}: {what}")));
        self.set(name, Value::Object(part.fields));
    }

    /// Takes over the fields of another report, as those of the whole.
    pub(crate) fn like(&mut self, other: &Self) {
        self.fields.extend(other.fields.clone());
    }

    pub(crate) fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn text(&self, json: bool) -> Result<String> {
        let mut fields = self.fields.clone();
        for name in ALWAYS {
            fields.entry(name).or_insert(Value::Null);
        }
        let violations = self.violations.iter().cloned().map(Value::from).collect();
        fields.insert("violations".to_owned(), Value::Array(violations));
        if json {
            return Ok(serde_json::to_string(&fields)?);
        }
        let line = |(name, value): (&String, &Value)| format!("{name:24} {value}");
        Ok(fields.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

/// The value below which `percent` of the values lie; null if there are none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Value {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values
        .get(index)
        .map_or(Value::Null, |value| rounded(*value))
}

/// A number with three digits behind the point.
pub(crate) fn rounded(value: f64) -> Value {
    Value::from((value * 1000.0).round() / 1000.0)
}
