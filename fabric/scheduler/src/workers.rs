//! The workers, their free slots, and what is reserved there.

mod held;

use crate::{
    command::{WorkerOffer, WorkerView},
    placement::{self, Seen},
};
use held::{Held, Leases};
use mc_types::{Cid, JobId, JobSpec, Lent, NodeId, Resources, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

/// Jobs that a worker may fail before it is passed over.
const FAILURES: u32 = 3;
/// How long an offer may be on its way: a lease that is younger takes a slot even if its worker does not know of it
/// yet.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// How long it is passed over first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LAST_PAUSE: Duration = Duration::from_secs(600);
/// Components and inputs that are remembered of a worker.
const MAX_GIVEN: usize = 64;
/// How many workers are remembered for their failures, and how many for the jobs they were given.
const MAX_FAULTS: usize = 10_000;

/// What the workers lend at the moment.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    workers: BTreeMap<NodeId, Known>,
    /// Those with a free slot, in the order in which they have been waiting.
    free: BTreeMap<u64, NodeId>,
    /// The number of the next one that begins to wait.
    next: u64,
    faults: BTreeMap<NodeId, Fault>,
    /// The leases of each worker.
    held: HashMap<NodeId, Leases>,
    /// What each worker was given recently, oldest first.
    given: HashMap<NodeId, VecDeque<Cid>>,
}

/// A worker that said what it lends.
#[derive(Debug)]
struct Known {
    offer: WorkerOffer,
    /// Until when it counts as present without a further word.
    until: Timestamp,
    /// The leases that are taken off what it lends.
    counted: BTreeSet<JobId>,
    /// Its place among those that wait, if it has a free slot.
    waits: Option<u64>,
}

/// What a worker failed that others did not.
#[derive(Debug)]
struct Fault {
    /// Jobs since it last came to an outcome.
    failures: u32,
    /// Until when it is given none.
    until: Option<Timestamp>,
}

impl Workers {
    /// Records a worker's announcement: what is free, and which leases use resources. Leases that the worker does not
    /// know yet take a slot, too. Leases that it no longer knows take no slot, even before their end is reported; but
    /// their resources stay reserved until then (see [`Self::lent`]).
    pub(crate) fn announce(
        &mut self,
        now: Timestamp,
        worker: NodeId,
        (mut offer, running): (WorkerOffer, Vec<JobId>),
        until: Timestamp,
        max: usize,
    ) {
        if self.workers.len() >= max && !self.workers.contains_key(&worker) {
            return;
        }
        let held = self.held.get(&worker);
        let is_held = |job: &JobId| held.is_some_and(|held| held.contains(job));
        let mut counted: BTreeSet<_> = running.into_iter().filter(is_held).collect();
        offer.lent.free = offer.lent.free.min(offer.lent.total);
        for (job, held) in held.into_iter().flat_map(Leases::iter) {
            if now.since(held.granted) < ON_ITS_WAY && counted.insert(job) {
                offer.slots_free = offer.slots_free.saturating_sub(1);
                offer.lent.free = offer.lent.free.saturating_sub(held.reserved);
            }
        }
        let waits = self.workers.get(&worker).and_then(|known| known.waits);
        let is_free = offer.slots_free > 0;
        let known = Known {
            offer,
            until,
            counted,
            waits,
        };
        self.workers.insert(worker.clone(), known);
        self.set_free(&worker, is_free);
    }

    /// Takes note that a worker is there, and will be until then.
    pub(crate) fn heard(&mut self, worker: &NodeId, until: Timestamp) {
        if let Some(known) = self.workers.get_mut(worker) {
            known.until = known.until.max(until);
        }
    }

    pub(crate) fn is_heard(&self, worker: &NodeId, now: Timestamp) -> bool {
        self.workers
            .get(worker)
            .is_some_and(|known| known.until > now)
    }

    /// Takes note that a worker has fallen silent.
    pub(crate) fn silent(&mut self, worker: &NodeId, now: Timestamp) {
        if let Some(known) = self.workers.get_mut(worker) {
            known.until = known.until.min(now);
        }
    }

    /// Takes note that a worker failed a job that another one did not fail. After the third such job in a row the
    /// worker is passed over for a while, and after each further one for twice as long. It is remembered even when the
    /// worker goes away.
    pub(crate) fn failed(&mut self, now: Timestamp, worker: NodeId) {
        if self.faults.len() >= MAX_FAULTS && !self.faults.contains_key(&worker) {
            return;
        }
        let fault = self.faults.entry(worker).or_insert(Fault {
            failures: 0,
            until: None,
        });
        fault.failures += 1;
        if let Some(beyond) = fault.failures.checked_sub(FAILURES) {
            let pause = FIRST_PAUSE.saturating_mul(1 << beyond.min(16));
            fault.until = Some(now.plus(pause.min(LAST_PAUSE)));
        }
    }

    /// A worker came to an outcome.
    pub(crate) fn succeeded(&mut self, worker: &NodeId) {
        self.faults.remove(worker);
    }

    /// Gives another chance to the workers whose time has come.
    pub(crate) fn reinstate(&mut self, now: Timestamp) {
        for fault in self.faults.values_mut() {
            fault.until = fault.until.filter(|until| *until > now);
        }
    }

    /// When the next one gets another chance.
    pub(crate) fn next_reinstatement(&self) -> Option<Timestamp> {
        self.faults.values().filter_map(|fault| fault.until).min()
    }

    fn is_passed_over(&self, worker: &NodeId) -> bool {
        let fault = self.faults.get(worker);
        fault.is_some_and(|fault| fault.until.is_some())
    }

    /// The jobs that a worker holds.
    pub(crate) fn held_by(&self, worker: &NodeId) -> Vec<JobId> {
        let held = self.held.get(worker);
        held.into_iter().flat_map(Leases::jobs).collect()
    }

