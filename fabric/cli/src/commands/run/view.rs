//! A run, told as a job is.

use mc_api::JobView;
use mc_engine::Execution;

/// How it ended, without any CID: what is not asked for is not computed.
pub(super) fn brief(execution: &Execution) -> JobView {
    JobView {
        attempts: 1,
        fuel: Some(execution.usage.fuel),
        meter: Some(execution.meter),
        memory_peak_bytes: Some(execution.usage.memory_peak_bytes),
        wall_ms: Some(execution.usage.wall_ms),
        ..JobView::from(&execution.end)
    }
}
