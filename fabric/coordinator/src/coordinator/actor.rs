//! The one task that steps the scheduler.

use super::Coordinator;
use crate::{Duty, Error, Failure};
use mc_protocol::{Grant, Request, Response};
use mc_scheduler::{Answer, Command, Config, Effect, Scheduler, Stats, WorkerView};
use mc_types::{
    AttemptResult, ErrorCode, FailureReason, FencingToken, JobId, JobRecord, JobSpec, Lease,
    NodeId, Timestamp, Why,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many commands share one transaction, including the questions in between.
const GROUP_INPUTS: usize = 256;
/// How long the actor sleeps at most, so that it notices a changed clock; and while leases may expire, so that it
/// notices when the machine did not run it.
const MAX_SLEEP: Duration = Duration::from_secs(1);
const MAX_SLEEP_WITH_LEASES: Duration = Duration::from_millis(250);
/// A turn that is late by less than this counts as in time.
const LATE: Duration = Duration::from_millis(200);

/// What the actor is told.
#[derive(Debug)]
pub(super) enum Input {
    Step {
        command: Command,
        reply: oneshot::Sender<Result<Answer, Error>>,
    },
    Workers {
        reply: oneshot::Sender<Vec<WorkerView>>,
    },
    Stats {
        reply: oneshot::Sender<Stats>,
    },
    Why {
        jobs: Vec<JobId>,
        reply: oneshot::Sender<Vec<Why>>,
    },
    /// Jobs of another coordinator are this one's now.
    Adopt {
        jobs: Vec<JobRecord>,
    },
    /// Jobs of this coordinator may be another's by now.
    Reload,
}

pub(super) struct Actor {
    coordinator: Coordinator,
    config: Config,
    scheduler: Scheduler,
    /// Whether the scheduler is ahead of the ledger: then the ledger is read again first.
    is_ahead: bool,
    inputs: mpsc::Receiver<Input>,
}

/// What several commands came to, until it is durable.
#[derive(Default)]
struct Group {
    replies: Vec<(oneshot::Sender<Result<Answer, Error>>, Answer)>,
    /// The newest record of each job.
    records: BTreeMap<JobId, JobRecord>,
    actions: Vec<Effect>,
}

impl Group {
    fn add(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    self.records.insert(record.id, *record);
                }
                action => self.actions.push(action),
            }
        }
    }
}

impl Actor {
    pub(super) async fn restore(
        coordinator: Coordinator,
        config: Config,
        inputs: mpsc::Receiver<Input>,
    ) -> Result<Self, Error> {
        let scheduler = restored(&coordinator, &config).await?;
        Ok(Self {
            coordinator,
            config,
            scheduler,
            is_ahead: false,
            inputs,
        })
    }

