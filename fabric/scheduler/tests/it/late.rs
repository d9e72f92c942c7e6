//! A scheduler that does not run holds that against nobody, and one that learns that a process has ended does not
//! wait for its leases.

use crate::support::{TTL, announce, at, config, exited, job, node, offer, record, spec, submit};
use mc_scheduler::{Answer, Command, Effect, Scheduler};
use mc_types::{FencingToken, JobState};
use std::{collections::BTreeSet, time::Duration};

/// A scheduler with a worker that runs a job, and another one with nothing to do.
fn running() -> (Scheduler, FencingToken) {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let step = scheduler.step(at(0), submit(job(1), spec()));
    scheduler.step(at(0), announce(node(1), 1));
    (scheduler, offer(&step).unwrap().1.token)
}

#[test]
fn no_lease_expires_for_the_schedulers_own_lateness() {
    let (mut scheduler, token) = running();
    let late = Duration::from_secs(30);
    scheduler.was_late(late);
    assert_eq!(scheduler.next_deadline(), Some(at(0).plus(late + TTL)));
    let beat = |at| Command::Heartbeat {
        worker: node(0),
        job: job(1),
        token,
        running: Some(at),
    };
    // The renewal that was waiting all the time, in the very first step afterwards.
    let renewed = scheduler.step(at(30_000), beat(Duration::ZERO));
    assert_eq!(renewed.answer, Answer::Renewed { ttl: TTL });
    assert_eq!(scheduler.stats().expired, 0);
    // What follows is not late any more: the term is what it was.
    scheduler.step(at(40_000), Command::Tick);
    assert_eq!(scheduler.stats().expired, 1);
    assert_eq!(scheduler.stats().late_ms, 30_000);
}

#[test]
fn jobs_of_a_process_that_has_ended_are_granted_again_at_once() {
    let (mut scheduler, token) = running();
    let gone = scheduler.step(at(1), Command::WorkerGone { worker: node(0) });
    let probe = Effect::Probe {
        worker: node(0),
        newest: token,
    };
    assert_eq!(gone.effects, [probe]);
    let ended = |newest| Command::WorkerEnded {
        worker: node(0),
        newest,
        but: BTreeSet::new(),
    };
    scheduler.step(at(50), ended(token));
    let again = scheduler.step(at(200), Command::Tick);
    let (worker, lease) = offer(&again).unwrap();
    assert_eq!((worker, lease.attempt), (node(1), 2));
    assert_eq!(scheduler.stats().ended, 1);
    let late = Command::Finish {
        worker: node(0),
        job: job(1),
        token,
        ending: exited(0),
    };
    assert_eq!(scheduler.step(at(300), late).answer, Answer::Stale);
}

#[test]
fn what_a_process_was_granted_that_came_after_one_that_ended_is_its_own() {
    let (mut scheduler, token) = running();
    scheduler.step(at(1), Command::WorkerGone { worker: node(0) });
    // It is started again, and is given something before the end of the other is known.
    scheduler.step(at(2), announce(node(1), 0));
    scheduler.step(at(2), announce(node(0), 2));
    let step = scheduler.step(at(2), submit(job(2), spec()));
    assert_eq!(offer(&step).unwrap().0, node(0));
    let ended = Command::WorkerEnded {
        worker: node(0),
        newest: token,
        but: BTreeSet::new(),
    };
    scheduler.step(at(3), ended);
    assert_eq!(scheduler.stats().ended, 1, "not the second");
    let probed = scheduler.step(at(4), Command::WorkerGone { worker: node(1) });
    assert!(probed.effects.is_empty(), "it holds nothing");
}

#[test]
fn a_grant_that_was_never_written_is_no_lease_of_a_process_that_has_ended() {
    let mut before = Scheduler::new(config());
    let submitted = before.step(at(0), submit(job(1), spec()));
    let granted = before.step(at(0), announce(node(0), 1));
    let token = offer(&granted).unwrap().1.token;
    // The ledger failed: what it has is that the job waits.
    let written = vec![record(&submitted)];
    let none = FencingToken::default();
    let (mut scheduler, _) = Scheduler::restore(config(), written, none, at(1));
    scheduler.take_workers_of(&mut before);
    let gone = scheduler.step(at(2), Command::WorkerGone { worker: node(0) });
    assert!(gone.effects.is_empty(), "it holds nothing: {gone:?}");
    let ended = Command::WorkerEnded {
        worker: node(0),
        newest: token,
        but: BTreeSet::new(),
    };
    scheduler.step(at(3), ended);
    assert_eq!(scheduler.stats().ended, 0);
}

#[test]
fn what_is_left_of_a_process_that_has_ended_is_not_granted_again() {
    let (mut scheduler, token) = running();
    let ended = Command::WorkerEnded {
        worker: node(0),
        newest: token,
        but: BTreeSet::from([(job(1), token)]),
    };
    scheduler.step(at(1), ended);
    assert_eq!(scheduler.stats().ended, 0);
    let finish = Command::Finish {
        worker: node(0),
        job: job(1),
        token,
        ending: exited(0),
    };
    let finished = scheduler.step(at(2), finish);
    assert_eq!(record(&finished).state, JobState::Succeeded);
    // An ending of an earlier attempt spares none.
    let (mut scheduler, token) = running();
    let ended = Command::WorkerEnded {
        worker: node(0),
        newest: token,
        but: BTreeSet::from([(job(1), FencingToken(token.0 - 1))]),
    };
    scheduler.step(at(1), ended);
    assert_eq!(scheduler.stats().ended, 1);
}
