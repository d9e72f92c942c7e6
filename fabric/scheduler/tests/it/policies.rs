//! Which of several workers gets a job.

use crate::support::{announce, at, config, job, lent, node, spec, submit};
use mc_scheduler::{Command, Config, Effect, Scheduler, Step, Topology, WorkerOffer};
use mc_types::{JobSpec, NodeId, Policy, cid};

/// The workers that were offered something, in order.
fn offered(step: &Step) -> Vec<NodeId> {
    let worker = |effect: &Effect| match effect {
        Effect::Offer { worker, .. } => Some(worker.clone()),
        _ => None,
    };
    step.effects.iter().filter_map(worker).collect()
}

fn only(step: &Step) -> NodeId {
    let offered = offered(step);
    assert_eq!(offered.len(), 1, "{offered:?}");
    offered.into_iter().next().unwrap()
}

fn scheduler(policy: Policy) -> Scheduler {
    Scheduler::new(Config { policy, ..config() })
}

fn with(worker: u32, slots: u32, change: impl FnOnce(&mut WorkerOffer)) -> Command {
    let mut command = announce(node(worker), slots);
    if let Command::Announce { offer, .. } = &mut command {
        change(offer);
    }
    command
}

#[test]
fn whoever_waits_for_longest_answers_first() {
    let mut scheduler = scheduler(Policy::FirstAnswer);
    for worker in [3, 1, 2] {
        scheduler.step(at(0), announce(node(worker), 2));
    }
    let chosen: Vec<_> = (0..6)
        .map(|n| only(&scheduler.step(at(n), submit(job(n.into()), spec()))))
        .collect();
    assert_eq!(chosen, [3, 1, 2, 3, 1, 2].map(node));
}

#[test]
fn random_choices_are_spread_and_the_same_again() {
    let choose = || {
        let mut scheduler = scheduler(Policy::Random);
        for worker in 0..4 {
            scheduler.step(at(0), announce(node(worker), 100));
        }
        let one = |n: u128| {
            let mut spec = spec();
            spec.task.args = vec![n.to_string()];
            only(&scheduler.step(at(1), submit(job(n), spec)))
        };
        (0..100).map(one).collect::<Vec<_>>()
    };
    let chosen = choose();
    assert_eq!(chosen, choose());
    for worker in 0..4 {
        let count = chosen.iter().filter(|id| **id == node(worker)).count();
        assert!((10..45).contains(&count), "{count} for worker {worker}");
    }
}

#[test]
fn best_fit_leaves_the_large_ones_for_those_who_need_them() {
    let mut scheduler = scheduler(Policy::BestFit);
    scheduler.step(at(0), with(1, 1, |offer| offer.lent = lent(64 << 30)));
    scheduler.step(at(0), with(2, 1, |offer| offer.lent = lent(8 << 30)));
    scheduler.step(at(0), with(3, 1, |offer| offer.lent = lent(1 << 30)));
    let mut medium = spec();
    medium.task.limits.memory_bytes = 2 << 30;
    assert_eq!(
        only(&scheduler.step(at(1), submit(job(1), medium))),
        node(2)
    );
    assert_eq!(
        only(&scheduler.step(at(1), submit(job(2), spec()))),
        node(3)
    );
    assert_eq!(
        only(&scheduler.step(at(1), submit(job(3), spec()))),
        node(1)
    );
}

#[test]
fn local_first_goes_from_this_node_to_children_to_peers_to_others() {
    let topology = Topology {
        local: Some(node(4)),
        children: [node(3)].into(),
        peers: [node(2)].into(),
    };
    let mut scheduler = Scheduler::new(Config {
        policy: Policy::LocalFirst,
        topology,
        ..config()
    });
    for worker in 1..=4 {
        scheduler.step(at(0), announce(node(worker), 1));
    }
    let chosen: Vec<_> = (0..4)
        .map(|n| only(&scheduler.step(at(1), submit(job(n), spec()))))
        .collect();
    assert_eq!(chosen, [4, 3, 2, 1].map(node));
}

#[test]
fn data_locality_prefers_who_had_the_inputs_and_a_job_can_ask_for_it() {
    let mut scheduler = scheduler(Policy::FirstAnswer);
    for worker in 1..=3 {
        scheduler.step(at(0), announce(node(worker), 5));
    }
    let with_input = |name: &[u8]| -> JobSpec {
        let mut spec = spec();
        spec.task
            .inputs
            .insert("data".to_owned(), cid::of(cid::RAW, name));
        spec.policy = Some(Policy::DataLocality);
        spec
    };
    let first = only(&scheduler.step(at(1), submit(job(1), with_input(b"x"))));
    let other = only(&scheduler.step(at(1), submit(job(2), spec())));
    assert_ne!(first, other, "by turns");
    for n in 3..6 {
        let again = scheduler.step(at(1), submit(job(n), with_input(b"x")));
        assert_eq!(only(&again), first);
    }
}

#[test]
fn required_labels_are_required() {
    let mut scheduler = scheduler(Policy::FirstAnswer);
    scheduler.step(at(0), announce(node(1), 1));
    let mut picky = spec();
    picky.require.insert("room".to_owned(), "cellar".to_owned());
    let step = scheduler.step(at(1), submit(job(1), picky));
    assert_eq!(offered(&step), []);
    let label = |offer: &mut WorkerOffer| {
        offer.labels.insert("room".to_owned(), "cellar".to_owned());
    };
    assert_eq!(only(&scheduler.step(at(2), with(2, 1, label))), node(2));
}
