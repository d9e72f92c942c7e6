//! Half of the agents are cut off from the gateway for a while. Needs root and iproute2: the halves are in
//! network namespaces that are made for this and removed afterwards.

use crate::{
    arguments::Arguments,
    fleet::{Ledger, meet, metric, metric_in, start_all},
    jobs::{self, Work, number, text},
    recovery::{Recovery, pause},
    report::{Report, percentile, rounded},
};
use anyhow::{Context, Result, ensure};
use mc_artifacts::guest;
use mc_conformance::{Http, Namespace, Node, NodeOptions};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Milliseconds of computation in a task, on an idle machine.
const TASK_MS: &str = "150";
/// How long all agents have worked when the cable is cut.
const BEFORE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks at where the jobs are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The addresses of the two sides.
const NEAR: &str = "10.78.0.1";
const FAR: &str = "10.78.0.2";
/// The interfaces at both ends.
const CABLE: &str = "cable";

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    match &arguments.inside {
        Some(far) => inside(arguments, far),
        None => outside(),
    }
}

/// Lays the cable, and goes on in a process on its near side, where the gateway's API can be reached.
fn outside() -> Result<Report> {
    let (near, far) = (Namespace::new(), Namespace::new());
    let address = |ip| format!("{ip}/24");
    near.connect((CABLE, &address(NEAR)), &far, (CABLE, &address(FAR)));
    let this = std::env::current_exe()?;
    let this = this.to_str().context("a path that is no text")?;
    let output = near
        .command(this)
        .args(std::env::args().skip(1))
        .args(["--inside", far.name(), "--format", "json"])
        .stderr(std::process::Stdio::inherit())
        .output()?;
    let fields: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
    Ok(Report::of(fields))
}

fn inside(arguments: &Arguments, far: &str) -> Result<Report> {
    let (usual_agents, usual_tasks) = if arguments.short {
        (8, 500)
    } else {
        (20, 1500)
    };
    let agents = arguments.agents.unwrap_or(usual_agents);
    let tasks = arguments.tasks.unwrap_or(usual_tasks);
    let ledger = Ledger::new(arguments.ledger)?;
    let gateway = NodeOptions {
        ip: Some(NEAR.to_owned()),
        ..ledger.gateway(arguments.ttl)
    };
    let gateway = gateway.start();
    let halves = start(&gateway, agents, far);
    meet(&gateway, agents)?;
    let far_ids: BTreeSet<&str> = halves.far.iter().map(|agent| agent.id.as_str()).collect();
    let work = Work::new(&gateway, &guest("ticks"), &["1", TASK_MS])?;
    let begun = Instant::now();
    let ids = work.submit(&gateway, tasks)?;
    pause(BEFORE);
    let mut http = Http::connect(&gateway.api)?;
    set_cable("down")?;
    let cut = Instant::now();
    let mut recovery = Recovery::default();
    recovery.hit(&jobs::held(&mut http)?, Instant::now(), |node| {
        far_ids.contains(node)
    });
    recovery.look_while(&mut http, |_| Ok(cut.elapsed() < arguments.away))?;
    set_cable("up")?;
    let healed = Instant::now();
    let back = until_work_is_there_again(&mut recovery, &mut http, &far_ids)?;
    jobs::wait_for_all(&gateway, PATIENCE)?;
    let took = begun.elapsed();
    // Whoever still computes on the far side finds out that nobody wants it.
    pause(arguments.ttl);

    let mut report = Report::default();
    let views = jobs::views(&gateway, &ids)?;
    jobs::count(&mut report, &views, recovery.forced);
    let near = halves.near.iter().map(jobs::recorded);
    let recorded = near.chain(halves.far.iter().map(|agent| recorded_on(far, agent)));
    let stale = jobs::stale_commits(&views, recorded)?;
    report.set("stale_commits", stale);
    report.set("stale_refused", metric(&gateway, "mc_stale_total")?);
    report.set("agents", agents);
    report.set("cut_off_agents", halves.far.len());
    report.set("away_s", arguments.away.as_secs());
    report.set("mttr_p50_s", percentile(&recovery.running_s, 50));
    report.set("mttr_p95_s", percentile(&recovery.running_s, 95));
    let back = back.map(|at| at.saturating_duration_since(healed).as_secs_f64());
    report.set("work_again_after_s", back.map_or(Value::Null, rounded));
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    report.set(
        "tasks_per_s",
        rounded(f64::from(u32::try_from(tasks)?) / took.as_secs_f64()),
    );
    report.set(
        "form",
        format!(
            "{agents} agents and a gateway, each a process of mc-wasm; half of them in a network namespace whose \
             cable is cut; libp2p TCP/noise/yamux; ledger {}",
            ledger.name()
        ),
    );
    report.must("no stale result is recorded", stale == 0);
    report.must("the far side is given work again", back.is_some());
    Ok(report)
}

/// Cuts the cable or mends it, from within the near side.
fn set_cable(state: &str) -> Result<()> {
    let mut command = Command::new("ip");
    let done = command.args(["link", "set", CABLE, state]).status()?;
    ensure!(done.success(), "the cable cannot be set {state}");
    Ok(())
}

/// The agents on both sides.
struct Halves {
    near: Vec<Node>,
    far: Vec<Node>,
}

fn start(gateway: &Node, agents: usize, far: &str) -> Halves {
    let options = |ip: &str| NodeOptions {
        ip: Some(ip.to_owned()),
        ..NodeOptions::new()
            .bootstrap(gateway)
            .flags(["--slots", "1"])
    };
    let near = (0..agents.div_ceil(2)).map(|_| options(NEAR)).collect();
    let other = (0..agents / 2).map(|_| NodeOptions {
        namespace: Some(far.to_owned()),
        ..options(FAR)
    });
    Halves {
        near: start_all(near),
        far: start_all(other.collect()),
    }
}

/// How often an agent in a namespace was told that its result is in the ledger: its API can only be reached
/// from there.
fn recorded_on<'a>(namespace: &str, agent: &'a Node) -> Result<(&'a str, u64)> {
    let output = Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(std::env::current_exe()?)
        .args(["fetch", &format!("{}/metrics", agent.api)])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok((&agent.id, metric_in(&text, jobs::RECORDED)?))
}

/// When an agent of the far side is first seen with a job that it began just now.
#[expect(
    clippy::disallowed_methods,
    reason = "the gateway's times are those of the system"
)]
fn until_work_is_there_again(
    recovery: &mut Recovery,
    http: &mut Http,
    far: &BTreeSet<&str>,
) -> Result<Option<Instant>> {
    let healed = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let healed = u64::try_from(healed.as_millis())?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && jobs::open(http)? > 0 {
        recovery.look(http)?;
        let begun = |job: &Value| number(job, "started_ms") > healed;
        let is_there = |job: &Value| far.contains(text(job, "node")) && begun(job);
        if jobs::held(http)?.iter().any(is_there) {
            return Ok(Some(Instant::now()));
        }
        pause(LOOK_EVERY);
    }
    Ok(None)
}
