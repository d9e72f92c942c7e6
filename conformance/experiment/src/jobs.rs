//! Tasks for a fleet, and what became of them.

use crate::report::{Report, percentile};
use anyhow::{Context, Result, ensure};
use mc_conformance::{Http, Node, within};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path, thread, time::Duration};

/// Connections that submit at a time.
const SUBMITTERS: usize = 8;
/// Most jobs that one request lists.
const LISTED: usize = 1000;
/// Attempts of one task that may be lost before it is given up: most agents may die.
const RETRIES: u32 = 50;

/// What is run: a component and its arguments, to which each task adds its number.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    component: String,
    arguments: Vec<String>,
}

impl Work {
    /// Leaves the component of the guest at `path` in the gateway's store.
    pub(crate) fn new(gateway: &Node, path: &Path, arguments: &[&str]) -> Result<Self> {
        let path = path.to_str().context("a path in UTF-8")?;
        let added = gateway.mc(["add", path]).expect_code(0).text();
        let cid = added.split_whitespace().next().context("a CID")?;
        Ok(Self {
            component: cid.to_owned(),
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        })
    }

    pub(crate) fn body(&self, number: usize) -> String {
        let mut arguments = self.arguments.clone();
        arguments.push(format!("task {number}"));
        json!({ "job": {
            "retries": RETRIES,
            "task": {
                "kind": "wasm",
                "component": self.component,
                "args": arguments,
                "limits": { "memory_bytes": 1 << 28, "output_bytes": 1 << 20 },
                "determinism": "deterministic",
            },
        } })
        .to_string()
    }

    /// Submits tasks with the numbers `0..count`; gives their ids.
    pub(crate) fn submit(&self, gateway: &Node, count: usize) -> Result<Vec<String>> {
        let share = count.div_ceil(SUBMITTERS);
        let submit = |first: usize| -> Result<Vec<String>> {
            let mut http = Http::connect(&gateway.api)?;
            let numbers = first..(first + share).min(count);
            numbers
                .map(|number| self.submit_one(&mut http, number))
                .collect()
        };
        thread::scope(|scope| {
            let starts = (0..count).step_by(share.max(1));
            let threads: Vec<_> = starts
                .map(|first| scope.spawn(move || submit(first)))
                .collect();
            let mut ids = Vec::new();
            for thread in threads {
                let joined = thread.join();
                ids.extend(joined.map_err(|_| anyhow::anyhow!("a submitter panicked"))??);
            }
            Ok(ids)
        })
    }

    pub(crate) fn submit_one(&self, http: &mut Http, number: usize) -> Result<String> {
        let submitted = http.call("POST", "/api/v1/jobs", &self.body(number))?;
        Ok(text(&submitted, "id").to_owned())
    }
}

pub(crate) fn text<'v>(view: &'v Value, name: &str) -> &'v str {
    view.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn number(view: &Value, name: &str) -> u64 {
    view.get(name).and_then(Value::as_u64).unwrap_or_default()
}

/// The jobs that are held by agents now.
pub(crate) fn held(http: &mut Http) -> Result<Vec<Value>> {
    let mut held = Vec::new();
    for state in ["assigned", "running"] {
        let path = format!("/api/v1/jobs?limit={LISTED}&state={state}");
        let list = http.call("GET", &path, "")?;
        held.extend(
            list.get("jobs")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
        );
    }
    Ok(held)
}

/// How many jobs have not ended.
pub(crate) fn open(http: &mut Http) -> Result<u64> {
    let metrics = String::from_utf8(http.bytes("GET", "/metrics", "")?)?;
    let states =
        ["queued", "assigned", "running"].map(|state| format!("mc_jobs{{state=\"{state}\"}} "));
    let of = |line: &str| {
        let value = states.iter().find_map(|state| line.strip_prefix(state))?;
        value.parse::<u64>().ok()
    };
    Ok(metrics.lines().filter_map(of).sum())
}

/// Waits until all jobs have ended.
pub(crate) fn wait_for_all(gateway: &Node, patience: Duration) -> Result<()> {
    let mut http = Http::connect(&gateway.api)?;
    let mut left = u64::MAX;
    let ended = within(patience, || {
        left = open(&mut http).ok()?;
        (left == 0).then_some(())
    });
    ensure!(
        ended.is_some(),
        "{left} jobs had not ended after {patience:?}"
    );
    Ok(())
}

/// The jobs as the gateway knows them in the end.
pub(crate) fn views(gateway: &Node, ids: &[String]) -> Result<Vec<Value>> {
    let mut http = Http::connect(&gateway.api)?;
    let view = |id: &String| http.call("GET", &format!("/api/v1/jobs/{id}"), "");
    ids.iter().map(view).collect()
}

/// What every report says of its jobs. `forced` attempts were lost because an agent was killed or cut off.
pub(crate) fn count(report: &mut Report, views: &[Value], forced: usize) {
    let succeeded = views
        .iter()
        .filter(|view| text(view, "state") == "succeeded")
        .count();
    let attempts: u64 = views.iter().map(|view| number(view, "attempts")).sum();
    let again = usize::try_from(attempts)
        .unwrap_or(usize::MAX)
        .saturating_sub(views.len());
    report.set("tasks", views.len());
    report.set("succeeded", succeeded);
    report.set("forced_executions", forced);
    report.set("duplicate_executions", again.saturating_sub(forced));
    let wait = |view: &Value| {
        let wait = number(view, "started_ms").saturating_sub(number(view, "submitted_ms"));
        u32::try_from(wait).map_or(f64::INFINITY, f64::from)
    };
    let waits: Vec<f64> = views.iter().map(wait).collect();
    report.set("wait_p50_ms", percentile(&waits, 50));
    report.set("wait_p99_ms", percentile(&waits, 99));
    report.must("every task succeeds", succeeded == views.len());
}

/// Results that were recorded although they were not the newest attempt's: an agent was told that its result is
/// in the ledger, but the ledger has another's. `recorded` says how often each agent was told so.
pub(crate) fn stale_commits<'a>(
    views: &[Value],
    recorded: impl IntoIterator<Item = Result<(&'a str, u64)>>,
) -> Result<u64> {
    let mut ended: BTreeMap<&str, u64> = BTreeMap::new();
    for view in views {
        *ended.entry(text(view, "node")).or_default() += 1;
    }
    let mut stale = 0;
    for agent in recorded {
        let (id, recorded) = agent?;
        stale += recorded.saturating_sub(ended.get(id).copied().unwrap_or_default());
    }
    Ok(stale)
}

/// The name of the metric that counts results which agents were told are in the ledger.
pub(crate) const RECORDED: &str = "mc_endings_recorded_total";

/// How often an agent was told that its result is in the ledger.
pub(crate) fn recorded(agent: &Node) -> Result<(&str, u64)> {
    Ok((&agent.id, crate::fleet::metric(agent, RECORDED)?))
}

/// How many jobs of the ledger have succeeded.
pub(crate) fn succeeded(gateway: &Node) -> Result<u64> {
    crate::fleet::metric(gateway, "mc_jobs{state=\"succeeded\"}")
}
