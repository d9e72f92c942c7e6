//! One node with its durable ledger: how many tasks that do nothing it completes, and how long each
//! waits for its start.

use crate::measurements::median;
use anyhow::{Context, Result, ensure};
use mc_artifacts::guest;
use mc_conformance::{Http, Node, NodeOptions, eventually};
use serde_json::{Value, json};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Tasks, and connections that submit them.
const TASKS: usize = 3_000;
const CONNECTIONS: usize = 16;
/// Tasks that are submitted one after the other for the wait.
const SINGLE: usize = 200;

pub(crate) fn measure() -> Result<Value> {
    let node = NodeOptions::new().start();
    let component = guest("exit_zero");
    let path = component.to_str().context("a path in UTF-8")?;
    // The first one compiles it and leaves it in the store; its CID serves the others.
    let first = node
        .mc(["submit", "--format", "json", path])
        .expect_code(0)
        .json();
    let added = node.mc(["add", path]).expect_code(0).text();
    let cid = added.split_whitespace().next().context("a CID")?.to_owned();
    ensure!(first["state"] == "succeeded", "{first}");
    let waits = single(&node, &cid)?;
    let tasks_per_second = many(&node, &cid)?;
    Ok(json!({
        "tasks": TASKS,
        "connections": CONNECTIONS,
        "tasks_per_s": tasks_per_second,
        "wait_p50_ms": median(waits.clone()),
        "wait_p99_ms": percentile(waits, 99),
    }))
}

/// A task that differs from all others by its argument.
fn body(cid: &str, argument: &str) -> String {
    json!({ "job": { "task": {
        "kind": "wasm",
        "component": cid,
        "args": [argument],
        "limits": { "memory_bytes": 1 << 28, "output_bytes": 1 << 20 },
        "determinism": "deterministic",
    } } })
    .to_string()
}

/// From submission to start, of tasks that meet an idle node.
fn single(node: &Node, cid: &str) -> Result<Vec<f64>> {
    let mut http = Http::connect(&node.api)?;
    let mut waits = Vec::new();
    for n in 0..SINGLE {
        let submitted = http.call("POST", "/api/v1/jobs", &body(cid, &format!("single {n}")))?;
        let id = submitted["id"].as_str().context("an id")?.to_owned();
        let path = format!("/api/v1/jobs/{id}?wait_ms=20000&seen=");
        let mut view = submitted;
        while !matches!(view["state"].as_str(), Some("succeeded" | "failed")) {
            let seen = view["state"].as_str().unwrap_or("queued").to_owned();
            view = http.call("GET", &format!("{path}{seen}"), "")?;
        }
        let time = |name: &str| {
            view[name]
                .as_f64()
                .with_context(|| format!("{name} in {view}"))
        };
        waits.push(time("started_ms")? - time("submitted_ms")?);
    }
    Ok(waits)
}

fn many(node: &Node, cid: &str) -> Result<f64> {
    let begun = Instant::now();
    let mut submitters = Vec::new();
    for connection in 0..CONNECTIONS {
        let (api, cid) = (node.api.clone(), cid.to_owned());
        submitters.push(thread::spawn(move || -> Result<()> {
            let mut http = Http::connect(&api)?;
            for n in 0..TASKS / CONNECTIONS {
                let body = body(&cid, &format!("many {connection} {n}"));
                http.call("POST", "/api/v1/jobs", &body)?;
            }
            Ok(())
        }));
    }
    for submitter in submitters {
        submitter
            .join()
            .map_err(|_| anyhow::anyhow!("a submitter panicked"))??;
    }
    let mut http = Http::connect(&node.api)?;
    eventually("all tasks have ended", Duration::from_secs(120), || {
        let open = ["queued", "assigned", "running"].map(|state| {
            let path = format!("/api/v1/jobs?limit=1&state={state}");
            let list = http.call("GET", &path, "").ok()?;
            Some(list["jobs"].as_array()?.is_empty())
        });
        open.iter().all(|none| *none == Some(true)).then_some(())
    });
    let done = TASKS / CONNECTIONS * CONNECTIONS;
    let done = u32::try_from(done)?;
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get(values.len() * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}
