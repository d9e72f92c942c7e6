//! Submits a job, once: to one node, or if that is gone, to another one that shares its ledger.

use crate::{client::NodeClient, failure::Failure, job, keys, progress};
use mc_api::JobView;
use mc_options::Global;
use mc_types::{Clock, ErrorCode, JobId, JobSpec, SystemClock};

/// What became of a job.
pub(crate) enum HandedIn {
    /// A node has recorded it.
    Job { id: JobId, job: Box<JobView> },
    /// The node went away during the request, and no other answers: it may have recorded the job.
    Unknown { id: JobId, failure: Failure },
}

/// Submits a job with its content. Every node gets the same id, so it recognises a job that another one has recorded.
pub(crate) async fn hand_in(
    global: &Global,
    client: &NodeClient,
    prepared: &job::Prepared,
    spec: JobSpec,
) -> Result<HandedIn, Failure> {
    let id = JobId::new(SystemClock.now(), rand::random());
    let (mut spec, mut tries, mut may_be_recorded) = (spec, client.tries(), false);
    loop {
        client.begin(&mut tries);
        let failure = match give(global, client, prepared, &mut spec).await {
            // What was given to one is not at the other.
            Ok(()) if client.has_turned(&tries) => continue,
            Ok(()) => match submitted(global, client, prepared, (id, &spec)).await {
                Ok(job) => {
                    let (id, job) = (job.id.unwrap_or(id), Box::new(job));
                    return Ok(HandedIn::Job { id, job });
                }
                Err(failure) => {
                    may_be_recorded |= failure.code() == ErrorCode::NodeUnreachable;
                    failure
                }
            },
            Err(failure) => failure,
        };
        if client.asks_again(&failure, &mut tries).await {
            continue;
        }
        // A node that refuses has first checked, if it could, whether another one has recorded the job.
        if may_be_recorded && failure.is_away() {
            return Ok(HandedIn::Unknown { id, failure });
        }
        return Err(failure);
    }
}

/// Hands a job in at one node, which looks for what the job is given as CIDs.
async fn submitted(
    global: &Global,
    client: &NodeClient,
    prepared: &job::Prepared,
    (id, spec): (JobId, &JobSpec),
) -> Result<JobView, Failure> {
    let submitting = client.submit(id, spec.clone());
    let mut given = spec.task.inputs.values().chain([spec.task.kind.program()]);
    if given.all(|cid| prepared.files.contains_key(cid)) {
        return submitting.await;
    }
    let what = "what the job is given as a CID";
    progress::while_found(global, client, what, submitting).await
}

/// Sends the job's content to a node, and the key of a private job.
async fn give(
    global: &Global,
    client: &NodeClient,
    prepared: &job::Prepared,
    spec: &mut JobSpec,
) -> Result<(), Failure> {
    if let Some(key) = &prepared.key {
        let node = client.node().await?.id;
        spec.key = Some(keys::submitter(global)?.seal(key, &node)?);
    }
    job::upload(client, prepared).await
}
