//! Taking results: their blocks are in this node's store before the ledger says that they exist.

use super::{Coordinator, arriving, no_answer, pin, respond};
use crate::error::Error;
use mc_content::Block;
use mc_protocol::{Response, budget};
use mc_scheduler::{Answer, Command};
use mc_types::{Cid, Completion, Ending, FencingToken, JobId, NodeId, Outcome, canonical, cid};
use std::time::Duration;

/// How long a worker waits for one answer. It asks again, so that a large result does not exceed the
/// time of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Coordinator {
    /// An attempt ended. Repeating it changes nothing.
    pub(crate) async fn finish(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        ending: Ending,
    ) -> Response {
        let coordinator = self.clone();
        // Of its own accord: a fetch that takes longer than one request goes on.
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
        ending: Ending,
    ) -> Response {
        let Some(_fetching) = self.finishes.begin((job, token)) else {
            return Response::Pending;
        };
        let mut ending = ending;
        if let Ending::Completed(completion) = &ending {
            let task = match self.may_finish(&worker, job, token).await {
                Ok(task) => task,
                Err(refusal) => return refusal,
            };
            match self.keep_result(&worker, job, task, completion).await {
                Ok(()) => {}
                Err(Error::FalseResult(reason)) => {
                    tracing::warn!(%worker, %job, %reason, "a result that cannot be true");
                    let message = format!("reported a result that cannot be true: {reason}");
                    let code = None;
                    let reason = mc_types::FailureReason::Infrastructure { code, message };
                    ending = Ending::Failed(reason);
                }
                Err(error) => return error.into(),
            }
        }
        match self
            .ask(Command::Finish {
                worker,
                job,
                token,
                ending,
            })
            .await
        {
            Ok(Answer::NotOpen) => self.ended(job, token).await,
            answer => respond(answer),
        }
    }

    /// The task that a result must be of, if it is wanted.
    async fn may_finish(
        &self,
        worker: &NodeId,
        job: JobId,
        token: FencingToken,
    ) -> Result<Cid, Response> {
        // There is nothing to fetch from this node itself, and so no lease to renew before that.
        if worker == self.peers.local()
            && let Some(record) = self.recent.get(job)
            && record
                .holder
                .as_ref()
                .is_some_and(|h| h.node == *worker && h.token == token)
        {
            return Ok(record.task_cid);
        }
        self.check_finish(worker, job, token).await
    }

    /// The task of a job, if the worker holds it by `token`; renews the lease then.
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

    /// Makes the result's blocks this node's own, and pins them in place of the task.
    async fn keep_result(
        &self,
        worker: &NodeId,
        job: JobId,
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
        let store = self.content.store();
        if worker != self.peers.local() {
            // What the job needs stays pinned until all of its result is here.
            let outcome_block = Block::encode(cid::DAG_CBOR, bytes)?;
            let arriving = arriving(job);
            self.content
                .put_pinned(vec![outcome_block], &arriving, cid)
                .await?;
            let fetched = self.fetch_result(worker, job, outcome).await;
            if fetched.is_err() {
                store.unpin(&arriving).await?;
            }
            fetched?;
            store.pin(&pin(job), cid).await?;
            store.unpin(&arriving).await?;
            return Ok(());
        }
        // The worker of this node has put everything into the same store already.
        store.pin(&pin(job), cid).await?;
        Ok(())
    }

    /// Fetches what an outcome names, as long as it is no more than its task may make.
    async fn fetch_result(
        &self,
        worker: &NodeId,
        job: JobId,
        outcome: &Outcome,
    ) -> Result<(), Error> {
        let record = self.job(job).await?.ok_or(Error::NotRunning)?;
        let task = &record.spec.task;
        let providers = || vec![worker.clone()];
        // What the user gave is no part of what the worker made, unless it is encrypted once more.
        let mut rewritten = 0_u64;
        for root in outcome.dirs.keys().filter_map(|path| task.dirs.get(path)) {
            if task.private.is_some() {
                let bytes = self.content.bytes_below(*root, providers()).await?;
                rewritten = rewritten.saturating_add(bytes);
            } else {
                self.content.fetch(*root, providers(), None).await?;
            }
        }
        let mut budget = budget::of_result(&task.limits, rewritten);
        let roots = [outcome.stdout, outcome.stderr, outcome.outputs];
        for root in roots.into_iter().chain(outcome.dirs.values().copied()) {
            let fetching = self
                .content
                .fetch_within(root, providers(), None, &mut budget);
            fetching.await.map_err(|error| match error {
                too_large @ mc_content::Error::TooLarge { .. } => {
                    Error::FalseResult(too_large.to_string())
                }
                error => error.into(),
            })?;
        }
        Ok(())
    }
}
