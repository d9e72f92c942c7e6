//! How long a task waits for an idle agent, with few agents and with many.

use crate::{
    arguments::Arguments,
    fleet::Fleet,
    jobs::{self, Work},
    processes::{cpu_seconds, memory_mb},
    recovery::pause,
    report::{Report, rounded},
};
use anyhow::Result;
use mc_artifacts::guest;
use mc_conformance::{Http, Node};
use std::time::{Duration, Instant};

/// Between two submissions.
const EVERY: Duration = Duration::from_millis(50);
/// Tasks before those that are measured: they bring the component to the agents.
const WARM_UP_PER_AGENT: usize = 2;
/// How long the fleet is left alone before it is measured.
const REST: Duration = Duration::from_secs(10);

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let mut report = Report::default();
    let sizes = match (arguments.agents, arguments.short) {
        (Some(agents), _) => vec![agents],
        (None, true) => vec![10, 40],
        (None, false) => vec![50, 500],
    };
    for agents in sizes {
        let one = measure(arguments, agents)?;
        // In the end the largest fleet stands for the whole.
        report.like(&one);
        report.part(&format!("agents_{agents}"), one);
    }
    Ok(report)
}

fn measure(arguments: &Arguments, agents: usize) -> Result<Report> {
    let tasks = arguments
        .tasks
        .unwrap_or(if arguments.short { 100 } else { 1000 });
    let started = Instant::now();
    let fleet = Fleet::start(arguments, agents, 1)?;
    let met = started.elapsed();
    let work = Work::new(&fleet.gateway, &guest("exit_zero"), &[])?;
    let warm_up = work.submit(&fleet.gateway, agents * WARM_UP_PER_AGENT)?;
    jobs::wait_for_all(&fleet.gateway, Duration::from_secs(300))?;
    pause(REST);
    let everybody = || fleet.agents.iter().chain([&fleet.gateway]).map(Node::pid);
    let used = |pids: &mut dyn Iterator<Item = u32>| pids.map(cpu_seconds).sum::<Result<f64>>();
    let before = (used(&mut everybody())?, cpu_seconds(fleet.gateway.pid())?);
    let begun = Instant::now();
    let mut http = Http::connect(&fleet.gateway.api)?;
    let mut ids = Vec::new();
    for task in 0..tasks {
        let due = EVERY * u32::try_from(task)?;
        pause(due.saturating_sub(begun.elapsed()));
        ids.push(work.submit_one(&mut http, agents * WARM_UP_PER_AGENT + task)?);
    }
    jobs::wait_for_all(&fleet.gateway, Duration::from_secs(60))?;
    let took = begun.elapsed().as_secs_f64();
    let mut report = Report::default();
    let views = jobs::views(&fleet.gateway, &ids)?;
    jobs::count(&mut report, &views, 0);
    let mut all = jobs::views(&fleet.gateway, &warm_up)?;
    all.extend(views);
    let stale = jobs::stale_commits(&all, fleet.agents.iter().map(jobs::recorded))?;
    report.set("stale_commits", stale);
    report.must("no stale result is recorded", stale == 0);
    report.set("agents", agents);
    let cpu = used(&mut everybody())? - before.0;
    let gateway = cpu_seconds(fleet.gateway.pid())? - before.1;
    report.set("cpu_of_fleet", rounded(cpu / took));
    report.set("cpu_of_gateway", rounded(gateway / took));
    report.set(
        "gateway_memory_mb",
        rounded(memory_mb(fleet.gateway.pid())?),
    );
    let memory: f64 = everybody().map(memory_mb).sum::<Result<f64>>()?;
    report.set("fleet_memory_mb", rounded(memory));
    report.set("fleet_met_s", rounded(met.as_secs_f64()));
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    report.set(
        "tasks_per_s",
        rounded(f64::from(u32::try_from(tasks)?) / took),
    );
    report.set(
        "form",
        format!(
            "{agents} agents and a gateway, each a process of mc-wasm; libp2p TCP/noise/yamux on loopback; \
             ledger {}; a task that does nothing every {EVERY:?}",
            fleet.ledger.name()
        ),
    );
    Ok(report)
}
