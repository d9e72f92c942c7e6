//! Jobs, workers and endings for tests.

use mc_scheduler::{Command, Config, Effect, Step, WorkerOffer};
use mc_types::{
    AttemptResult, Completion, ErrorCode, FailureReason, JobId, JobRecord, JobSpec, Lease, Lent,
    Meter, NodeId, Outcome, Resources, TaskSpec, Termination, Timestamp, Usage, cid,
};
use std::{sync::Arc, time::Duration};

pub(crate) const TTL: Duration = Duration::from_secs(10);

pub(crate) fn config() -> Config {
    Config {
        lease_ttl: TTL,
        // Workers of most tests speak once.
        worker_silence: Duration::from_secs(24 * 3600),
        ..Config::default()
    }
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

pub(crate) fn node(n: u32) -> NodeId {
    format!("12D3KooWnode{}", n + 1)
        .replace('0', "z")
        .parse()
        .unwrap()
}

pub(crate) fn job(n: u128) -> JobId {
    JobId::new(at(0), n)
}

pub(crate) fn spec() -> JobSpec {
    JobSpec::new(TaskSpec::wasm(cid::of(cid::RAW, b"component")))
}

pub(crate) fn submit(id: JobId, spec: JobSpec) -> Command {
    Command::Submit {
        id,
        task_cid: cid::of(cid::DAG_CBOR, b"task"),
        spec: Arc::new(spec),
    }
}

pub(crate) fn announce(worker: NodeId, slots: u32) -> Command {
    let offer = WorkerOffer {
        slots_total: slots,
        slots_free: slots,
        cpus: slots,
        lent: lent(u64::from(slots) << 32),
        ..WorkerOffer::default()
    };
    let running = Vec::new();
    Command::Announce {
        worker,
        offer,
        running,
    }
}

/// A machine with that much memory, and enough of all else, of which nothing is taken.
pub(crate) fn lent(memory_bytes: u64) -> Lent {
    let total = Resources {
        cpu_millis: 1 << 20,
        memory_bytes,
        scratch_bytes: 1 << 40,
        output_bytes: 1 << 40,
        gpus: 0,
    };
    Lent {
        total,
        free: total,
        attempt_millis: None,
    }
}

/// The first offer of a step.
pub(crate) fn offer(step: &Step) -> Option<(NodeId, Lease)> {
    step.effects.iter().find_map(|effect| match effect {
        Effect::Offer { worker, lease, .. } => Some((worker.clone(), lease.clone())),
        _ => None,
    })
}

/// The newest record that a step writes.
pub(crate) fn record(step: &Step) -> JobRecord {
    let newest = step.effects.iter().rev().find_map(|effect| match effect {
        Effect::Persist(record) => Some(JobRecord::clone(record)),
        _ => None,
    });
    newest.unwrap_or_else(|| panic!("nothing was persisted: {step:?}"))
}

pub(crate) fn exited(code: u8) -> AttemptResult {
    let empty = cid::of(cid::RAW, b"");
    let outcome = Outcome {
        task: cid::of(cid::DAG_CBOR, b"task"),
        end: Termination::Exited { code },
        stdout: empty,
        stderr: empty,
        outputs: empty,
        fuel: 1,
        dirs: Default::default(),
        meter: Meter::Wasmtime48,
    };
    let usage = Usage {
        fuel: 1,
        memory_peak_bytes: 1,
        wall_ms: 5,
    };
    AttemptResult::Completed(Box::new(Completion {
        outcome_cid: empty,
        outcome,
        usage,
    }))
}

pub(crate) fn broke() -> AttemptResult {
    AttemptResult::Failed(FailureReason::Infrastructure {
        code: None,
        message: "the disk broke".to_owned(),
    })
}

pub(crate) fn crowded_out() -> AttemptResult {
    AttemptResult::Failed(FailureReason::Infrastructure {
        code: Some(ErrorCode::Overloaded),
        message: "there is no more room for what tasks print".to_owned(),
    })
}
