//! A run, told as a job is.

use mc_api::JobView;
use mc_execution::Ended;

/// How it ended, without CIDs, which are computed only on request.
pub(super) fn brief(ended: &Ended) -> JobView {
    JobView {
        attempts: 1,
        fuel: Some(ended.usage.fuel),
        meter: Some(ended.meter),
        memory_peak_bytes: Some(ended.usage.memory_peak_bytes),
        wall_ms: Some(ended.usage.wall_ms),
        ..JobView::from(&ended.end)
    }
}
