//! Which of the free workers gets a job.

mod policies;

pub(crate) use policies::of;

use crate::{command::WorkerOffer, queue::QueuePlace};
use mc_types::{Clause, JobSpec, Lent, NodeId, Resources};
use std::{borrow::Cow, collections::BTreeSet, fmt::Debug};

/// A policy of placement. A new one is a type that implements this, a name in [`Policy`](mc_types::Policy), and a line
/// in [`of`].
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

/// A worker as clauses see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'w> {
    pub(crate) id: &'w NodeId,
    pub(crate) offer: &'w WorkerOffer,
    /// What it lends, and how much of it is free as far as this scheduler knows.
    pub(crate) lent: Lent,
    /// Whether it announced itself recently.
    pub(crate) is_heard: bool,
    /// Whether it is passed over for a while, since it failed what others could do.
    pub(crate) is_passed_over: bool,
}

impl Seen<'_> {
    /// Whether the worker meets a clause.
    pub(crate) fn has(&self, clause: &Clause<'_>) -> bool {
        self.lent
            .has(clause)
            .unwrap_or_else(|| self.has_besides(clause))
    }

    /// The same for clauses that are not about amounts.
    fn has_besides(&self, clause: &Clause<'_>) -> bool {
        match clause {
            Clause::Lends => self.offer.slots_total > 0,
            Clause::Target { node } => **node == *self.id,
            Clause::Label { name, value } => {
                let label = self.offer.labels.get(&**name);
                label.is_some_and(|label| *label == **value)
            }
            Clause::Heard => self.is_heard,
            Clause::Trusted => !self.is_passed_over,
            Clause::FreeSlot => self.offer.slots_free > 0,
            // Amounts were compared with what the worker lends before. Unknown clauses come only from other
            // coordinators, which have checked them themselves.
            Clause::Memory { .. }
            | Clause::Scratch { .. }
            | Clause::Output { .. }
            | Clause::AttemptTime { .. }
            | Clause::FreeMemory { .. }
            | Clause::Unknown => false,
        }
    }
}

/// What a job asks of a worker, lasting conditions first. Both the choice of a worker and the explanation of waiting
/// follow from this list.
pub(crate) fn clauses<'j>(
    job: &'j JobSpec,
    target: Option<&'j NodeId>,
) -> impl Iterator<Item = Clause<'j>> {
    let target = target.map(|node| Clause::Target {
        node: Cow::Borrowed(node),
    });
    let labels = job.require.iter().map(|(name, value)| Clause::Label {
        name: Cow::Borrowed(name),
        value: Cow::Borrowed(value),
    });
    let lasting = [Clause::Lends].into_iter().chain(target);
    let lasting = lasting.chain(Lent::bounds(job)).chain(labels);
    let passing = [Clause::Heard, Clause::Trusted, Clause::FreeSlot];
    lasting.chain(passing).chain([Lent::free_memory(job)])
}

/// What a worker keeps for a job for as long as it holds it.
pub(crate) const fn reserved(job: &JobSpec) -> Resources {
    job.task.resources().reserved()
}

/// Where a job waits: for the node that it names, or for any.
pub(crate) fn place(spec: &JobSpec) -> QueuePlace {
    QueuePlace::of(spec, target(spec))
}

/// The only node that may run a job, if the job names one. A text that is no id of a node was refused at submission.
pub(crate) fn target(spec: &JobSpec) -> Option<NodeId> {
    spec.target().unwrap_or_default()
}
