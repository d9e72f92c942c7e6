//! What is said of jobs that wait.

use crate::support::{announce, at, config, job, lent, node, offer, spec, submit};
use mc_scheduler::{Answer, Command, Scheduler};
use mc_types::{Change, Clause, JobSpec, JobState, Turn, Why};
use std::time::Duration;

fn lending(worker: u32, gibibytes: u64, room: &str) -> Command {
    let mut command = announce(node(worker), 1);
    if let Command::Announce { offer, .. } = &mut command {
        offer.lent = lent((gibibytes << 30) + 12_345);
        offer.labels.insert("room".to_owned(), room.to_owned());
    }
    command
}

fn needing(gibibytes: u64, room: &str) -> JobSpec {
    let mut spec = spec();
    spec.task.limits.memory_bytes = gibibytes << 30;
    spec.require.insert("room".to_owned(), room.to_owned());
    spec
}

fn why(scheduler: &Scheduler, millis: u64) -> Why {
    scheduler.why(at(millis), &[job(1)]).pop().unwrap()
}

/// How many nodes lack each thing, how many nothing else, and how many of them are able.
fn lacks(why: &Why) -> Vec<(String, u32, u32, u32)> {
    let lacks = why.lacks.iter();
    lacks
        .map(|lack| (lack.clause.to_string(), lack.nodes, lack.alone, lack.able))
        .collect()
}

#[test]
fn each_clause_says_how_many_nodes_it_turns_away_and_what_comes_near() {
    let mut scheduler = Scheduler::new(config());
    for (worker, gibibytes, room) in [(0, 6, "cellar"), (1, 7, "cellar"), (2, 2, "attic")] {
        scheduler.step(at(0), lending(worker, gibibytes, room));
    }
    let answer = scheduler.step(at(0), submit(job(1), needing(900, "cellar")));
    assert_eq!(answer.answer, Answer::Unplaceable);
    let waits = why(&scheduler, 0);
    assert_eq!((waits.nodes, waits.able, waits.ready), (3, 0, 0));
    let memory = ("900 GiB of memory".to_owned(), 3, 2, 0);
    let label = ("the label room=cellar".to_owned(), 1, 0, 0);
    assert_eq!(lacks(&waits), [memory, label]);
    let nearest = waits.nearest.clone().unwrap();
    assert_eq!(nearest.nodes, 1);
    assert_eq!(nearest.changes, [Change::Memory { bytes: 7 << 30 }]);
    // Nodes that differ by less than anybody would ask for are counted together.
    scheduler.step(at(0), lending(0, 7, "cellar"));
    assert_eq!(why(&scheduler, 0).nearest.unwrap().nodes, 2);
    let line = waits.line().unwrap();
    assert!(line.contains("3 lack 900 GiB of memory"), "{line}");
    assert!(line.contains("memory ≤ 7 GiB"), "{line}");
}

/// Once, only the memory was named, for which the job had not asked.
#[test]
fn memory_that_is_for_files_is_called_so() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), lending(0, 2, "cellar"));
    let mut many = needing(1, "cellar");
    many.task.limits.scratch_files = 3_000_000;
    scheduler.step(at(0), submit(job(1), many.clone()));
    let said = why(&scheduler, 0);
    assert_eq!(
        said.line().unwrap(),
        "none of 1 known node can run it: 1 lacks 2.3 GiB of memory (1.3 GiB of it for 3000000 files); \
         1 node could with files ≤ 2197000"
    );
    many.task.limits.scratch_files = 2_197_000;
    let answer = scheduler.step(at(0), submit(job(2), many.clone())).answer;
    assert_ne!(answer, Answer::Unplaceable);
    // Without files it would still be too much.
    many.task.limits.scratch_files = 3_000_000;
    many.task.limits.memory_bytes = 3 << 30;
    scheduler.step(at(0), submit(job(3), many));
    let said = scheduler.why(at(0), &[job(3)]).pop().unwrap();
    let nearest = said.nearest.unwrap().to_string();
    assert_eq!(
        nearest,
        "1 node could with memory ≤ 2 GiB and with files ≤ 100000"
    );
}

#[test]
fn nodes_that_lack_a_label_are_shown_with_what_they_have_instead() {
    let mut scheduler = Scheduler::new(config());
    for (worker, room) in [(0, "attic"), (1, "attic"), (2, "hall")] {
        scheduler.step(at(0), lending(worker, 4, room));
    }
    scheduler.step(at(0), submit(job(1), needing(1, "cellar")));
    let nearest = why(&scheduler, 0).nearest.unwrap();
    assert_eq!(nearest.nodes, 3);
    let text = "3 nodes could without room=cellar (some have room=attic)";
    assert_eq!(nearest.to_string(), text);
}

