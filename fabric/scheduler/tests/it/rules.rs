use crate::support::{
    TTL, announce, at, broke, config, crowded_out, exited, job, lent, node, offer, record, spec,
    submit,
};
use mc_scheduler::{Answer, Command, Effect, Scheduler};
use mc_types::{AttemptResult, FailureReason, FencingToken, JobState, NodeId};
use std::time::Duration;

/// A scheduler whose only worker has been offered the only job.
fn granted() -> (Scheduler, NodeId, FencingToken) {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let step = scheduler.step(at(0), submit(job(1), spec()));
    let (worker, lease) = offer(&step).unwrap();
    (scheduler, worker, lease.token)
}

fn finish(worker: &NodeId, token: FencingToken, ending: AttemptResult) -> Command {
    Command::Finish {
        worker: worker.clone(),
        job: job(1),
        token,
        ending,
    }
}

#[test]
fn job_goes_from_queued_to_succeeded() {
    let mut scheduler = Scheduler::new(config());
    let queued = scheduler.step(at(0), submit(job(1), spec()));
    assert_eq!(
        (&queued.answer, record(&queued).state),
        (&Answer::Submitted, JobState::Queued)
    );
    let assigned = scheduler.step(at(1), announce(node(0), 1));
    assert_eq!(record(&assigned).state, JobState::Assigned);
    let (worker, lease) = offer(&assigned).unwrap();
    assert_eq!((lease.attempt, lease.expires), (1, at(1).plus(TTL)));
    let token = lease.token;
    let beat = Command::Heartbeat {
        worker: worker.clone(),
        job: job(1),
        token,
        running: Some(Duration::ZERO),
    };
    let running = scheduler.step(at(2), beat);
    assert_eq!(
        (record(&running).state, record(&running).started),
        (JobState::Running, Some(at(2)))
    );
    let ended = scheduler.step(at(3), finish(&worker, token, exited(0)));
    assert_eq!(
        (&ended.answer, record(&ended).state),
        (&Answer::Recorded, JobState::Succeeded)
    );
    assert_eq!(record(&ended).finished, Some(at(3)));
    assert_eq!(scheduler.open_jobs(), 0);
}

#[test]
fn repeated_finish_is_answered_alike_and_changes_nothing() {
    let (mut scheduler, worker, token) = granted();
    scheduler.step(at(1), finish(&worker, token, exited(0)));
    let again = scheduler.step(at(2), finish(&worker, token, exited(3)));
    assert_eq!(again.answer, Answer::Recorded);
    assert!(again.effects.is_empty());
}

#[test]
fn failures_of_the_task_are_not_retried() {
    for ending in [
        exited(1),
        AttemptResult::Failed(FailureReason::Timeout),
        AttemptResult::Failed(FailureReason::Rejected {
            code: None,
            message: "no component".to_owned(),
        }),
    ] {
        let (mut scheduler, worker, token) = granted();
        let ended = scheduler.step(at(1), finish(&worker, token, ending));
        assert_eq!(record(&ended).state, JobState::Failed);
    }
}

#[test]
fn failures_of_machines_are_retried_until_no_retry_is_left() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let mut job_spec = spec();
    job_spec.retries = 2;
    let mut step = scheduler.step(at(0), submit(job(1), job_spec));
    let mut now = 0;
    for attempt in 1..=3 {
        let (worker, lease) = offer(&step).unwrap();
        assert_eq!(lease.attempt, attempt);
        step = scheduler.step(at(now), finish(&worker, lease.token, broke()));
        if attempt < 3 {
            assert_eq!(record(&step).state, JobState::Queued, "attempt {attempt}");
            now += 5_000;
            step = scheduler.step(at(now), Command::Tick);
        }
    }
    let ended = record(&step);
    assert_eq!((ended.state, ended.attempts), (JobState::Failed, 3));
    let Some(AttemptResult::Failed(FailureReason::Infrastructure { message, .. })) = ended.ending
    else {
        panic!("{:?}", ended.ending);
    };
    assert!(
        message.contains("failed: the disk broke;") && message.contains(node(0).as_str()),
        "{message}"
    );
}

