//! Fetches results: their blocks are in this node's store before the ledger records them.

use super::{Coordinator, arriving, marks::Mark, no_answer, pin, respond};
use crate::{ContentError, Error, UNLIMITED};
use mc_protocol::{Response, budget};
use mc_scheduler::{Answer, Command};
use mc_types::{
    AttemptResult, Cid, Completion, FencingToken, JobId, JobRecord, NodeId, Outcome, canonical,
};
use std::time::Duration;

/// How long a worker waits for one answer. It asks again, so that a large result does not exceed the
/// time of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks whether the pin of a job is being moved.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What the pin of a job keeps: its result, or else what it needs.
pub(super) fn kept_root(job: &JobRecord) -> Cid {
    job.completion()
        .map_or(job.task_cid, |completion| completion.outcome_cid)
}

impl Coordinator {
    /// An attempt ended. Repeating it changes nothing.
    pub async fn finish(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        ending: AttemptResult,
    ) -> Response {
        let coordinator = self.clone();
        // In a task of its own, so that a fetch that takes longer than one request continues.
        let take = async move { coordinator.take(worker, job, token, ending).await };
        let finishing = self.tasks.ask("finish", take);
        match tokio::time::timeout(ANSWER_WITHIN, finishing).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => no_answer(),
            Err(_) => Response::Pending,
        }
    }

    async fn take(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        ending: AttemptResult,
    ) -> Response {
        let Some(_fetching) = self.finishes.begin((job, token)) else {
            return Response::Pending;
        };
        let mut ending = ending;
        if let AttemptResult::Completed(completion) = &ending {
            let task = match self.may_finish(&worker, job, token).await {
                Ok(task) => task,
                Err(refusal) => return refusal,
            };
            let fetched = self.fetch_checked(&worker, (job, token), task, completion);
            match fetched.await {
                Ok(()) => {
                    let outcome = completion.outcome_cid;
                    return self.end_with(worker, (job, token), outcome, ending).await;
                }
                Err(Error::FalseResult(reason)) => {
                    tracing::warn!(%worker, %job, %reason, "a result that cannot be true");
                    let message = format!("reported a result that cannot be true: {reason}");
                    let code = None;
                    let reason = mc_types::FailureReason::Infrastructure { code, message };
                    ending = AttemptResult::Failed(reason);
                }
                Err(error) => return error.into(),
            }
        }
        self.record_ending(worker, (job, token), ending).await.0
    }

    /// Records how an attempt ended; says also whether that is in the store now, or was already.
    async fn record_ending(
        &self,
        worker: NodeId,
        (job, token): (JobId, FencingToken),
        ending: AttemptResult,
    ) -> (Response, bool) {
        let finish = Command::Finish {
            worker,
            job,
            token,
            ending,
        };
        match self.ask(finish).await {
            Ok(Answer::NotOpen) => (self.ended(job, token).await, false),
            answer => {
                let is_recorded = matches!(answer, Ok(Answer::Recorded));
                (respond(answer), is_recorded)
            }
        }
    }

    /// Pins a result that is here in place of the task, and records it. If it is not the one that counts, the pin goes
    /// back to what does.
    async fn end_with(
        &self,
        worker: NodeId,
        (job, token): (JobId, FencingToken),
        outcome: Cid,
        ending: AttemptResult,
    ) -> Response {
        let is_remote = worker != *self.peers.local();
        // Two attempts may report at the same time. The pin of the one whose result counts is not to be moved by the other.
        let turn = self.turn_to_pin(job).await;
        let response = match self.still_holds(&worker, job, token).await {
            Ok(()) => self.move_pin(worker, (job, token), outcome, ending).await,
            Err(refusal) => refusal,
        };
        drop(turn);
        if is_remote && let Err(error) = self.content.unpin(&arriving(job, token)).await {
            // The next start removes it.
            tracing::warn!(%job, %error, "a pin is left behind");
        }
        response
    }

    /// Pins a result and records it, or else has the pin where it should be.
    async fn move_pin(
        &self,
        worker: NodeId,
        (job, token): (JobId, FencingToken),
        outcome: Cid,
        ending: AttemptResult,
    ) -> Response {
        if let Err(error) = self.content.pin(&pin(job), outcome).await {
            return Error::from(error).into();
        }
        let (response, is_recorded) = self.record_ending(worker, (job, token), ending).await;
        if !is_recorded && let Err(error) = self.pin_what_counts(job).await {
            // The next start moves it. The result of another attempt cannot have been recorded meanwhile.
            tracing::warn!(%job, %error, "a pin is not where it should be");
        }
        response
    }

    /// Refuses a result if its lease went to another while it was fetched.
    async fn still_holds(
        &self,
        worker: &NodeId,
        job: JobId,
        token: FencingToken,
    ) -> Result<(), Response> {
        if self.held_task(worker, job, token).is_some() {
            return Ok(());
        }
        self.check_finish(worker, job, token).await.map(drop)
    }

    /// The task of a job, if what was written last says that the worker holds it by `token`.
    fn held_task(&self, worker: &NodeId, job: JobId, token: FencingToken) -> Option<Cid> {
        let record = self.recent.get(job)?;
        let holder = record.holder.as_ref()?;
        (holder.node == *worker && holder.token == token).then_some(record.task_cid)
    }

    /// Waits until nobody else moves the pin of a job.
    pub(super) async fn turn_to_pin(&self, job: JobId) -> Mark<'_, JobId> {
        loop {
            match self.pinning.begin(job) {
                Some(mark) => return mark,
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Moves the pin of a job to its result, or to its task if there is none; removes it if there is no such job. It has to
    /// be the caller's turn.
    pub(super) async fn pin_what_counts(&self, job: JobId) -> Result<(), Error> {
        match self.jobs.get(job).await? {
            Some(record) => self.content.pin(&pin(job), kept_root(&record)).await?,
            None => self.content.unpin(&pin(job)).await?,
        }
        Ok(())
    }

    /// The task that a result must be of, if it is wanted.
    async fn may_finish(
        &self,
        worker: &NodeId,
        job: JobId,
        token: FencingToken,
    ) -> Result<Cid, Response> {
        // There is nothing to fetch from this node itself, so no lease must be renewed first.
        if worker == self.peers.local()
            && let Some(task) = self.held_task(worker, job, token)
        {
            return Ok(task);
        }
        self.check_finish(worker, job, token).await
    }

    /// The task of a job, if the worker holds its lease with `token`; renews the lease then.
    pub(super) async fn check_finish(
        &self,
        worker: &NodeId,
        job: JobId,
        token: FencingToken,
    ) -> Result<Cid, Response> {
        let check = Command::CheckFinish {
            worker: worker.clone(),
            job,
            token,
        };
        match self.ask(check).await {
            Ok(Answer::MayFinish { task_cid }) => Ok(task_cid),
            Ok(Answer::NotOpen) => Err(self.ended(job, token).await),
            answer => Err(respond(answer)),
        }
    }

    /// Makes the result's blocks this node's own, if it is one of the task. Those of another node are pinned beside the
    /// task.
    async fn fetch_checked(
        &self,
        worker: &NodeId,
        (job, token): (JobId, FencingToken),
        task: Cid,
        completion: &Completion,
    ) -> Result<(), Error> {
        let outcome = &completion.outcome;
        let (cid, bytes) =
            canonical::encode(outcome).map_err(|e| Error::FalseResult(e.to_string()))?;
        if cid != completion.outcome_cid {
            return Err(Error::FalseResult("the outcome has another CID".to_owned()));
        }
        if outcome.task != task {
            return Err(Error::FalseResult(
                "it is the outcome of another task".to_owned(),
            ));
        }
        if worker == self.peers.local() {
            // The worker of this node has put everything into the same store already.
            return Ok(());
        }
        // What the job needs stays pinned until all of its result is here.
        let arriving = arriving(job, token);
        self.content.put_pinned(&arriving, cid, bytes).await?;
        let fetched = self.fetch_result(worker, job, outcome).await;
        if fetched.is_err() {
            self.content.unpin(&arriving).await?;
        }
        fetched
    }

    /// Fetches the content of an outcome, if it is no larger than its task may make.
    async fn fetch_result(
        &self,
        worker: &NodeId,
        job: JobId,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let record = self.job(job).await?.ok_or(Error::NotRunning)?;
        let task = &record.spec.task;
        let providers = || vec![worker.clone()];
        // Inputs of the user do not count as results of the worker, unless encrypted once more.
        let mut rewritten = 0_u64;
        for root in outcome.dirs.keys().filter_map(|path| task.dirs.get(path)) {
            if task.private.is_some() {
                let bytes = self.content.bytes_below(*root, providers()).await?;
                rewritten = rewritten.saturating_add(bytes);
            } else {
                let mut unlimited = UNLIMITED;
                self.content
                    .fetch(*root, providers(), &mut unlimited)
                    .await?;
            }
        }
        let mut budget = budget::of_result(&task.limits, rewritten);
        let roots = [outcome.stdout, outcome.stderr, outcome.outputs];
        for root in roots.into_iter().chain(outcome.dirs.values().copied()) {
            let fetching = self.content.fetch(root, providers(), &mut budget);
            fetching.await.map_err(|error| match error {
                too_large @ ContentError::TooLarge(_) => Error::FalseResult(too_large.to_string()),
                error @ ContentError::Failed(_) => error.into(),
            })?;
        }
        Ok(())
    }
}
