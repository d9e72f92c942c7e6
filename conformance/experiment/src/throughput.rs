//! How many tasks that do nothing go through the whole path in a second.

use crate::{
    arguments::Arguments,
    fleet::{Ledger, meet, metric, start_agents},
    jobs::{self, Work},
    report::{Report, rounded},
};
use anyhow::{Result, anyhow};
use mc_artifacts::guest;
use mc_conformance::{Http, Node, NodeOptions};
use std::{
    slice, thread,
    time::{Duration, Instant},
};

/// Connections that submit at a time, each waiting for its answer.
const CONNECTIONS: usize = 64;
/// Slots of the node that runs the tasks: they do nothing, so that a core has room for many.
const SLOTS: &str = "32";

/// Tasks before those that are measured.
const WARM_UP: usize = 64;

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let tasks = arguments
        .tasks
        .unwrap_or(if arguments.short { 3_200 } else { 32_000 });
    let agents = arguments.agents.unwrap_or(0);
    let ledger = Ledger::new(arguments.ledger)?;
    let (gateway, workers) = nodes(arguments, &ledger, agents)?;
    let work = Work::new(&gateway, &guest("exit_zero"), &[])?;
    work.submit(&gateway, WARM_UP)?;
    jobs::wait_for_all(&gateway, Duration::from_secs(60))?;
    let begun = Instant::now();
    let ids = submit(&gateway, &work, tasks)?;
    let accepted = begun.elapsed();
    jobs::wait_for_all(&gateway, Duration::from_secs(300))?;
    let took = begun.elapsed();
    let mut report = Report::default();
    let sample: Vec<String> = ids.iter().step_by(16).cloned().collect();
    let views = jobs::views(&gateway, &sample)?;
    jobs::count(&mut report, &views, 0);
    let succeeded = jobs::succeeded(&gateway)?;
    let warm_up = u64::try_from(WARM_UP)?;
    let all = u64::try_from(ids.len())? + warm_up;
    // The others' times are much like those of the sample; these are counted of all.
    report.set("tasks", ids.len());
    report.set("succeeded", succeeded.saturating_sub(warm_up));
    let granted = metric(&gateway, "mc_leases_granted_total")?;
    report.set("duplicate_executions", granted.saturating_sub(all));
    let executing = if workers.is_empty() {
        slice::from_ref(&gateway)
    } else {
        &workers
    };
    let recorded: u64 = executing
        .iter()
        .map(|node| Ok(jobs::recorded(node)?.1))
        .sum::<Result<u64>>()?;
    let stale = recorded.saturating_sub(succeeded);
    report.set("stale_commits", stale);
    report.must("no stale result is recorded", stale == 0);
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    let rate =
        |time: Duration| rounded(f64::from(u32::try_from(tasks).unwrap_or(0)) / time.as_secs_f64());
    report.set("tasks_per_s", rate(took));
    report.set("accepted_per_s", rate(accepted));
    let run_by = match agents {
        0 => format!("run by the gateway itself in {SLOTS} slots"),
        agents => {
            format!("run by {agents} agents with {SLOTS} slots each over libp2p TCP on loopback")
        }
    };
    report.set(
        "form",
        format!(
            "tasks that do nothing, one per HTTP request over {CONNECTIONS} connections, {run_by}; ledger {}; \
             every node a process of mc-wasm",
            ledger.name()
        ),
    );
    report.must("every task succeeds", succeeded == all);
    Ok(report)
}

fn nodes(arguments: &Arguments, ledger: &Ledger, agents: usize) -> Result<(Node, Vec<Node>)> {
    if agents == 0 {
        let mut options: NodeOptions = ledger.gateway(arguments.ttl);
        options.flags.retain(|flag| flag != "--no-execute");
        return Ok((options.flags(["--slots", SLOTS]).start(), Vec::new()));
    }
    let gateway = ledger.gateway(arguments.ttl).start();
    let agents = start_agents(agents, SLOTS.parse()?, &[&gateway]);
    meet(&gateway, agents.len())?;
    Ok((gateway, agents))
}

fn submit(gateway: &Node, work: &Work, tasks: usize) -> Result<Vec<String>> {
    thread::scope(|scope| {
        let submit = |connection: usize| -> Result<Vec<String>> {
            let mut http = Http::connect(&gateway.api)?;
            let numbers = (connection..tasks).step_by(CONNECTIONS);
            // Numbers that the warm-up has not used.
            numbers
                .map(|n| work.submit_one(&mut http, 1000 + n))
                .collect()
        };
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|connection| scope.spawn(move || submit(connection)))
            .collect();
        let mut ids = Vec::new();
        for thread in threads {
            ids.extend(
                thread
                    .join()
                    .map_err(|_| anyhow!("a submitter panicked"))??,
            );
        }
        Ok(ids)
    })
}
