//! The output of attempts without an outcome: it is in this node's store before the ledger records it.

use super::{Coordinator, no_answer};
use crate::{Error, pins::LOG};
use mc_protocol::{Response, budget};
use mc_types::{AttemptLog, Cid, FencingToken, JobId, JobRecord, NodeId};
use std::time::Duration;

/// How long a worker waits for one answer; it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What an attempt wrote, as its worker says.
#[derive(Debug, Clone)]
pub struct Written {
    /// The job.
    pub job: JobId,
    /// The token of its lease.
    pub token: FencingToken,
    /// Which attempt it was.
    pub attempt: u32,
    /// Standard output.
    pub stdout: Cid,
    /// Standard error.
    pub stderr: Cid,
    /// The lease, as it was signed.
    pub grant: Vec<u8>,
}

/// The names of the pins that keep the two streams of an attempt.
fn pins(job: JobId, token: FencingToken) -> [String; 2] {
    ["stdout", "stderr"].map(|stream| format!("{LOG}{job}/{token}/{stream}"))
}

impl Coordinator {
    /// A worker reports the output of its attempt. Repeating it changes nothing.
    pub async fn keep_log(&self, worker: NodeId, written: Written) -> Response {
        let coordinator = self.clone();
        // In a task of its own, so that a fetch that takes longer than one request continues.
        let keep = async move { coordinator.keep_written(worker, written).await };
        let keeping = self.tasks.ask("log", keep);
        match tokio::time::timeout(ANSWER_WITHIN, keeping).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(error))) => error.into(),
            Ok(Err(_)) => no_answer(),
            Err(_) => Response::Pending,
        }
    }

    async fn keep_written(&self, worker: NodeId, written: Written) -> Result<Response, Error> {
        let (job, token) = (written.job, written.token);
        if worker != *self.peers.local() {
            // The attempt has not reported its end yet: if it still holds the lease, the lease lasts as long as this
            // takes.
            let _ = self.check_finish(&worker, job, token).await;
        }
        let Some(_mark) = self.logging.begin((job, token)) else {
            return Ok(Response::Pending);
        };
        let Some(record) = self.job(job).await? else {
            return Ok(Response::Stale);
        };
        if !self.had_lease(&worker, &record, &written) {
            return Ok(Response::Stale);
        }
        if self.jobs.owner_of(job).await?.as_ref() != Some(self.peers.local()) {
            return Ok(Response::Elsewhere);
        }
        let known = self.jobs.logs(job).await?;
        if known.iter().any(|log| log.token == token) {
            return Ok(Response::Recorded);
        }
        let pins = pins(job, token);
        let mut left = budget::of_log(&record.spec.task.limits);
        let kept = async {
            for (name, root) in pins.iter().zip([written.stdout, written.stderr]) {
                // Pinned first: a DAG that is complete afterwards can no longer be collected.
                self.content.pin(name, root).await?;
                let providers = vec![worker.clone()];
                self.content.fetch(root, providers, &mut left).await?;
            }
            let log = AttemptLog {
                attempt: written.attempt,
                token,
                node: worker.clone(),
                stdout: written.stdout,
                stderr: written.stderr,
                kept: self.clock.now(),
            };
            Ok::<_, Error>(self.jobs.add_log(job, &log).await?)
        };
        let kept = kept.await;
        let is_known = |log: &AttemptLog| log.token == token;
        // What failed may have been written all the same.
        if !matches!(kept, Ok(true)) && !self.jobs.logs(job).await?.iter().any(is_known) {
            for name in &pins {
                self.content.unpin(name).await?;
            }
        }
        Ok(if kept? {
            Response::Recorded
        } else {
            Response::Stale
        })
    }

    /// Whether the worker was granted the attempt: the ledger has the newest one of the job, and for earlier ones the
    /// worker has the proof.
    fn had_lease(&self, worker: &NodeId, record: &JobRecord, written: &Written) -> bool {
        if worker == self.peers.local() {
            return true;
        }
        if record.last_token == written.token && record.last_node.as_ref() == Some(worker) {
            return true;
        }
        let Some((grant, signer)) = self.keys.signed(&written.grant) else {
            return false;
        };
        let is_ours = signer == *self.peers.local() || self.replicas.now().contains(&signer);
        let (job, token) = (written.job, written.token);
        is_ours && grant.job == job && grant.token == token && grant.worker == *worker
    }

    /// The output of the attempts of a job that had no outcome, newest first.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub async fn attempt_logs(&self, job: JobId) -> Result<Vec<AttemptLog>, Error> {
        Ok(self.jobs.logs(job).await?)
    }

    /// The names of the pins that keep the output of the attempts of a job.
    pub(super) async fn pins_of_logs(&self, job: JobId) -> Result<Vec<String>, Error> {
        let logs = self.jobs.logs(job).await?;
        Ok(logs.iter().flat_map(|log| pins(job, log.token)).collect())
    }

    /// Whether `name` is the pin of a log that the ledger does not have.
    pub(super) async fn is_orphaned_log(&self, name: &str) -> Result<bool, Error> {
        let Some(name) = name.strip_prefix(LOG) else {
            return Ok(false);
        };
        let mut parts = name.split('/');
        let job = parts.next().and_then(|job| job.parse::<JobId>().ok());
        let token = parts.next().and_then(|token| token.parse().ok());
        let (Some(job), Some(token)) = (job, token.map(FencingToken)) else {
            return Ok(false);
        };
        let known = self.jobs.logs(job).await?;
        Ok(known.iter().all(|log| log.token != token))
    }
}
