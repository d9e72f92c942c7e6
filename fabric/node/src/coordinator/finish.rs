//! Taking results: their blocks are in this node's store before the ledger says that they exist.

use super::{Coordinator, pin, respond};
use crate::error::Error;
use mc_content::Block;
use mc_net::message::Response;
use mc_scheduler::{Answer, Command};
use mc_types::{Cid, Completion, Ending, FencingToken, JobId, NodeId, canonical, cid};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How long a worker waits for one answer. It asks again, so that a large result does not exceed the
/// time of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Results that are being fetched.
#[derive(Debug, Default)]
pub(super) struct Finishes(Mutex<HashSet<(JobId, FencingToken)>>);

/// Marks a result as being fetched until it is dropped.
struct Fetching<'f> {
    finishes: &'f Finishes,
    key: (JobId, FencingToken),
}

impl Finishes {
    /// `None` when the result is being fetched already.
    fn begin(&self, key: (JobId, FencingToken)) -> Option<Fetching<'_>> {
        let is_new = {
            let mut fetching = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.insert(key)
        };
        // Only if it is new: what is dropped ends the mark.
        is_new.then(|| Fetching {
            finishes: self,
            key,
        })
    }
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        let mut fetching = self
            .finishes
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        fetching.remove(&self.key);
    }
}

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
        let finishing =
            tokio::spawn(async move { coordinator.take(worker, job, token, ending).await });
        match tokio::time::timeout(ANSWER_WITHIN, finishing).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => Response::Error {
                message: error.to_string(),
            },
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
                    let reason = mc_types::FailureReason::Infrastructure { message };
                    ending = Ending::Failed(reason);
                }
                Err(error) => {
                    return Response::Error {
                        message: error.to_string(),
                    };
                }
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
        if worker == self.peers.local() {
            // The worker of this node has put everything into the same store already.
            store.pin(&pin(job), cid).await?;
            return Ok(());
        }
        let outcome_block = Block::encode(cid::DAG_CBOR, bytes)?;
        let name = pin(job);
        self.content
            .put_pinned(vec![outcome_block], &name, cid)
            .await?;
        let roots = [outcome.stdout, outcome.stderr, outcome.outputs];
        for root in roots.into_iter().chain(outcome.dirs.values().copied()) {
            self.content.fetch(root, vec![worker.clone()], None).await?;
        }
        Ok(())
    }
}
