//! A run, told as a job is.

use mc_engine::Execution;
use mc_gateway::api::{self, JobView};
use mc_types::{Cid, JobState};
use std::collections::BTreeMap;

/// A view without anything in it.
pub(super) fn empty(state: JobState) -> JobView {
    JobView {
        id: None,
        task_cid: Cid::default(),
        state,
        exit_code: None,
        trap: None,
        failure: None,
        message: None,
        stdout_cid: None,
        stderr_cid: None,
        outputs_cid: None,
        dirs: BTreeMap::new(),
        outcome_cid: None,
        fuel: None,
        meter: None,
        memory_peak_bytes: None,
        wall_ms: None,
        node: None,
        attempts: 1,
        submitted_ms: None,
        started_ms: None,
        finished_ms: None,
        labels: BTreeMap::new(),
        submitter: String::new(),
        key: None,
        sealed_key: None,
        waiting_for: None,
    }
}

/// How it ended, without any CID: what is not asked for is not computed.
pub(super) fn brief(execution: &Execution) -> JobView {
    let failure = api::failure(&execution.end);
    let state = if failure.is_none() {
        JobState::Succeeded
    } else {
        JobState::Failed
    };
    JobView {
        exit_code: api::exit_code(&execution.end),
        trap: api::trap(&execution.end),
        failure,
        fuel: Some(execution.usage.fuel),
        meter: Some(execution.meter),
        memory_peak_bytes: Some(execution.usage.memory_peak_bytes),
        wall_ms: Some(execution.usage.wall_ms),
        ..empty(state)
    }
}
