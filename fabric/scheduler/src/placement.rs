//! Which of the free workers gets a job.

mod policies;

use crate::{command::WorkerOffer, queue::Place};
use mc_types::{JobSpec, NodeId, Policy};
use std::{collections::BTreeSet, fmt::Debug};

/// A policy of placement. A new one is a type that implements this, a name in [`Policy`], and a line in [`of`].
pub trait Placement: Debug + Sync {
    /// The index of the worker that gets the job. All candidates fit, there is at least one, and they stand in
    /// the order in which they have been waiting.
    fn choose(&self, job: &JobSpec, candidates: &[Candidate<'_>]) -> usize;
}

/// A free worker that fits a job.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'w> {
    /// The worker.
    pub id: &'w NodeId,
    /// What it lends.
    pub offer: &'w WorkerOffer,
    /// How many of the job's component and inputs it was given before, and so may have at hand.
    pub at_hand: usize,
    /// How near it is.
    pub nearness: Nearness,
}

/// How near a node is to this one, nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// This node itself.
    Local,
    /// One of its children.
    Child,
    /// One of its peers.
    Peer,
    /// Any other, its parent among them.
    Other,
}

/// What is known of who is near. Empty when all are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    /// This node.
    pub local: Option<NodeId>,
    /// Nodes that are given work before others.
    pub children: BTreeSet<NodeId>,
    /// Nodes that are given work when children have no room.
    pub peers: BTreeSet<NodeId>,
}

impl Topology {
    pub(crate) fn nearness(&self, node: &NodeId) -> Nearness {
        if self.local.as_ref() == Some(node) {
            Nearness::Local
        } else if self.children.contains(node) {
            Nearness::Child
        } else if self.peers.contains(node) {
            Nearness::Peer
        } else {
            Nearness::Other
        }
    }
}

/// The policy of that name.
pub(crate) fn of(policy: Policy) -> &'static dyn Placement {
    match policy {
        Policy::FirstAnswer => &policies::FirstAnswer,
        Policy::Random => &policies::Random,
        Policy::BestFit => &policies::BestFit,
        Policy::LocalFirst => &policies::LocalFirst,
        Policy::DataLocality => &policies::DataLocality,
    }
}

/// Whether a worker may have a job at all.
pub(crate) fn fits(
    job: &JobSpec,
    target: Option<&NodeId>,
    id: &NodeId,
    offer: &WorkerOffer,
) -> bool {
    let labelled = |(name, value): (&String, &String)| offer.labels.get(name) == Some(value);
    target.is_none_or(|target| target == id)
        && offer.slots_free > 0
        && job.task.limits.memory_bytes <= offer.memory_bytes
        && job.require.iter().all(labelled)
}

/// The label that names the node of a job.
pub(crate) const TARGET: &str = "target_node";

/// Where a job waits: for the node that it asks for by its label `target_node`, or for any.
pub(crate) fn place(spec: &JobSpec) -> Place {
    let target = spec.labels.get(TARGET).and_then(|text| text.parse().ok());
    Place::of(spec, target)
}
