//! Which of the free workers gets a job.

use crate::{command::WorkerView, queue::Place};
use mc_types::{JobSpec, NodeId};
use std::fmt::Debug;

/// A policy of placement.
pub(crate) trait Placement: Debug + Send {
    /// The worker for a job, among `free` ones in the order of their turn; `None` leaves it waiting.
    /// `avoid` failed it just now, and gets it only when nobody else is free.
    fn choose<'w>(
        &self,
        job: &JobSpec,
        free: &'w [WorkerView],
        avoid: Option<&NodeId>,
    ) -> Option<&'w WorkerView>;
}

/// Workers take turns; one that lends more than it has memory for is passed over.
#[derive(Debug)]
pub(crate) struct InTurn;

impl Placement for InTurn {
    fn choose<'w>(
        &self,
        job: &JobSpec,
        free: &'w [WorkerView],
        avoid: Option<&NodeId>,
    ) -> Option<&'w WorkerView> {
        let fits = |worker: &&WorkerView| {
            worker.offer.slots_free > 0 && job.task.limits.memory_bytes <= worker.offer.memory_bytes
        };
        let mut fitting = free.iter().filter(fits);
        let preferred = fitting.clone().find(|worker| avoid != Some(&worker.id));
        preferred.or_else(|| fitting.next())
    }
}

/// The label that names the node of a job.
pub(crate) const TARGET: &str = "target_node";

/// Where a job waits: for the node that it asks for by its label `target_node`, or for any.
pub(crate) fn place(spec: &JobSpec) -> Place {
    let target = spec.labels.get(TARGET).and_then(|text| text.parse().ok());
    Place::of(spec, target)
}
