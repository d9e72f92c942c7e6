//! Many agents, of which most are killed while they work.

use crate::{
    arguments::Arguments,
    fleet::{Fleet, metric},
    jobs::{self, Work, number, text},
    processes,
    report::{Report, percentile, rounded},
};
use anyhow::Result;
use mc_artifacts::guest;
use mc_conformance::{Http, Node};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

/// How long a task computes, in the guest's own measure: some 100 ms on an idle core, and seconds when all agents
/// compute at once.
const TASK_MS: &str = "200";
/// Between two looks at which agent has which job.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of so many victims one is not killed but frozen, and goes on when its lease is long another's.
const FROZEN_ONE_OF: usize = 10;
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// A job whose agent was killed, and when.
struct Hit {
    attempt: u64,
    at: Instant,
    is_granted: bool,
}

/// What becomes of the jobs that were hit.
#[derive(Default)]
struct Recovery {
    waiting: BTreeMap<String, Hit>,
    /// Seconds until another agent was given the job, and until it was seen running there.
    granted_s: Vec<f64>,
    running_s: Vec<f64>,
    forced: usize,
}

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
    while jobs::open(&mut http)? > 0 && Instant::now() < deadline {
        recovery.look(&mut http)?;
        pause(LOOK_EVERY);
    }
    recovery.look(&mut http)?;
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
        recovery.look(http)?;
        let left = tasks - tasks / 10 - tasks * 4 / 10 * victim / victims.max(1);
        while jobs::open(http)? > u64::try_from(left)? {
            recovery.look(http)?;
            pause(LOOK_EVERY);
        }
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
        recovery.hit(http, &agent.id)?;
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
        while since.elapsed() < arguments.ttl * 2 {
            recovery.look(http)?;
            pause(LOOK_EVERY);
        }
        processes::signal(agent.pid(), Signal::CONT)?;
        awake.push(agent);
    }
    Ok(awake)
}

/// Waits until those that were frozen have nothing more to say.
fn settle(frozen: &[Node]) -> Result<()> {
    for agent in frozen {
        let deadline = Instant::now() + Duration::from_secs(60);
        while metric(agent, "mc_slots_free")? == 0 && Instant::now() < deadline {
            pause(LOOK_EVERY);
        }
    }
    pause(Duration::from_secs(1));
    Ok(())
}

impl Recovery {
    /// The agent is gone: what it had has to be done again.
    fn hit(&mut self, http: &mut Http, agent: &str) -> Result<()> {
        for job in jobs::held(http)? {
            if text(&job, "node") == agent {
                let hit = Hit {
                    attempt: number(&job, "attempts"),
                    at: Instant::now(),
                    is_granted: false,
                };
                self.forced += 1;
                self.waiting.insert(text(&job, "id").to_owned(), hit);
            }
        }
        Ok(())
    }

    /// Takes note of those that run again, or have ended.
    fn look(&mut self, http: &mut Http) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = self.waiting.keys().cloned().collect();
        for id in ids {
            let view = http.call("GET", &format!("/api/v1/jobs/{id}"), "")?;
            let Some(hit) = self.waiting.get_mut(&id) else {
                continue;
            };
            let took = hit.at.elapsed().as_secs_f64();
            let again = number(&view, "attempts") > hit.attempt;
            if again && !std::mem::replace(&mut hit.is_granted, true) {
                self.granted_s.push(took);
            }
            let is_running = again && matches!(text(&view, "state"), "running");
            if is_running || is_over(&view) {
                if again {
                    self.running_s.push(took);
                } else {
                    // Its result was already on its way when its agent died.
                    self.forced -= 1;
                }
                self.waiting.remove(&id);
            }
        }
        Ok(())
    }
}

fn is_over(view: &Value) -> bool {
    matches!(text(view, "state"), "succeeded" | "failed" | "cancelled")
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