    pub(super) async fn run(mut self, stopping: CancellationToken) {
        let mut begun = self.coordinator.clock.now();
        loop {
            begun = self.notice_lateness(begun, Duration::ZERO);
            let sleep = self.sleep();
            let mut group = Group::default();
            let input = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                input = self.inputs.recv() => match input {
                    Some(input) => Some(input),
                    None => return,
                },
                () = tokio::time::sleep(sleep) => None,
            };
            begun = self.notice_lateness(begun, sleep);
            let waiting = self.inputs.len();
            self.catch_up().await;
            match input {
                Some(input) => self.take(input, &mut group),
                None => self.tick(&mut group),
            }
            // Commands that came while the ledger failed are not refused for that: it may work again by now.
            let more = match self.is_ahead {
                true => waiting.min(GROUP_INPUTS - 1),
                false => GROUP_INPUTS - 1,
            };
            // Questions count as well, since senders of commands wait for the end of the group.
            for _ in 0..more {
                let Ok(input) = self.inputs.try_recv() else {
                    break;
                };
                self.take(input, &mut group);
            }
            self.commit(group).await;
        }
    }

    /// How long nothing has to be done.
    fn sleep(&self) -> Duration {
        if self.coordinator.duty == Duty::Records {
            return MAX_SLEEP;
        }
        let now = self.coordinator.clock.now();
        let longest = match self.scheduler.has_leases() {
            true => MAX_SLEEP_WITH_LEASES,
            false => MAX_SLEEP,
        };
        let deadline = self.scheduler.next_deadline();
        deadline
            .map_or(longest, |deadline| deadline.since(now))
            .min(longest)
    }

    /// A turn should take no longer than `allowed`. If it did, the machine was too busy to run this task, or the ledger
    /// was slow, and renewals may be waiting. So leases do not run out meanwhile. Returns the time now.
    fn notice_lateness(&mut self, begun: Timestamp, allowed: Duration) -> Timestamp {
        let now = self.coordinator.clock.now();
        let late = now.since(begun).saturating_sub(allowed);
        if late >= LATE {
            tracing::debug!(?late, "not run in time: leases are longer by that");
            self.scheduler.was_late(late);
        }
        now
    }

    /// Reads the ledger again if the last write to it failed.
    async fn catch_up(&mut self) {
        if !self.is_ahead {
            return;
        }
        match restored(&self.coordinator, &self.config).await {
            Ok(mut scheduler) => {
                scheduler.take_workers_of(&mut self.scheduler);
                self.scheduler = scheduler;
                self.is_ahead = false;
            }
            Err(error) => tracing::error!(%error, "the ledger cannot be read"),
        }
    }

    fn take(&mut self, input: Input, group: &mut Group) {
        match input {
            Input::Adopt { jobs } => {
                let now = self.coordinator.clock.now();
                group.add(self.scheduler.adopt(jobs, now));
                self.tick(group);
            }
            Input::Reload => self.is_ahead = true,
            Input::Step { reply, .. } if self.is_ahead => {
                let (code, reason) = (ErrorCode::Ledger, "it cannot be read".to_owned());
                let _ = reply.send(Err(Error::Unwritten { code, reason }));
            }
            Input::Stats { reply } => drop(reply.send(self.scheduler.stats())),
            Input::Why { jobs, reply } => {
                let now = self.coordinator.clock.now();
                // The caller may have lost interest.
                let _ = reply.send(self.scheduler.why(now, &jobs));
            }
            Input::Workers { reply } => {
                // The caller may have lost interest.
                let _ = reply.send(self.scheduler.workers());
            }
            Input::Step { command, reply } => {
                let step = self.scheduler.step(self.coordinator.clock.now(), command);
                group.add(step.effects);
                group.replies.push((reply, step.answer));
            }
        }
    }

    fn tick(&mut self, group: &mut Group) {
        if self.coordinator.duty == Duty::Records {
            return;
        }
        let step = self
            .scheduler
            .step(self.coordinator.clock.now(), Command::Tick);
        group.add(step.effects);
    }

    /// Makes the group durable, then answers and acts.
    async fn commit(&mut self, group: Group) {
        let records: Vec<_> = group.records.into_values().collect();
        if !records.is_empty() {
            if let Err(error) = self.coordinator.jobs.commit(&records).await {
                let cause: &dyn std::error::Error = &error;
                tracing::error!(error = cause, "the ledger failed");
                self.roll_back(group.replies, &error);
                return;
            }
            self.coordinator.recent.put(records);
        }
        for (reply, answer) in group.replies {
            // The caller may have lost interest; the command stays done.
            let _ = reply.send(Ok(answer));
        }
        let actions = group.actions.into_iter();
        actions.for_each(|action| self.act(action));
        let now = self.coordinator.clock.now();
        self.coordinator.recruit(&self.scheduler, now);
    }

    /// The whole group is void: the scheduler returns to the state of the ledger.
    fn roll_back(
        &mut self,
        replies: Vec<(oneshot::Sender<Result<Answer, Error>>, Answer)>,
        error: &Failure,
    ) {
        self.is_ahead = true;
        self.coordinator.recent.clear();
        for (reply, _) in replies {
            let unwritten = Error::Unwritten {
                code: error.code(),
                reason: error.to_string(),
            };
            let _ = reply.send(Err(unwritten));
        }
    }

    fn act(&self, action: Effect) {
        match action {
            Effect::Persist(_) => {}
            Effect::Changed { job, state } => {
                self.coordinator.watchers.ring(job);
                if state.is_terminal() && self.coordinator.checkpointed.has(job) {
                    let coordinator = self.coordinator.clone();
                    let forget = async move { coordinator.forget_checkpoints(job).await };
                    self.coordinator.tasks.serve("end of checkpoints", forget);
                }
            }
            Effect::Offer {
                worker,
                lease,
                spec,
            } => {
                let offer = offer(self.coordinator.clone(), worker, lease, spec);
                self.coordinator.offers.serve("offer", offer);
            }
            Effect::Probe { worker, newest } => {
                let probe = probe(self.coordinator.clone(), worker, newest);
                self.coordinator.tasks.serve("probe", probe);
            }
            Effect::CancelAttempt { worker, job, token } => {
                let peers = Arc::clone(&self.coordinator.peers);
                self.coordinator.tasks.serve("cancellation", async move {
                    // If this is lost, the next heartbeat is told.
                    let _ = peers.request(&worker, Request::Cancel { job, token }).await;
                });
            }
        }
    }
}

