//! Many agents, of which most are killed while they work.

use crate::{
    arguments::Arguments,
    fleet::{Fleet, metric},
    jobs::{self, Work},
    machine::{self, Busy},
    processes,
    recovery::{Recovery, pause},
    report::{Report, percentile, rounded},
};
use anyhow::{Result, anyhow, bail, ensure};
use mc_artifacts::guest;
use mc_conformance::{Http, Node};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a task computes, in the guest's own measure: some 100 ms on an idle core, and seconds when all agents
/// compute at once.
const TASK_MS: &str = "200";
/// Between two looks at what is open.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two looks whether an agent has nothing more to say.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// Of so many victims one is not killed but frozen, and goes on when its lease is long another's.
const FROZEN_ONE_OF: usize = 10;
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Jobs for each agent that are open at a time, so that none is without work while there are tasks to submit.
const OPEN_PER_AGENT: usize = 2;
/// Tasks that are submitted between two looks at how many are open.
const SUBMITTED_AT_ONCE: usize = 8;
/// How long an agent is waited for that has work.
const TO_HAVE_WORK: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: &Arguments) -> Result<Report> {
    let (usual_agents, usual_tasks) = if arguments.short {
        (12, 120)
    } else {
        (100, 1000)
    };
    let agents = arguments.agents.unwrap_or(usual_agents);
    let tasks = arguments.tasks.unwrap_or(usual_tasks);
    let victims = agents * arguments.kill / 100;
    let mut report = Report::default();
    report.set("mturns_per_s", rounded(machine::speed()));
    report.set("load_before", rounded(machine::load()?));
    let fleet = Fleet::start(arguments, agents, 1)?;
    let work = Work::new(&fleet.gateway, &guest("ticks"), &["1", TASK_MS])?;
    let busy = arguments.busy.then(Busy::start).transpose()?;
    let Fleet {
        gateway,
        agents: mut alive,
        ledger,
    } = fleet;
    let begun = Instant::now();
    let mut http = Http::connect(&gateway.api)?;
    let mut recovery = Recovery::default();
    let (ids, frozen) = thread::scope(|scope| -> Result<_> {
        // Beside the killing, so that there is work to the last.
        let submitting = scope.spawn(|| submit(&work, &gateway, (agents, tasks)));
        let frozen = kill(
            arguments,
            (&gateway, &mut alive),
            (victims, tasks),
            &mut http,
            &mut recovery,
        )?;
        let ids = submitting.join().map_err(|_| anyhow!("the submitter"))??;
        Ok((ids, frozen))
    })?;
    let deadline = Instant::now() + PATIENCE;
    recovery.look_while(&mut http, |http| {
        Ok(jobs::open(http)? > 0 && Instant::now() < deadline)
    })?;
    let took = begun.elapsed();
    report.set("load_after", rounded(machine::load()?));
    report.set("busy", busy.is_some());
    drop(busy);
    settle(&frozen)?;

    let views = jobs::views(&gateway, &ids)?;
    jobs::count(&mut report, &views, recovery.forced);
    let stale = jobs::stale_commits(&views, alive.iter().chain(&frozen).map(jobs::recorded))?;
    report.set("stale_commits", stale);
    report.set("stale_refused", metric(&gateway, "mc_stale_total")?);
    let late = metric(&gateway, "mc_coordinator_late_ms_total")?;
    report.set("coordinator_late_ms", late);
    report.set("agents", agents);
    report.set("killed", victims - frozen.len());
    report.set("frozen", frozen.len());
    report.set("mttr_p50_s", percentile(&recovery.granted_s, 50));
    report.set("mttr_p95_s", percentile(&recovery.granted_s, 95));
    let of_frozen = &recovery.frozen_granted_s;
    report.set("mttr_frozen_p95_s", percentile(of_frozen, 95));
    report.set("running_again_p95_s", percentile(&recovery.running_s, 95));
    report.set("lease_ttl_s", arguments.ttl.as_secs());
    let tasks_per_s = f64::from(u32::try_from(tasks)?) / took.as_secs_f64();
    report.set("tasks_per_s", rounded(tasks_per_s));
    report.set(
        "form",
        format!(
            "{agents} agents and a gateway, each a process of mc-wasm; libp2p TCP/noise/yamux on loopback; \
             ledger {}; agents that have work: kill -9, one in {FROZEN_ONE_OF} frozen for two terms instead",
            ledger.name()
        ),
    );
    report.must("no stale result is recorded", stale == 0);
    let duplicates = report.number("duplicate_executions");
    let few = duplicates <= u64::try_from(tasks.div_ceil(100))?;
    report.must("at most one task in a hundred runs twice", few);
    Ok(report)
}

