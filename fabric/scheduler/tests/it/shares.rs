//! Who is served first, who has waited too long, and who is passed over.

use crate::support::{announce, at, broke, config, exited, job, node, spec, submit};
use mc_scheduler::{Answer, Command, Effect, Scheduler, Step};
use mc_types::{AttemptResult, FailureReason, FencingToken, JobId, JobSpec, JobState, NodeId};
use std::time::Duration;

fn granted(step: &Step) -> Vec<(NodeId, JobId, FencingToken)> {
    let offers = step.effects.iter().filter_map(|effect| match effect {
        Effect::Offer { worker, lease, .. } => Some((worker.clone(), lease.job, lease.token)),
        _ => None,
    });
    offers.collect()
}

fn job_of(submitter: &str, priority: u8) -> JobSpec {
    JobSpec {
        priority,
        submitter: submitter.to_owned(),
        ..spec()
    }
}

fn finish(grant: &(NodeId, JobId, FencingToken), ending: AttemptResult) -> Command {
    Command::Finish {
        worker: grant.0.clone(),
        job: grant.1,
        token: grant.2,
        ending,
    }
}

/// Serves all that wait by one worker with one slot, and gives the order.
fn served(scheduler: &mut Scheduler) -> Vec<JobId> {
    let mut order = Vec::new();
    let mut step = scheduler.step(at(1), announce(node(0), 1));
    while let Some(grant) = granted(&step).pop() {
        order.push(grant.1);
        step = scheduler.step(at(2), finish(&grant, exited(0)));
    }
    order
}

#[test]
fn higher_priorities_are_served_first_and_older_jobs_within_one() {
    let mut scheduler = Scheduler::new(config());
    for (n, priority) in [(1, 5), (2, 0), (3, 9), (4, 5), (5, 9)] {
        scheduler.step(at(0), submit(job(n), job_of("a", priority)));
    }
    let order: Vec<_> = [3, 5, 1, 4, 2].map(job).into();
    assert_eq!(served(&mut scheduler), order);
}

#[test]
fn submitters_share_the_slots_however_many_jobs_each_has() {
    let mut scheduler = Scheduler::new(config());
    for n in 0..100 {
        scheduler.step(at(0), submit(job(n), job_of("many", 5)));
    }
    for n in 100..103 {
        scheduler.step(at(0), submit(job(n), job_of("few", 5)));
    }
    let step = scheduler.step(at(1), announce(node(0), 6));
    let few = granted(&step)
        .iter()
        .filter(|(_, id, _)| *id >= job(100))
        .count();
    assert_eq!(
        (granted(&step).len(), few),
        (6, 3),
        "half of the slots each"
    );
    // What is left goes to whoever has jobs.
    let step = scheduler.step(at(2), announce(node(1), 4));
    assert_eq!(granted(&step).len(), 4);
}

#[test]
fn a_slot_that_is_given_back_goes_to_whoever_has_fewest() {
    let mut scheduler = Scheduler::new(config());
    for n in 0..4 {
        scheduler.step(at(0), submit(job(n), job_of("first", 5)));
    }
    let held = granted(&scheduler.step(at(0), announce(node(0), 2)));
    scheduler.step(at(1), submit(job(10), job_of("late", 5)));
    let step = scheduler.step(at(2), finish(&held[0], exited(0)));
    assert_eq!(granted(&step)[0].1, job(10));
}

