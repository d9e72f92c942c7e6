//! What attempts wrote that came to no outcome: it is in this node's store before the ledger says that it exists.

use super::{Coordinator, no_answer};
use crate::error::Error;
use mc_net::dht::open_grant;
use mc_protocol::{Response, budget};
use mc_types::{AttemptLog, Cid, FencingToken, JobId, JobRecord, NodeId};
use std::time::Duration;

/// How long a worker waits for one answer; it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What an attempt wrote, as its worker says.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub job: JobId,
    pub token: FencingToken,
    pub attempt: u32,
    pub stdout: Cid,
    pub stderr: Cid,
    /// The lease, as it was signed.
    pub grant: Vec<u8>,
}

const PIN_PREFIX: &str = crate::pins::LOG;

/// The names of the pins that keep the two streams of an attempt.
fn pins(job: JobId, token: FencingToken) -> [String; 2] {
    ["stdout", "stderr"].map(|stream| format!("{PIN_PREFIX}{job}/{token}/{stream}"))
}

impl Coordinator {
    /// A worker says what its attempt wrote. Repeating it changes nothing.
    pub(crate) async fn keep_log(&self, worker: NodeId, written: Written) -> Response {
        let coordinator = self.clone();
        // Of its own accord: a fetch that takes longer than one request goes on.
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
            // The attempt has not said yet how it ended: if the lease is its own, that lasts for as long as this takes.
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
        if self.ledger.owner_of(job).await?.as_ref() != Some(self.peers.local()) {
            return Ok(Response::Elsewhere);
        }
        let known = self.ledger.logs(job).await?;
        if known.iter().any(|log| log.token == token) {
            return Ok(Response::Recorded);
        }
        let pins = pins(job, token);
        let mut left = budget::of_log(&record.spec.task.limits);
        let kept = async {
            for (name, root) in pins.iter().zip([written.stdout, written.stderr]) {
                // Pinned first: what is found complete afterwards cannot be collected any more.
                self.content.store().pin(name, root).await?;
                let providers = vec![worker.clone()];
                self.content
                    .fetch_within(root, providers, None, &mut left)
                    .await?;
            }
            let log = AttemptLog {
                attempt: written.attempt,
                token,
                node: worker.clone(),
                stdout: written.stdout,
                stderr: written.stderr,
                kept: self.clock.now(),
            };
            Ok::<_, Error>(self.ledger.add_log(job, &log).await?)
        };
        let kept = kept.await;
        if !matches!(kept, Ok(true)) {
            for name in &pins {
                self.content.store().unpin(name).await?;
            }
        }
        Ok(if kept? {
            Response::Recorded
        } else {
            Response::Stale
        })
    }

    /// Whether the worker was granted the attempt: the newest of the job is in the ledger, and of earlier ones it has the
    /// proof.
    fn had_lease(&self, worker: &NodeId, record: &JobRecord, written: &Written) -> bool {
        if worker == self.peers.local() {
            return true;
        }
        if record.last_token == written.token && record.last_node.as_ref() == Some(worker) {
            return true;
        }
        let Some((grant, signer)) = open_grant(&self.network, &written.grant) else {
            return false;
        };
        let is_ours = signer == *self.peers.local() || self.sisters.now().contains(&signer);
        let (job, token) = (written.job, written.token);
        is_ours && grant.job == job && grant.token == token && grant.worker == *worker
    }

    /// What the attempts of a job wrote that came to no outcome, newest first.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub(crate) async fn attempt_logs(&self, job: JobId) -> Result<Vec<AttemptLog>, Error> {
        Ok(self.ledger.logs(job).await?)
    }

    /// Lets go of what the attempts of a job wrote, which is forgotten.
    pub(super) async fn unpin_logs(&self, job: JobId) -> Result<(), Error> {
        for log in self.ledger.logs(job).await? {
            for name in pins(job, log.token) {
                self.content.store().unpin(&name).await?;
            }
        }
        Ok(())
    }

    /// Whether `name` is the pin of a log that the ledger does not have.
    pub(super) async fn is_orphaned_log(&self, name: &str) -> Result<bool, Error> {
        let Some(name) = name.strip_prefix(PIN_PREFIX) else {
            return Ok(false);
        };
        let mut parts = name.split('/');
        let job = parts.next().and_then(|job| job.parse::<JobId>().ok());
        let token = parts.next().and_then(|token| token.parse().ok());
        let (Some(job), Some(token)) = (job, token.map(FencingToken)) else {
            return Ok(false);
        };
        let known = self.ledger.logs(job).await?;
        Ok(known.iter().all(|log| log.token != token))
    }
}