#[test]
fn expired_lease_goes_to_another_node_and_its_old_holder_is_refused() {
    let (mut scheduler, old, old_token) = granted();
    scheduler.step(at(1), announce(node(1), 1));
    assert_eq!(scheduler.next_deadline(), Some(at(0).plus(TTL)));
    scheduler.step(at(10_000), Command::Tick);
    let step = scheduler.step(at(10_200), Command::Tick);
    let (new, lease) = offer(&step).unwrap();
    assert_eq!(new, node(1), "the silent node is avoided");
    assert!(lease.token > old_token);
    let late = scheduler.step(at(10_300), finish(&old, old_token, exited(0)));
    assert_eq!(late.answer, Answer::Stale);
    assert!(late.effects.is_empty());
    let forged = scheduler.step(at(10_300), finish(&old, lease.token, exited(0)));
    assert_eq!(
        forged.answer,
        Answer::Stale,
        "the right token from the wrong node"
    );
    assert_eq!(scheduler.stats().stale, 2);
}

#[test]
fn heartbeats_keep_a_lease_alive() {
    let (mut scheduler, worker, token) = granted();
    for second in 1..100 {
        let worker = worker.clone();
        let beat = Command::Heartbeat {
            worker,
            job: job(1),
            token,
            running: Some(Duration::ZERO),
        };
        let step = scheduler.step(at(second * 3_000), beat);
        assert_eq!(step.answer, Answer::Renewed { ttl: TTL }, "second {second}");
    }
}

#[test]
fn released_and_refused_leases_cost_no_retry() {
    let mut scheduler = Scheduler::new(config());
    let mut job_spec = spec();
    job_spec.retries = 0;
    scheduler.step(at(0), submit(job(1), job_spec));
    for round in 0..5u32 {
        let step = scheduler.step(at(1), announce(node(round), 1));
        let (worker, lease) = offer(&step).unwrap();
        let (id, token) = (job(1), lease.token);
        let reason = "no".to_owned();
        let give_back = if round % 2 == 0 {
            Command::Release {
                worker,
                job: id,
                token,
                reason,
            }
        } else {
            Command::OfferFailed {
                job: id,
                token,
                refused: true,
                reason,
            }
        };
        let step = scheduler.step(at(1), give_back);
        assert_eq!(record(&step).state, JobState::Queued);
    }
}

/// One job that prints as much as a node lends made another one fail for good.
#[test]
fn an_attempt_that_others_left_no_room_costs_no_retry_and_is_tried_elsewhere_and_later() {
    let mut scheduler = Scheduler::new(config());
    for n in 0..2 {
        scheduler.step(at(0), announce(node(n), 1));
    }
    let mut job_spec = spec();
    job_spec.retries = 0;
    let mut step = scheduler.step(at(0), submit(job(1), job_spec));
    let (mut now, mut last, mut first) = (0, None, None);
    for _ in 0..20 {
        let (worker, lease) = offer(&step).unwrap();
        assert_ne!(last.replace(worker.clone()), Some(worker.clone()));
        step = scheduler.step(at(now), finish(&worker, lease.token, crowded_out()));
        assert_eq!((&step.answer, offer(&step)), (&Answer::Recorded, None));
        let queued = record(&step);
        assert_eq!(queued.state, JobState::Queued);
        let pause = queued.not_before.since(at(now));
        assert!(!pause.is_zero() && pause <= config().backoff_cap);
        assert!(pause >= *first.get_or_insert(pause), "it waits longer");
        now += u64::try_from(pause.as_millis()).unwrap() + 1;
        step = scheduler.step(at(now), Command::Tick);
    }
    let (worker, lease) = offer(&step).unwrap();
    let step = scheduler.step(at(now), finish(&worker, lease.token, broke()));
    assert_eq!(record(&step).state, JobState::Failed, "that is a failure");
}

