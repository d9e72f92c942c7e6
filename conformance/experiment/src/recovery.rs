//! How soon jobs run elsewhere whose agent is lost.

use crate::jobs::{number, text};
use anyhow::Result;
use mc_conformance::Http;
use serde_json::Value;
use std::{collections::BTreeMap, thread, time::Duration, time::Instant};

/// Between two looks at which agent has which job.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A job whose agent was lost, and when.
#[derive(Debug)]
struct Hit {
    attempt: u64,
    at: Instant,
    is_granted: bool,
    /// Whether the agent was frozen, so that nothing but its silence tells.
    is_frozen: bool,
}

/// What becomes of the jobs that were hit.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    waiting: BTreeMap<String, Hit>,
    /// Seconds until another agent was given the job, and until it was seen running there.
    pub(crate) granted_s: Vec<f64>,
    pub(crate) running_s: Vec<f64>,
    /// Seconds until another agent was given the job of one that was frozen.
    pub(crate) frozen_granted_s: Vec<f64>,
    /// Attempts that were lost.
    pub(crate) forced: usize,
}

impl Recovery {
    /// These agents are gone since `at`: what they had of the jobs that agents were seen to hold has to be done again.
    pub(crate) fn hit(&mut self, held: &[Value], at: Instant, is_gone: impl Fn(&str) -> bool) {
        self.note(held, (at, false), is_gone);
    }

    /// The same of agents that are frozen.
    pub(crate) fn freeze(&mut self, held: &[Value], at: Instant, is_gone: impl Fn(&str) -> bool) {
        self.note(held, (at, true), is_gone);
    }

    fn note(
        &mut self,
        held: &[Value],
        (at, is_frozen): (Instant, bool),
        is_gone: impl Fn(&str) -> bool,
    ) {
        for job in held.iter().filter(|job| is_gone(text(job, "node"))) {
            let (id, attempt) = (text(job, "id"), number(job, "attempts"));
            // It may have been seen before, and twice.
            let known = self.waiting.get(id);
            if known.is_some_and(|hit| hit.attempt == attempt) {
                continue;
            }
            let hit = Hit {
                attempt,
                at,
                is_granted: false,
                is_frozen,
            };
            self.forced += 1;
            self.waiting.insert(id.to_owned(), hit);
        }
    }

    /// Takes note of those that run again, or have ended.
    pub(crate) fn look(&mut self, http: &mut Http) -> Result<()> {
        let ids: Vec<String> = self.waiting.keys().cloned().collect();
        for id in ids {
            let view = http.call("GET", &format!("/api/v1/jobs/{id}"), "")?;
            let Some(hit) = self.waiting.get_mut(&id) else {
                continue;
            };
            let took = hit.at.elapsed().as_secs_f64();
            let again = number(&view, "attempts") > hit.attempt;
            if again && !std::mem::replace(&mut hit.is_granted, true) {
                match hit.is_frozen {
                    true => self.frozen_granted_s.push(took),
                    false => self.granted_s.push(took),
                }
            }
            let is_running = again && text(&view, "state") == "running";
            if is_running || is_over(&view) {
                if again {
                    self.running_s.push(took);
                } else {
                    // Its result was already on its way when its agent was lost.
                    self.forced -= 1;
                }
                self.waiting.remove(&id);
            }
        }
        Ok(())
    }

    /// Goes on looking while `goes_on` says so.
    pub(crate) fn look_while(
        &mut self,
        http: &mut Http,
        mut goes_on: impl FnMut(&mut Http) -> Result<bool>,
    ) -> Result<()> {
        while goes_on(http)? {
            self.look(http)?;
            pause(LOOK_EVERY);
        }
        self.look(http)
    }
}

fn is_over(view: &Value) -> bool {
    matches!(text(view, "state"), "succeeded" | "failed" | "cancelled")
}

#[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}