impl Coordinator {
    /// A signed lease. This node itself needs no proof of its own grants.
    fn grant(&self, job: JobId, token: FencingToken, worker: &NodeId) -> Vec<u8> {
        if worker == self.peers.local() {
            return Vec::new();
        }
        let grant = Grant {
            job,
            token,
            worker: worker.clone(),
        };
        self.keys.sign(&grant)
    }
}

impl Coordinator {
    /// Ends a job that no node can run, on behalf of the node that held the lease.
    async fn reject(&self, worker: NodeId, lease: Lease, error: Error) {
        let (code, message) = (Some(error.code()), mc_types::with_causes(&error));
        let rejected = Command::Finish {
            worker,
            job: lease.job,
            token: lease.token,
            ending: AttemptResult::Failed(FailureReason::Rejected { code, message }),
        };
        // If recording fails, the lease expires and this happens again.
        let _ = self.ask(rejected).await;
    }
}

/// Revokes the leases of a worker if its process has ended. A worker that is merely unreachable may come back, or work
/// on unseen: its leases expire in their time.
async fn probe(coordinator: Coordinator, worker: NodeId, newest: FencingToken) {
    if coordinator.peers.has_ended(&worker).await {
        tracing::info!(%worker, "its process has ended: what it had goes on elsewhere");
        // While shutting down nothing more is granted.
        let _ = coordinator
            .ask(Command::WorkerEnded {
                worker,
                newest,
                but: BTreeSet::new(),
            })
            .await;
    }
}

async fn restored(coordinator: &Coordinator, config: &Config) -> Result<Scheduler, Error> {
    let jobs = coordinator.jobs.open_jobs().await?;
    let token = coordinator.jobs.newest_token().await?;
    let now = coordinator.clock.now();
    // Renewed terms need not be written: after another restart they are renewed again.
    let (scheduler, _) = Scheduler::restore(config.clone(), jobs, token, now);
    Ok(scheduler)
}

async fn offer(coordinator: Coordinator, worker: NodeId, lease: Lease, spec: Arc<JobSpec>) {
    let (job, token) = (lease.job, lease.token);
    let key = match coordinator.keys.for_lease(&spec, &worker, &lease) {
        Ok(key) => key,
        Err(error) => return coordinator.reject(worker, lease, error).await,
    };
    let checkpoints = if coordinator.checkpointed.has(job) {
        coordinator.checkpoints(job).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    let request = Request::Offer {
        lease,
        job: Box::new(JobSpec {
            key: None,
            ..JobSpec::clone(&spec)
        }),
        checkpoints: checkpoints
            .iter()
            .map(|checkpoint| checkpoint.cid)
            .collect(),
        replicas: coordinator.replicas.now().to_vec(),
        grant: coordinator.grant(job, token, &worker),
        key,
    };
    let (refused, reason) = match coordinator.peers.request(&worker, request).await {
        Ok(Response::Accepted) => return,
        Ok(Response::Refused { reason, .. }) => (true, reason),
        Ok(other) => (false, format!("unexpected answer {other:?}")),
        Err(error) => (error.is_unsent(), error.to_string()),
    };
    tracing::debug!(%job, %worker, %reason, "offer failed");
    // While shutting down nothing more is granted; the lease expires by itself.
    let _ = coordinator
        .ask(Command::OfferFailed {
            job,
            token,
            refused,
            reason,
        })
        .await;
}