#[test]
fn cancel_ends_a_job_in_every_state() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), submit(job(1), spec()));
    let step = scheduler.step(at(0), Command::Cancel { job: job(1) });
    assert_eq!(
        (&step.answer, record(&step).state),
        (&Answer::Cancelled, JobState::Cancelled)
    );
    assert_eq!(
        scheduler
            .step(at(0), Command::Cancel { job: job(1) })
            .answer,
        Answer::NotOpen
    );

    let (mut scheduler, worker, token) = granted();
    let step = scheduler.step(at(1), Command::Cancel { job: job(1) });
    let told = Effect::CancelAttempt {
        worker: worker.clone(),
        job: job(1),
        token,
    };
    assert!(step.effects.contains(&told));
    let beat = Command::Heartbeat {
        worker: worker.clone(),
        job: job(1),
        token,
        running: Some(Duration::ZERO),
    };
    assert_eq!(scheduler.step(at(2), beat).answer, Answer::Cancelled);
    let late = scheduler.step(at(3), finish(&worker, token, exited(0)));
    assert_eq!(late.answer, Answer::Cancelled);
    assert!(late.effects.is_empty());
}

#[test]
fn target_node_is_waited_for_and_holds_up_nobody_else() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 4));
    let mut pinned = spec();
    pinned
        .labels
        .insert("target_node".to_owned(), node(1).to_string());
    assert!(offer(&scheduler.step(at(0), submit(job(1), pinned))).is_none());
    let other = scheduler.step(at(0), submit(job(2), spec()));
    assert_eq!(offer(&other).unwrap().0, node(0));
    let step = scheduler.step(at(1), announce(node(1), 1));
    let (worker, lease) = offer(&step).unwrap();
    assert_eq!((worker, lease.job), (node(1), job(1)));
}

#[test]
fn job_that_needs_more_memory_than_there_is_waits_and_holds_up_nobody() {
    let mut scheduler = Scheduler::new(config());
    let mut large = spec();
    large.task.limits.memory_bytes = 4 << 30;
    scheduler.step(at(0), submit(job(1), large));
    scheduler.step(at(0), submit(job(2), spec()));
    let mut small = announce(node(0), 2);
    if let Command::Announce { offer, .. } = &mut small {
        offer.lent = lent(2 << 30);
    }
    let step = scheduler.step(at(0), small);
    assert_eq!(offer(&step).unwrap().1.job, job(2));
    assert_eq!(
        offer(&scheduler.step(at(1), announce(node(1), 1)))
            .unwrap()
            .1
            .job,
        job(1)
    );
}

#[test]
fn restored_scheduler_keeps_leases_and_never_reuses_a_token() {
    let (mut scheduler, worker, token) = granted();
    let beat = Command::Heartbeat {
        worker: worker.clone(),
        job: job(1),
        token,
        running: Some(Duration::ZERO),
    };
    let running = record(&scheduler.step(at(1), beat));
    let later = at(3_600_000);
    let (mut scheduler, _) = Scheduler::restore(config(), vec![running], token, later);
    let ended = scheduler.step(later, finish(&worker, token, exited(0)));
    assert_eq!(
        record(&ended).state,
        JobState::Succeeded,
        "the holder finishes after the restart"
    );
    scheduler.step(later, announce(node(0), 1));
    let next = scheduler.step(later, submit(job(2), spec()));
    assert!(offer(&next).unwrap().1.token > token);
}

#[test]
fn too_many_open_jobs_are_refused() {
    let config = mc_scheduler::Config {
        max_open_jobs: 2,
        ..config()
    };
    let mut scheduler = Scheduler::new(config);
    for n in 0..2 {
        assert_eq!(
            scheduler.step(at(0), submit(job(n), spec())).answer,
            Answer::Submitted
        );
    }
    let refused = scheduler.step(at(0), submit(job(2), spec()));
    assert_eq!(refused.answer, Answer::Overloaded);
    assert!(refused.effects.is_empty());
}

#[test]
fn worker_that_is_not_heard_is_offered_nothing_until_it_is() {
    let silence = Duration::from_secs(7);
    let config = mc_scheduler::Config {
        worker_silence: silence,
        ..config()
    };
    let mut scheduler = Scheduler::new(config);
    scheduler.step(at(0), announce(node(1), 2));
    let late = u64::try_from(silence.as_millis()).unwrap();
    let step = scheduler.step(at(late), submit(job(1), spec()));
    assert_eq!(offer(&step), None);
    let step = scheduler.step(at(late + 1), announce(node(1), 2));
    assert_eq!(offer(&step).unwrap().0, node(1));
}
