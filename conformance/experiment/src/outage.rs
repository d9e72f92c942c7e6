//! The gateway dies under load: it comes back, or another one on the same database goes on.

use crate::{
    arguments::{Arguments, LedgerKind},
    fleet::{Ledger, meet, start_agents},
    jobs::{self, Work},
    recovery::pause,
    report::{Report, rounded},
};
use anyhow::Result;
use mc_artifacts::guest;
use mc_conformance::{Node, free_port};
use std::time::{Duration, Instant};

/// Milliseconds of computation in a task, on an idle machine.
const TASK_MS: &str = "1000";
/// How long the agents have worked when the gateway dies.
const BEFORE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let (usual_agents, usual_tasks) = if arguments.short { (6, 18) } else { (20, 100) };
    let agents = arguments.agents.unwrap_or(usual_agents);
    let tasks = arguments.tasks.unwrap_or(usual_tasks);
    let ledger = Ledger::new(arguments.ledger)?;
    match arguments.ledger {
        LedgerKind::Sqlite => comes_back(arguments, &ledger, agents, tasks),
        LedgerKind::Postgres => is_succeeded(arguments, &ledger, agents, tasks),
    }
}

/// The only gateway is dead for a while.
fn comes_back(
    arguments: &Arguments,
    ledger: &Ledger,
    agents: usize,
    tasks: usize,
) -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let port = free_port();
    let options = || {
        let options = ledger.gateway(arguments.ttl).data_dir(dir.path());
        options.port(port)
    };
    let gateway = options().start();
    let fleet = start_agents(agents, 1, &[&gateway]);
    meet(&gateway, agents)?;
    let work = Work::new(&gateway, &guest("ticks"), &["1", TASK_MS])?;
    let begun = Instant::now();
    let ids = work.submit(&gateway, tasks)?;
    pause(BEFORE);
    gateway.kill();
    pause(arguments.away);
    let finished_meanwhile: usize = fleet.iter().map(undelivered).sum();
    let gateway = options().start();
    let back = Instant::now();
    jobs::wait_for_all(&gateway, PATIENCE)?;
    let mut report = report(arguments, &gateway, &ids, &fleet, begun.elapsed())?;
    report.set("finished_meanwhile", finished_meanwhile);
    report.set("away_s", arguments.away.as_secs());
    report.set(
        "all_done_after_return_s",
        rounded(back.elapsed().as_secs_f64()),
    );
    report.set(
        "form",
        form(
            agents,
            ledger,
            "the only gateway is killed and started again",
        ),
    );
    report.must(
        "agents finish what they have while the gateway is away",
        finished_meanwhile > 0,
    );
    Ok(report)
}

/// One of two gateways is dead for good.
fn is_succeeded(
    arguments: &Arguments,
    ledger: &Ledger,
    agents: usize,
    tasks: usize,
) -> Result<Report> {
    let first = ledger.gateway(arguments.ttl).start();
    let second = ledger.gateway(arguments.ttl).bootstrap(&first).start();
    let fleet = start_agents(agents, 1, &[&first, &second]);
    meet(&first, agents)?;
    meet(&second, agents)?;
    // Until both have seen the other in the ledger.
    pause(arguments.ttl);
    let work = Work::new(&first, &guest("ticks"), &["1", TASK_MS])?;
    Work::new(&second, &guest("ticks"), &[])?;
    let begun = Instant::now();
    let mut ids = work.submit(&first, tasks / 2)?;
    ids.extend(work.submit(&second, tasks - tasks / 2)?);
    pause(BEFORE);
    first.kill();
    jobs::wait_for_all(&second, PATIENCE)?;
    let mut report = report(arguments, &second, &ids, &fleet, begun.elapsed())?;
    report.set(
        "form",
        form(agents, ledger, "one of two gateways is killed for good"),
    );
    Ok(report)
}

fn form(agents: usize, ledger: &Ledger, what: &str) -> String {
    format!(
        "{agents} agents and the gateways, each a process of mc-wasm; libp2p TCP on loopback; ledger {}; {what}",
        ledger.name()
    )
}

/// How many results an agent keeps for its coordinator: its outbox, which is the directory `owed` on disk.
fn undelivered(agent: &Node) -> usize {
    std::fs::read_dir(agent.data_dir().join("owed")).map_or(0, Iterator::count)
}

fn report(
    arguments: &Arguments,
    gateway: &Node,
    ids: &[String],
    fleet: &[Node],
    took: Duration,
) -> Result<Report> {
    let mut report = Report::default();
    let views = jobs::views(gateway, ids)?;
    jobs::count(&mut report, &views, 0);
    let stale = jobs::stale_commits(&views, fleet.iter().map(jobs::recorded))?;
    let twice: u64 = views
        .iter()
        .map(|view| jobs::number(view, "attempts").saturating_sub(1))
        .sum();
    report.set("stale_commits", stale);
    let succeeded = |view: &&serde_json::Value| jobs::text(view, "state") == "succeeded";
    report.set("lost", views.len() - views.iter().filter(succeeded).count());
    report.set("run_twice", twice);
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    let tasks_per_s = f64::from(u32::try_from(ids.len())?) / took.as_secs_f64();
    report.set("tasks_per_s", rounded(tasks_per_s));
    report.must("no task runs twice", twice == 0);
    report.must("no stale result is recorded", stale == 0);
    Ok(report)
}