    pub(crate) fn forget(&mut self, worker: &NodeId) {
        self.set_free(worker, false);
        self.workers.remove(worker);
    }

    /// The same workers, with `known` as all the leases that there are.
    pub(crate) fn with_leases_of(self, known: &mut Self) -> Self {
        let held = std::mem::take(&mut known.held);
        Self { held, ..self }
    }

    /// Takes note of a lease.
    pub(crate) fn hold(&mut self, now: Timestamp, worker: &NodeId, job: JobId, spec: &JobSpec) {
        let held = Held {
            granted: now,
            reserved: placement::reserved(spec),
        };
        let leases = self.held.entry(worker.clone()).or_default();
        leases.insert(job, held);
    }

    /// Takes note of a lease, and counts a slot and what the job asks for as taken.
    pub(crate) fn take(&mut self, now: Timestamp, worker: &NodeId, job: JobId, spec: &JobSpec) {
        self.hold(now, worker, job, spec);
        self.note_given(worker, spec);
        if let Some(Known { offer, counted, .. }) = self.workers.get_mut(worker) {
            counted.insert(job);
            offer.slots_free = offer.slots_free.saturating_sub(1);
            offer.lent.free = offer.lent.free.saturating_sub(placement::reserved(spec));
            let any = offer.slots_free > 0;
            // If it has more free slots, it waits for the next job behind the others.
            self.set_free(worker, false);
            self.set_free(worker, any);
        }
    }

    fn note_given(&mut self, worker: &NodeId, spec: &JobSpec) {
        if self.given.len() >= MAX_FAULTS && !self.given.contains_key(worker) {
            return;
        }
        let given = self.given.entry(worker.clone()).or_default();
        for root in spec.task.roots() {
            if !given.contains(&root) {
                given.push_back(root);
            }
        }
        while given.len() > MAX_GIVEN {
            given.pop_front();
        }
    }

    /// How many of the things that a job needs the worker was given before.
    pub(crate) fn at_hand(&self, worker: &NodeId, spec: &JobSpec) -> usize {
        let given = self.given.get(worker);
        let has = |root: &Cid| given.is_some_and(|given| given.contains(root));
        spec.task.roots().filter(has).count()
    }

    /// A lease has ended: its resources are free again. So is its slot, unless the slot is known to be free already.
    pub(crate) fn give_back(&mut self, worker: &NodeId, job: JobId) {
        let mut reserved = Resources::default();
        if let Some(leases) = self.held.get_mut(worker) {
            reserved = leases
                .remove(&job)
                .map(|held| held.reserved)
                .unwrap_or_default();
            if leases.is_empty() {
                self.held.remove(worker);
            }
        }
        if let Some(Known { offer, counted, .. }) = self.workers.get_mut(worker)
            && counted.remove(&job)
        {
            offer.slots_free = (offer.slots_free + 1).min(offer.slots_total);
            let free = offer.lent.free.saturating_add(reserved);
            offer.lent.free = free.min(offer.lent.total);
            let any = offer.slots_free > 0;
            self.set_free(worker, any);
        }
    }

    /// The worker refused for want of a slot: believe it until it announces one.
    pub(crate) fn exhausted(&mut self, worker: &NodeId) {
        if let Some(Known { offer, .. }) = self.workers.get_mut(worker) {
            offer.slots_free = 0;
            self.set_free(worker, false);
        }
    }

    /// The workers with a free slot, in the order in which they have been waiting.
    pub(crate) fn free(&self, now: Timestamp) -> impl Iterator<Item = Seen<'_>> {
        let free = self.free.values();
        free.filter_map(move |id| self.seen(id, now))
    }

    /// All workers.
    pub(crate) fn all(&self, now: Timestamp) -> impl Iterator<Item = Seen<'_>> {
        let all = self.workers.iter();
        all.map(move |(id, known)| self.see(id, known, now))
    }

    /// A worker, if it is known.
    pub(crate) fn seen(&self, id: &NodeId, now: Timestamp) -> Option<Seen<'_>> {
        let (id, known) = self.workers.get_key_value(id)?;
        Some(self.see(id, known, now))
    }

    fn see<'w>(&self, id: &'w NodeId, known: &'w Known, now: Timestamp) -> Seen<'w> {
        Seen {
            id,
            offer: &known.offer,
            lent: self.lent(id, &known.offer),
            is_heard: known.until > now,
            is_passed_over: self.is_passed_over(id),
        }
    }

    /// What a worker lends, and how much of it is free: at most what the worker announced as free, and at most what it
    /// lends minus the reservations of its leases from here. Its announcement may be older than the newest of these
    /// leases, however long it was on its way.
    fn lent(&self, worker: &NodeId, offer: &WorkerOffer) -> Lent {
        let leases = self.held.get(worker);
        let reserved = leases.map(Leases::reserved).unwrap_or_default();
        let Lent { total, free, .. } = offer.lent;
        Lent {
            free: free.min(total.saturating_sub(reserved)),
            ..offer.lent
        }
    }

    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn views(&self) -> Vec<WorkerView> {
        let view = |(id, known): (&NodeId, &Known)| WorkerView {
            id: id.clone(),
            offer: known.offer.clone(),
        };
        self.workers.iter().map(view).collect()
    }

    fn set_free(&mut self, worker: &NodeId, free: bool) {
        let Some(known) = self.workers.get_mut(worker) else {
            return;
        };
        match known.waits {
            None if free => {
                known.waits = Some(self.next);
                self.free.insert(self.next, worker.clone());
                self.next += 1;
            }
            Some(place) if !free => {
                known.waits = None;
                self.free.remove(&place);
            }
            _ => {}
        }
    }
}
