//! Many agents, of which most are killed while they work.

use crate::{
    arguments::Arguments,
    fleet::{Fleet, metric},
    jobs::{self, Work},
    processes,
    recovery::{Recovery, pause},
    report::{Report, percentile, rounded},
};
use anyhow::{Result, anyhow};
use mc_artifacts::guest;
use mc_conformance::{Http, Node};
use rustix::process::Signal;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a task computes, in the guest's own measure: some 100 ms on an idle core, and seconds when all agents
/// compute at once.
const TASK_MS: &str = "200";
/// Between two looks whether an agent has nothing more to say.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// Of so many victims one is not killed but frozen, and goes on when its lease is long another's.
const FROZEN_ONE_OF: usize = 10;
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let (usual_agents, usual_tasks) = if arguments.short {
        (12, 120)
    } else {
        (100, 1000)
    };
    let agents = arguments.agents.unwrap_or(usual_agents);
    let tasks = arguments.tasks.unwrap_or(usual_tasks);
    let mut fleet = Fleet::start(arguments, agents, 1)?;
    let work = Work::new(&fleet.gateway, &guest("ticks"), &["1", TASK_MS])?;
    let begun = Instant::now();
    let ids = work.submit(&fleet.gateway, tasks)?;
    let mut http = Http::connect(&fleet.gateway.api)?;
    let mut recovery = Recovery::default();
    let victims = agents * arguments.kill / 100;
    let frozen = kill(
        arguments,
        &mut fleet,
        (victims, tasks),
        &mut http,
        &mut recovery,
    )?;
    let deadline = Instant::now() + PATIENCE;
    recovery.look_while(&mut http, |http| {
        Ok(jobs::open(http)? > 0 && Instant::now() < deadline)
    })?;
    let took = begun.elapsed();
    settle(&frozen)?;

    let mut report = Report::default();
    let views = jobs::views(&fleet.gateway, &ids)?;
    jobs::count(&mut report, &views, recovery.forced);
    let alive = fleet.agents.iter().chain(&frozen);
    let stale = jobs::stale_commits(&views, alive.map(jobs::recorded))?;
    report.set("stale_commits", stale);
    report.set("stale_refused", metric(&fleet.gateway, "mc_stale_total")?);
    report.set("agents", agents);
    report.set("killed", victims - frozen.len());
    report.set("frozen", frozen.len());
    report.set("mttr_p50_s", percentile(&recovery.granted_s, 50));
    report.set("mttr_p95_s", percentile(&recovery.granted_s, 95));
    report.set("running_again_p95_s", percentile(&recovery.running_s, 95));
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    let tasks_per_s = f64::from(u32::try_from(tasks)?) / took.as_secs_f64();
    report.set("tasks_per_s", rounded(tasks_per_s));
    report.set(
        "form",
        format!(
            "{agents} agents and a gateway, each a process of mc-wasm; libp2p TCP/noise/yamux on loopback; \
             ledger {}; kill -9, one victim in {FROZEN_ONE_OF} frozen for two terms instead",
            fleet.ledger.name()
        ),
    );
    report.must("no stale result is recorded", stale == 0);
    Ok(report)
}

/// Kills the victims one after the other while the first half of the tasks is done. Gives those that were
/// frozen and go on again.
fn kill(
    arguments: &Arguments,
    fleet: &mut Fleet,
    (victims, tasks): (usize, usize),
    http: &mut Http,
    recovery: &mut Recovery,
) -> Result<Vec<Node>> {
    let mut frozen: Vec<(Node, Instant)> = Vec::new();
    let (mut awake, mut cleared) = (Vec::new(), Vec::new());
    let mut random = arguments.seed;
    for victim in 0..victims {
        // The n-th falls when so many tasks have ended, so that all fall while there is work.
        let left = tasks - tasks / 10 - tasks * 4 / 10 * victim / victims.max(1);
        let left = u64::try_from(left)?;
        recovery.look_while(http, |http| Ok(jobs::open(http)? > left))?;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = usize::try_from(random >> 33)? % fleet.agents.len();
        let agent = fleet.agents.swap_remove(index);
        let freeze = victim % FROZEN_ONE_OF == FROZEN_ONE_OF / 2;
        processes::signal(
            agent.pid(),
            if freeze { Signal::STOP } else { Signal::KILL },
        )?;
        recovery.hit(http, |node| node == agent.id)?;
        if freeze {
            frozen.push((agent, Instant::now()));
        } else {
            // To clear up after it takes a while, in which nobody would look.
            cleared.push(thread::spawn(move || agent.kill()));
        }
        let long_gone = |frozen: &(Node, Instant)| frozen.1.elapsed() > arguments.ttl * 2;
        while frozen.first().is_some_and(long_gone) {
            let (agent, _) = frozen.remove(0);
            processes::signal(agent.pid(), Signal::CONT)?;
            awake.push(agent);
        }
    }
    for (agent, since) in frozen {
        recovery.look_while(http, |_| Ok(since.elapsed() < arguments.ttl * 2))?;
        processes::signal(agent.pid(), Signal::CONT)?;
        awake.push(agent);
    }
    for clearing in cleared {
        let cleared = clearing.join();
        cleared.map_err(|_| anyhow!("an agent could not be cleared up after"))?;
    }
    Ok(awake)
}

/// Waits until those that were frozen have nothing more to say.
fn settle(frozen: &[Node]) -> Result<()> {
    for agent in frozen {
        let deadline = Instant::now() + Duration::from_secs(60);
        while metric(agent, "mc_slots_free")? == 0 && Instant::now() < deadline {
            pause(SETTLE_EVERY);
        }
    }
    pause(Duration::from_secs(1));
    Ok(())
}
