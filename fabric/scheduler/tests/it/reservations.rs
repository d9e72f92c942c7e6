//! What is kept on a worker for the jobs that it holds.

use crate::support::{announce, at, config, exited, job, lent, node, offer, record, spec, submit};
use mc_scheduler::{Command, Scheduler, Step};
use mc_types::{Clause, FencingToken, JobId, JobSpec};

const GIBIBYTE: u64 = 1 << 30;

/// A worker with four slots and ten gibibytes, of which `free` are, and which runs these jobs.
fn lending(free: u64, running: &[JobId]) -> Command {
    let mut command = announce(node(0), 4);
    if let Command::Announce {
        offer,
        running: said,
        ..
    } = &mut command
    {
        offer.lent = lent(10 * GIBIBYTE);
        offer.lent.free.memory_bytes = free * GIBIBYTE;
        *said = running.to_vec();
    }
    command
}

fn needing(gibibytes: u64) -> JobSpec {
    let mut spec = spec();
    spec.task.limits.memory_bytes = gibibytes * GIBIBYTE;
    spec
}

fn end(id: JobId, token: FencingToken) -> Command {
    Command::Finish {
        worker: node(0),
        job: id,
        token,
        ending: exited(0),
    }
}

/// A scheduler whose worker holds a job of six gibibytes out of ten, with the token.
fn holding() -> (Scheduler, FencingToken, Step) {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), lending(10, &[]));
    let step = scheduler.step(at(0), submit(job(1), needing(6)));
    let token = offer(&step).unwrap().1.token;
    (scheduler, token, step)
}

#[test]
fn two_jobs_of_more_than_half_of_a_machine_run_there_one_after_the_other() {
    let (mut scheduler, token, _) = holding();
    let waits = scheduler.step(at(0), submit(job(2), needing(6)));
    assert_eq!(offer(&waits), None);
    let why = scheduler.why(at(0), &[job(2)]).pop().unwrap();
    assert_eq!((why.able, why.ready), (1, 0));
    assert_eq!(why.lacks.len(), 1, "{why:?}");
    let bytes = 6 * GIBIBYTE;
    assert_eq!(why.lacks[0].clause, Clause::FreeMemory { bytes, files: 0 });
    assert_eq!(
        why.line().unwrap(),
        "1 node can run it: 1 lacks 6 GiB of free memory"
    );
    // What has room beside it does not wait.
    let small = scheduler.step(at(1), submit(job(3), needing(4)));
    assert!(offer(&small).is_some());
    let ended = scheduler.step(at(2), end(job(1), token));
    assert_eq!(offer(&ended).unwrap().1.job, job(2));
}

#[test]
fn what_is_reserved_is_so_until_the_end_is_heard_whatever_the_worker_says() {
    let (mut scheduler, token, _) = holding();
    scheduler.step(at(0), submit(job(2), needing(6)));
    // From before it had the job, and long under way.
    let late = scheduler.step(at(5_000), lending(10, &[]));
    assert_eq!(offer(&late), None);
    let known = scheduler.step(at(6_000), lending(4, &[job(1)]));
    assert_eq!(offer(&known), None);
    let ended = scheduler.step(at(7_000), end(job(1), token));
    assert_eq!(offer(&ended).unwrap().1.job, job(2));
}

#[test]
fn what_others_have_taken_is_not_given_out() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), lending(5, &[]));
    assert_eq!(
        offer(&scheduler.step(at(0), submit(job(1), needing(6)))),
        None
    );
    let free = scheduler.step(at(1), lending(6, &[]));
    assert_eq!(offer(&free).unwrap().1.job, job(1));
    // It never has more than it lends.
    let beyond = scheduler.step(at(1), submit(job(2), needing(7)));
    assert_eq!(offer(&beyond), None);
    assert_eq!(
        offer(&scheduler.step(at(9_000), lending(1_000, &[job(1)]))),
        None
    );
}

#[test]
fn after_a_restart_leases_reserve_what_they_did() {
    let (_, token, step) = holding();
    let (mut scheduler, _) = Scheduler::restore(config(), vec![record(&step)], token, at(60_000));
    scheduler.step(at(60_000), lending(10, &[]));
    let waits = scheduler.step(at(60_000), submit(job(2), needing(6)));
    assert_eq!(offer(&waits), None);
    let ended = scheduler.step(at(70_000), end(job(1), token));
    assert_eq!(offer(&ended).unwrap().1.job, job(2));
}

#[test]
fn jobs_that_no_worker_can_take_hold_nobody_up() {
    let (mut scheduler, token, _) = holding();
    for n in 2..1_000 {
        let step = scheduler.step(at(1), submit(job(n), needing(6)));
        assert_eq!(offer(&step), None);
    }
    let small = scheduler.step(at(2), submit(job(1_000), needing(1)));
    assert_eq!(offer(&small).unwrap().1.job, job(1_000));
    let ended = scheduler.step(at(3), end(job(1), token));
    assert_eq!(offer(&ended).unwrap().1.job, job(2), "in their order");
}

#[test]
fn a_worker_is_full_however_many_kinds_of_jobs_wait() {
    let (mut scheduler, token, _) = holding();
    for n in 2..60 {
        let mut spec = needing(5);
        spec.task.limits.memory_bytes += u64::try_from(n).unwrap();
        assert_eq!(offer(&scheduler.step(at(1), submit(job(n), spec))), None);
    }
    let fits = scheduler.step(at(1), submit(job(60), needing(4)));
    assert_eq!(offer(&fits).unwrap().1.job, job(60));
    let ended = scheduler.step(at(2), end(job(1), token));
    assert_eq!(offer(&ended).unwrap().1.job, job(2));
}
