//! What this node counts: every name in one place.

use mc_gateway::metrics::{Metric, MetricKind};
use mc_net::dht::{Refusal, Refused};
use mc_scheduler::Stats;
use mc_types::JobState;
use mc_worker::Counts;
use std::{collections::BTreeMap, sync::atomic::Ordering};

const fn counter(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric {
        name,
        help,
        kind: MetricKind::Counter,
        label: None,
        value,
    }
}

/// What the scheduler did since this node was started.
pub(crate) fn of_scheduler(stats: &Stats) -> Vec<Metric> {
    vec![
        counter(
            "mc_leases_granted_total",
            "Leases that were granted.",
            stats.granted,
        ),
        counter(
            "mc_leases_expired_total",
            "Leases whose worker fell silent.",
            stats.expired,
        ),
        counter(
            "mc_leases_overdue_total",
            "Attempts taken from workers that neither began nor ended them in time.",
            stats.overdue,
        ),
        counter(
            "mc_leases_ended_total",
            "Leases whose worker's process was found to have ended.",
            stats.ended,
        ),
        counter(
            "mc_coordinator_late_ms_total",
            "Milliseconds for which no lease ran, since the coordinator itself was not run.",
            stats.late_ms,
        ),
        counter(
            "mc_stale_total",
            "Heartbeats, finishes and releases refused for a token that is not valid any more.",
            stats.stale,
        ),
    ]
}

/// What others wanted this node to keep in the DHT.
pub(crate) fn of_dht(refused: &Refused) -> Vec<Metric> {
    let refusal = |refusal: &Refusal| Metric {
        name: "mc_dht_refused_total",
        help: "DHT entries of others that were not kept, by reason.",
        kind: MetricKind::Counter,
        label: Some(("reason", refusal.to_string())),
        value: refused.get(refusal).copied().unwrap_or_default(),
    };
    Refusal::ALL.iter().map(refusal).collect()
}

/// The jobs of the ledger. States without jobs have 0, since monitoring treats absent numbers as unknown.
pub(crate) fn of_ledger(mut counts: BTreeMap<String, u64>) -> Vec<Metric> {
    for state in JobState::ALL {
        counts.entry(state.to_string()).or_default();
    }
    let jobs = |(state, value)| Metric {
        name: "mc_jobs",
        help: "Jobs in the ledger, by state.",
        kind: MetricKind::Gauge,
        label: Some(("state", state)),
        value,
    };
    counts.into_iter().map(jobs).collect()
}

/// Tasks that failed without ending the node.
pub(crate) fn of_tasks(panics: u64) -> Metric {
    counter(
        "mc_task_panics_total",
        "Tasks of this node that ended by a defect of this program.",
        panics,
    )
}

/// What this node lends, and what became of it.
pub(crate) fn of_worker(total: u32, free: u32, undelivered: u64, counts: &Counts) -> Vec<Metric> {
    let gauge = |name, help, value: u32| Metric {
        name,
        help,
        kind: MetricKind::Gauge,
        label: None,
        value: u64::from(value),
    };
    vec![
        gauge("mc_slots", "Tasks that this node runs at a time.", total),
        gauge("mc_slots_free", "Slots of this node that are free.", free),
        gauge(
            "mc_endings_owed",
            "Endings of attempts here that no coordinator has acknowledged yet.",
            u32::try_from(undelivered).unwrap_or(u32::MAX),
        ),
        counter(
            "mc_endings_recorded_total",
            "Endings of attempts here that a coordinator has in its ledger.",
            counts.recorded.load(Ordering::Relaxed),
        ),
        counter(
            "mc_endings_refused_total",
            "Endings of attempts here that no coordinator wanted any more.",
            counts.refused.load(Ordering::Relaxed),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_jobs_is_counted() {
        let metrics = of_ledger(BTreeMap::from([("running".to_owned(), 2)]));
        let value = |state: &str| {
            let label = Some(("state", state.to_owned()));
            let metric = metrics.iter().find(|metric| metric.label == label);
            metric.map(|metric| metric.value)
        };
        assert_eq!(value("running"), Some(2));
        assert_eq!(value("succeeded"), Some(0));
        assert_eq!(metrics.len(), JobState::ALL.len());
    }
}