#[test]
fn nodes_that_could_and_cannot_now_are_told_from_those_that_never_could() {
    let config = mc_scheduler::Config {
        worker_silence: Duration::from_secs(5),
        ..config()
    };
    let mut scheduler = Scheduler::new(config);
    scheduler.step(at(0), lending(3, 4, "cellar"));
    scheduler.step(at(9_000), lending(0, 4, "cellar"));
    scheduler.step(at(9_000), lending(1, 1, "cellar"));
    let mut busy = lending(2, 4, "cellar");
    if let Command::Announce { offer, .. } = &mut busy {
        offer.slots_free = 0;
    }
    scheduler.step(at(9_000), busy);
    let taken = scheduler.step(at(9_000), submit(job(2), needing(4, "cellar")));
    assert_eq!(offer(&taken).unwrap().0, node(0));
    let answer = scheduler.step(at(9_000), submit(job(1), needing(4, "cellar")));
    assert_eq!(answer.answer, Answer::Submitted);
    let waits = why(&scheduler, 9_000);
    assert_eq!((waits.nodes, waits.able, waits.ready), (4, 3, 0));
    assert_eq!(waits.nearest, None);
    let able = |clause| {
        waits
            .lacks
            .iter()
            .find(|lack| lack.clause == clause)
            .unwrap()
            .able
    };
    assert_eq!(able(Clause::FreeSlot), 2);
    assert_eq!(able(Clause::Heard), 1);
    assert_eq!(
        waits.line().unwrap(),
        "3 nodes can run it: 1 lacks a recent sign of life, 2 lack a free slot, \
         1 lacks 4 GiB of free memory"
    );
}

#[test]
fn who_goes_first_is_counted_by_the_reason() {
    let mut scheduler = Scheduler::new(config());
    let of = |submitter: &str, priority| JobSpec {
        submitter: submitter.to_owned(),
        priority,
        ..spec()
    };
    for (n, submitter, priority) in [
        (2, "a", 9),
        (3, "b", 5),
        (4, "b", 5),
        (5, "a", 5),
        (9, "c", 0),
    ] {
        scheduler.step(at(0), submit(job(n), of(submitter, priority)));
    }
    scheduler.step(at(0), submit(job(10), of("b", 5)));
    let all = [job(2), job(10), job(9)];
    let whys = scheduler.why(at(0), &all);
    assert_eq!(whys.len(), 3);
    let turn = |n: usize| whys[n].turn.clone().unwrap();
    assert_eq!(turn(0), Turn::default());
    let tenth = Turn {
        higher: 1,
        others: 1,
        own: 2,
        more: false,
        first: Some(job(2)),
    };
    assert_eq!(turn(1), tenth);
    assert_eq!((turn(2).higher, turn(2).ahead()), (5, 5));
    // One of whom nothing is known is left out.
    assert!(scheduler.why(at(0), &[job(77)]).is_empty());
}

#[test]
fn a_pause_after_a_failure_and_a_node_that_has_the_job_are_told() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), announce(node(0), 1));
    let step = scheduler.step(at(0), submit(job(1), spec()));
    let has = why(&scheduler, 0);
    assert_eq!(
        (has.state, has.node.clone()),
        (JobState::Assigned, Some(node(0)))
    );
    assert_eq!(has.line(), None);
    let (worker, lease) = offer(&step).unwrap();
    let finish = Command::Finish {
        worker,
        job: job(1),
        token: lease.token,
        ending: crate::support::broke(),
    };
    scheduler.step(at(0), finish);
    let waits = why(&scheduler, 0);
    assert!((75..=100).contains(&waits.pause_ms), "{}", waits.pause_ms);
    assert_eq!(waits.turn, None);
    assert!(waits.line().unwrap().contains("retried in 1 s"));
}

#[test]
fn a_job_for_a_known_node_that_cannot_run_it_is_refused_and_one_for_another_waits() {
    let mut scheduler = Scheduler::new(config());
    scheduler.step(at(0), lending(0, 2, "attic"));
    let bound = |to: u32, gibibytes: u64| {
        let mut spec = spec();
        spec.task.limits.memory_bytes = gibibytes << 30;
        let label = node(to).to_string();
        spec.labels.insert("target_node".to_owned(), label);
        spec
    };
    let refused = scheduler.step(at(0), submit(job(1), bound(0, 3)));
    let Answer::Unfit { reason } = refused.answer else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("3 GiB of memory"), "{reason}");
    assert!(refused.effects.is_empty());
    assert_eq!(scheduler.open_jobs(), 0);
    let waits = scheduler.step(at(0), submit(job(1), bound(7, 1)));
    assert_eq!(waits.answer, Answer::Unplaceable);
    let nearest = why(&scheduler, 0).nearest.unwrap();
    assert_eq!(nearest.changes, [Change::Target { node: node(7) }]);
    assert_eq!(nearest.nodes, 1);
}
