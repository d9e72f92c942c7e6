use super::*;
use mc_types::{JobSpec, TaskSpec, TrapKind, Usage, cid};
use std::sync::Arc;

fn outcome(end: Termination) -> Outcome {
    let of = |bytes: &[u8]| cid::of(cid::RAW, bytes);
    Outcome {
        task: of(b"task"),
        end,
        stdout: of(b"stdout"),
        stderr: of(b"stderr"),
        outputs: of(b"outputs"),
        dirs: BTreeMap::from([("/w".to_owned(), of(b"dir"))]),
        fuel: 7,
        meter: Meter::Operators1,
    }
}

fn record(ending: Option<AttemptResult>, state: JobState) -> JobRecord {
    let now = Timestamp::from_millis(1_790_000_000_000);
    let task = TaskSpec::wasm(cid::of(cid::RAW, b"component"));
    let spec = JobSpec {
        labels: BTreeMap::from([("name".to_owned(), "sum".to_owned())]),
        submitter: "ann".to_owned(),
        ..JobSpec::new(task)
    };
    let id = JobId::new(now, 1);
    JobRecord {
        ending,
        state,
        attempts: 2,
        ..JobRecord::queued(id, cid::of(cid::RAW, b"task"), Arc::new(spec), now)
    }
}

#[test]
fn a_view_without_anything_in_it_is_written_as_ever() {
    let json = serde_json::to_string(&JobView::default()).unwrap();
    let task = Cid::default();
    assert_eq!(
        json,
        format!(
            r#"{{"id":null,"task_cid":"{task}","state":"queued","exit_code":null,"trap":null,"failure":null,"#
        ) + r#""message":null,"stdout_cid":null,"stderr_cid":null,"outputs_cid":null,"outcome_cid":null,"#
            + r#""fuel":null,"meter":null,"memory_peak_bytes":null,"wall_ms":null,"node":null,"attempts":0,"#
            + r#""submitted_ms":null,"started_ms":null,"finished_ms":null,"labels":{}}"#
    );
    assert_eq!(
        serde_json::from_str::<JobView>(&json).unwrap(),
        JobView::default()
    );
}

#[test]
fn a_view_of_a_newer_node_is_read() {
    let mut json = serde_json::to_value(JobView::default()).unwrap();
    json["price"] = 3.into();
    assert_eq!(
        serde_json::from_value::<JobView>(json).unwrap(),
        JobView::default()
    );
}

#[test]
fn a_completed_job_tells_what_its_outcome_tells() {
    let outcome = outcome(Termination::Exited { code: 3 });
    let completion = Completion {
        outcome_cid: cid::of(cid::RAW, b"outcome"),
        outcome: outcome.clone(),
        usage: Usage {
            fuel: 7,
            memory_peak_bytes: 65_536,
            wall_ms: 12,
        },
    };
    let ending = AttemptResult::Completed(Box::new(completion.clone()));
    let view = JobView::from(&record(Some(ending), JobState::Failed));
    assert_eq!(
        (view.state, view.failure, view.exit_code),
        (JobState::Failed, Some(JobFailure::Exit), Some(3))
    );
    assert_eq!(view.outcome_cid, Some(completion.outcome_cid));
    assert_eq!(view.stdout_cid, Some(outcome.stdout));
    assert_eq!(view.stderr_cid, Some(outcome.stderr));
    assert_eq!(view.outputs_cid, Some(outcome.outputs));
    assert_eq!(view.dirs, outcome.dirs);
    assert_eq!(
        (view.fuel, view.memory_peak_bytes, view.wall_ms),
        (Some(7), Some(65_536), Some(12))
    );
    // What only the ledger knows.
    assert_eq!((view.attempts, view.submitter.as_str()), (2, "ann"));
    assert_eq!(view.labels.get("name").map(String::as_str), Some("sum"));
    assert_eq!(view.submitted_ms, Some(1_790_000_000_000));
    let json = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<JobView>(&json).unwrap(), view);
}

#[test]
fn each_end_of_a_guest_has_its_failure() {
    let trapped = Termination::Trapped {
        kind: TrapKind::Unreachable,
    };
    for (end, state, failure) in [
        (Termination::Exited { code: 0 }, JobState::Succeeded, None),
        (
            Termination::Exited { code: 1 },
            JobState::Failed,
            Some(JobFailure::Exit),
        ),
        (trapped, JobState::Failed, Some(JobFailure::Trap)),
        (
            Termination::OutOfFuel,
            JobState::Failed,
            Some(JobFailure::OutOfFuel),
        ),
        (
            Termination::MemoryLimit,
            JobState::Failed,
            Some(JobFailure::MemoryLimit),
        ),
        (
            Termination::OutputLimit,
            JobState::Failed,
            Some(JobFailure::OutputLimit),
        ),
    ] {
        let view = JobView::from(&end);
        assert_eq!((view.state, view.failure), (state, failure), "{end:?}");
        assert_eq!(
            view.trap.as_deref(),
            matches!(end, Termination::Trapped { .. }).then_some("unreachable")
        );
    }
}

#[test]
fn jobs_that_came_to_no_outcome_say_why() {
    let message = "no node has 6 GiB of memory".to_owned();
    let unplaced = FailureReason::Unplaced {
        message: message.clone(),
    };
    for (ending, failure, said) in [
        (AttemptResult::Cancelled, JobFailure::Cancelled, None),
        (
            AttemptResult::Failed(FailureReason::Timeout),
            JobFailure::Timeout,
            None,
        ),
        (
            AttemptResult::Failed(FailureReason::QueueTimeout),
            JobFailure::QueueTimeout,
            None,
        ),
        (
            AttemptResult::Failed(unplaced),
            JobFailure::QueueTimeout,
            Some(message),
        ),
    ] {
        let view = JobView::from(&record(Some(ending.clone()), JobState::Failed));
        assert_eq!(
            (view.failure, view.message),
            (Some(failure), said),
            "{ending:?}"
        );
        assert_eq!((view.outcome_cid, view.exit_code), (None, None));
    }
}

#[test]
fn failures_have_names_in_json() {
    for (failure, name) in [
        (JobFailure::OutOfFuel, "\"out_of_fuel\""),
        (JobFailure::QueueTimeout, "\"queue_timeout\""),
        (JobFailure::Infrastructure, "\"infrastructure\""),
    ] {
        assert_eq!(serde_json::to_string(&failure).unwrap(), name);
        assert_eq!(serde_json::from_str::<JobFailure>(name).unwrap(), failure);
    }
}