/// Submits the tasks, as agents have time for them.
fn submit(work: &Work, gateway: &Node, (agents, tasks): (usize, usize)) -> Result<Vec<String>> {
    let mut http = Http::connect(&gateway.api)?;
    let enough = u64::try_from(agents * OPEN_PER_AGENT)?;
    let mut ids = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for number in 0..tasks {
        while number.is_multiple_of(SUBMITTED_AT_ONCE) && jobs::open(&mut http)? >= enough {
            ensure!(Instant::now() < deadline, "{number} tasks in {PATIENCE:?}");
            pause(LOOK_EVERY);
        }
        ids.push(work.submit_one(&mut http, number)?);
    }
    Ok(ids)
}

/// Kills the victims one after the other while the first half of the tasks is done. Gives those that were
/// frozen and go on again.
fn kill(
    arguments: &Arguments,
    (gateway, agents): (&Node, &mut Vec<Node>),
    (victims, tasks): (usize, usize),
    http: &mut Http,
    recovery: &mut Recovery,
) -> Result<Vec<Node>> {
    let mut frozen: Vec<(Node, Instant)> = Vec::new();
    let (mut awake, mut cleared) = (Vec::new(), Vec::new());
    let mut random = arguments.seed;
    for victim in 0..victims {
        // The n-th falls when so many tasks have ended, so that all fall while there is work.
        let ended = tasks / 10 + tasks * 4 / 10 * victim / victims.max(1);
        let ended = u64::try_from(ended)?;
        recovery.look_while(http, |_| Ok(jobs::succeeded(gateway)? < ended))?;
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (index, held) = one_with_work(http, agents, usize::try_from(random >> 33)?, recovery)?;
        let agent = agents.swap_remove(index);
        let (is_it, at) = (|node: &str| node == agent.id, Instant::now());
        // Both what it had just before and what it was given since: the one may be done, the other is soon another's.
        if victim % FROZEN_ONE_OF == FROZEN_ONE_OF / 2 {
            processes::signal(agent.pid(), Signal::STOP)?;
            recovery.freeze(&held, at, is_it);
            recovery.freeze(&jobs::held(http)?, at, is_it);
            frozen.push((agent, Instant::now()));
        } else {
            processes::signal(agent.pid(), Signal::KILL)?;
            recovery.hit(&held, at, is_it);
            recovery.hit(&jobs::held(http)?, at, is_it);
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

/// An agent that holds a lease, by its place among all, and what all hold. `random` decides among them.
fn one_with_work(
    http: &mut Http,
    agents: &[Node],
    random: usize,
    recovery: &mut Recovery,
) -> Result<(usize, Vec<Value>)> {
    let deadline = Instant::now() + TO_HAVE_WORK;
    while Instant::now() < deadline {
        let held = jobs::held(http)?;
        let has_work = |agent: &Node| held.iter().any(|job| jobs::text(job, "node") == agent.id);
        let working = agents.iter().enumerate();
        let working: Vec<usize> = working
            .filter(|(_, agent)| has_work(agent))
            .map(|(index, _)| index)
            .collect();
        if let Some(index) = working.get(random % working.len().max(1)) {
            return Ok((*index, held));
        }
        recovery.look(http)?;
        pause(LOOK_EVERY);
    }
    bail!("no agent had work for {TO_HAVE_WORK:?}")
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
