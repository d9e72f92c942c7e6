//! Jobs that are moved: a wish for one attempt.

use crate::support::{
    TTL, announce, at, config, exited, job, lent, node, offer, record, spec, submit,
};
use mc_scheduler::{Answer, Command, Scheduler, Step};
use mc_types::{FencingToken, JobSpec, JobState};

/// A scheduler with workers 0 and 1, of which 0 runs the only job.
fn running(spec: JobSpec) -> (Scheduler, FencingToken) {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let step = scheduler.step(at(0), submit(job(1), spec));
    let token = offer(&step).unwrap().1.token;
    scheduler.step(at(0), announce(node(1), 1));
    (scheduler, token)
}

fn migrate(scheduler: &mut Scheduler, to: u32) -> Answer {
    let to = Command::Migrate {
        job: job(1),
        node: node(to),
    };
    scheduler.step(at(1), to).answer
}

fn release(scheduler: &mut Scheduler, token: FencingToken) -> Step {
    let release = Command::Release {
        worker: node(0),
        job: job(1),
        token,
        reason: "it goes on elsewhere".to_owned(),
    };
    scheduler.step(at(2), release)
}

#[test]
fn a_moved_job_goes_on_elsewhere_when_its_new_node_dies() {
    let (mut scheduler, token) = running(spec());
    let leave = Answer::Leave {
        node: node(0),
        token,
    };
    assert_eq!(migrate(&mut scheduler, 1), leave);
    let moved = release(&mut scheduler, token);
    assert_eq!(offer(&moved).unwrap().0, node(1));
    let labels = &record(&moved).spec.labels;
    assert!(labels.is_empty(), "the job is bound to no node: {labels:?}");
    scheduler.step(at(3), announce(node(0), 1));
    scheduler.step(at(4), Command::WorkerGone { worker: node(1) });
    let expired = u64::try_from(TTL.as_millis()).unwrap() + 10;
    scheduler.step(at(expired), Command::Tick);
    let again = scheduler.step(at(expired + 200), Command::Tick);
    assert_eq!(offer(&again).unwrap().0, node(0));
}

#[test]
fn who_moves_a_job_twice_is_told_that_it_moves() {
    let (mut scheduler, token) = running(spec());
    scheduler.step(at(0), announce(node(2), 1));
    migrate(&mut scheduler, 1);
    for to in [1, 2] {
        let moving = Answer::Moving { to: node(1) };
        assert_eq!(migrate(&mut scheduler, to), moving);
    }
    // Its node cannot let go of it: then it may be asked for something else.
    scheduler.step(at(1), Command::Stay { job: job(1) });
    assert!(matches!(migrate(&mut scheduler, 2), Answer::Leave { .. }));
    assert_eq!(offer(&release(&mut scheduler, token)).unwrap().0, node(2));
    assert_eq!(migrate(&mut scheduler, 2), Answer::Done, "it is there");
}

#[test]
fn a_job_waits_for_two_terms_for_the_node_that_it_is_to_move_to() {
    let (mut scheduler, token) = running(spec());
    migrate(&mut scheduler, 1);
    // Somebody else takes the slot meanwhile.
    scheduler.step(at(1), submit(job(2), spec()));
    assert_eq!(offer(&release(&mut scheduler, token)), None);
    scheduler.step(at(2), announce(node(0), 1));
    let patience = u64::try_from(TTL.as_millis() * 2).unwrap();
    assert_eq!(offer(&scheduler.step(at(patience), Command::Tick)), None);
    assert!(scheduler.next_deadline() <= Some(at(patience + 2)));
    let step = scheduler.step(at(patience + 2), Command::Tick);
    assert_eq!(offer(&step).unwrap().0, node(0));
}

#[test]
fn a_node_that_refuses_for_want_of_a_slot_is_still_the_one_to_move_to() {
    let (mut scheduler, token) = running(spec());
    scheduler.step(at(0), announce(node(2), 1));
    migrate(&mut scheduler, 1);
    let refuse = |scheduler: &mut Scheduler, step: &Step, now| {
        let (worker, lease) = offer(step).unwrap();
        assert_eq!(worker, node(1));
        let refused = Command::OfferFailed {
            job: job(1),
            token: lease.token,
            reason: "no slot is free".to_owned(),
            refused: true,
        };
        scheduler.step(now, refused)
    };
    let mut step = release(&mut scheduler, token);
    for now in 3..6 {
        let refused = refuse(&mut scheduler, &step, at(now));
        assert_eq!(offer(&refused), None, "node 2 is free, but not meant");
        let moving = Answer::Moving { to: node(1) };
        assert_eq!(migrate(&mut scheduler, 2), moving);
        step = scheduler.step(at(now), announce(node(1), 1));
    }
    // Refusing does not make the time any longer.
    refuse(&mut scheduler, &step, at(6));
    let patience = u64::try_from(TTL.as_millis() * 2).unwrap();
    let step = scheduler.step(at(patience + 2), Command::Tick);
    assert_eq!(offer(&step).unwrap().0, node(2));
}

#[test]
fn a_job_does_not_wait_for_a_node_that_goes_away() {
    let (mut scheduler, token) = running(spec());
    migrate(&mut scheduler, 1);
    scheduler.step(at(1), submit(job(2), spec()));
    release(&mut scheduler, token);
    scheduler.step(at(2), announce(node(0), 1));
    let step = scheduler.step(at(3), Command::WorkerGone { worker: node(1) });
    assert_eq!(offer(&step).unwrap().0, node(0));
}

#[test]
fn jobs_are_not_moved_to_nodes_that_cannot_run_them() {
    let mut large = spec();
    large.task.limits.memory_bytes = 4 << 30;
    let (mut scheduler, _) = running(large);
    let mut small = announce(node(2), 1);
    if let Command::Announce { offer, .. } = &mut small {
        offer.lent = lent(2 << 30);
    }
    scheduler.step(at(0), small);
    for (to, word) in [(2, "4 GiB of memory"), (3, "connected")] {
        let Answer::Unfit { reason } = migrate(&mut scheduler, to) else {
            panic!("moved to {to}");
        };
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn a_job_that_names_its_node_is_moved_for_one_attempt_too() {
    let mut bound = spec();
    bound
        .labels
        .insert("target_node".to_owned(), node(0).to_string());
    let (mut scheduler, token) = running(bound);
    migrate(&mut scheduler, 1);
    let moved = release(&mut scheduler, token);
    let (worker, lease) = offer(&moved).unwrap();
    assert_eq!(worker, node(1));
    scheduler.step(at(3), announce(node(0), 1));
    let back = Command::Release {
        worker,
        job: job(1),
        token: lease.token,
        reason: "it stops".to_owned(),
    };
    assert_eq!(offer(&scheduler.step(at(4), back)).unwrap().0, node(0));
}

#[test]
fn a_job_that_waits_or_ends_while_it_is_to_move_leaves_nothing_behind() {
    let (mut scheduler, token) = running(spec());
    migrate(&mut scheduler, 1);
    let finish = Command::Finish {
        worker: node(0),
        job: job(1),
        token,
        ending: exited(0),
    };
    let ended = scheduler.step(at(2), finish);
    assert_eq!(record(&ended).state, JobState::Succeeded);
    assert_eq!(scheduler.next_deadline(), None);
    assert_eq!(migrate(&mut scheduler, 1), Answer::NotOpen);
}