#[test]
fn a_job_that_no_node_took_in_time_fails_with_that_reason() {
    let mut scheduler = Scheduler::new(config());
    let spec = JobSpec {
        queue_timeout_ms: Some(5_000),
        ..spec()
    };
    scheduler.step(at(0), submit(job(1), spec.clone()));
    assert_eq!(scheduler.next_deadline(), Some(at(5_000)));
    assert!(scheduler.step(at(4_999), Command::Tick).effects.is_empty());
    let step = scheduler.step(at(5_000), Command::Tick);
    let Some(Effect::Persist(record)) = step.effects.first() else {
        panic!("{step:?}");
    };
    assert_eq!(record.state, JobState::Failed);
    let Some(AttemptResult::Failed(FailureReason::Unplaced { message })) = &record.ending else {
        panic!("{:?}", record.ending);
    };
    assert!(message.contains("no known node"), "{message}");
    assert_eq!(scheduler.open_jobs(), 0);
    // One that runs does not wait.
    scheduler.step(at(5_000), submit(job(2), spec));
    scheduler.step(at(9_000), announce(node(0), 1));
    assert_eq!(scheduler.next_deadline(), Some(at(19_000)), "its lease's");
}

#[test]
fn a_worker_that_fails_what_others_do_is_passed_over_for_a_while() {
    let mut scheduler = Scheduler::new(config());
    let mut now = 0;
    for n in 0..3 {
        scheduler.step(at(now), announce(node(0), 1));
        let bad = granted(&scheduler.step(at(now), submit(job(n), spec())));
        assert_eq!(bad[0].0, node(0));
        scheduler.step(at(now), finish(&bad[0], broke()));
        scheduler.step(at(now), announce(node(1), 1));
        now += 1_000;
        let good = granted(&scheduler.step(at(now), Command::Tick));
        assert_eq!(good[0].0, node(1), "the other one is preferred");
        scheduler.step(at(now), finish(&good[0], exited(0)));
        scheduler.step(at(now), Command::WorkerGone { worker: node(1) });
    }
    // It has a free slot, is the only one, and is not asked.
    let step = scheduler.step(at(now), submit(job(9), spec()));
    assert!(granted(&step).is_empty());
    let reinstated = scheduler.next_deadline().unwrap();
    assert_eq!(reinstated, at(now).plus(Duration::from_secs(30)));
    let step = scheduler.step(reinstated, Command::Tick);
    assert_eq!(granted(&step)[0].0, node(0), "another chance");
}

#[test]
fn nobody_is_passed_over_for_jobs_that_fail_everywhere() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let mut now = 0;
    for n in 0..10 {
        let spec = JobSpec {
            retries: 0,
            ..spec()
        };
        let grant = granted(&scheduler.step(at(now), submit(job(n), spec)));
        scheduler.step(at(now), finish(&grant[0], broke()));
        now += 1;
    }
    let step = scheduler.step(at(now), submit(job(99), spec()));
    assert_eq!(granted(&step).len(), 1);
}

#[test]
fn a_worker_may_not_keep_a_job_for_ever_that_it_neither_runs_nor_ends() {
    let beat = |grant: &(NodeId, JobId, FencingToken), running: bool| Command::Heartbeat {
        worker: grant.0.clone(),
        job: grant.1,
        token: grant.2,
        running: running.then_some(Duration::ZERO),
    };
    let minutes = |n: u64| n * 60_000;
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let spec = JobSpec {
        timeout_ms: Some(minutes(5)),
        ..spec()
    };
    let mut grant = granted(&scheduler.step(at(0), submit(job(1), spec))).remove(0);
    let mut now = 0;
    let mut claim = |scheduler: &mut Scheduler, grant: &_, running, from: u64| {
        for beats in 1..1_000 {
            now = from + beats * 5_000;
            if scheduler.step(at(now), beat(grant, running)).answer == Answer::Stale {
                break;
            }
        }
        now
    };
    let taken = claim(&mut scheduler, &grant, false, 0);
    assert_eq!(taken, minutes(30) + 5_000);
    let step = scheduler.step(at(taken + 60_000), announce(node(1), 1));
    grant = granted(&step).remove(0);
    assert_eq!(grant.0, node(1));
    let begun = taken + 60_000;
    let taken = claim(&mut scheduler, &grant, true, begun);
    assert_eq!(taken, begun + 5_000 + minutes(6) + 5_000);
    assert_eq!(scheduler.stats().overdue, 2);
}
