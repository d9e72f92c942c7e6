//! What jobs came to, as their workers say in the DHT while the coordinator is away.

use mc_net::{
    Client,
    dht::{Entry, Kind, Refusal},
};
use mc_types::{Cid, Completion, FencingToken, JobId, NodeId, canonical};
use serde::{Deserialize, Serialize};

/// What a worker says of a job. All else is in the outcome, which the CID names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    #[serde(with = "mc_types::cid::portable")]
    outcome: Cid,
}

/// A completion as the DHT has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirrored {
    /// The worker, which signed it and has the result.
    pub worker: NodeId,
    /// The coordinator that granted the job to it, as it signed.
    pub coordinator: NodeId,
    pub outcome: Cid,
}

/// Publishes a completion with the grant that proves the right to.
pub(crate) async fn publish(
    net: &Client,
    job: JobId,
    (token, grant): (FencingToken, Vec<u8>),
    completion: &Completion,
) -> Result<(), Refusal> {
    let body = Body {
        outcome: completion.outcome_cid,
    };
    let (_, body) = canonical::encode(&body).map_err(|_| Refusal::Malformed)?;
    let what = (Kind::Completion, job.to_string());
    let grant = Some((token.0, grant));
    net.publish(what, grant, body, Kind::Completion.longest())
        .await
}

/// Looks for the completion of a job.
pub(crate) async fn find(net: &Client, network: &str, job: JobId) -> Option<Mirrored> {
    let entry = net
        .lookup(Kind::Completion, &job.to_string())
        .await
        .ok()??;
    read(&entry, network)
}

fn read(entry: &Entry, network: &str) -> Option<Mirrored> {
    let body: Body = canonical::decode(&entry.body).ok()?;
    Some(Mirrored {
        worker: entry.publisher.clone(),
        coordinator: entry.coordinator(network)?,
        outcome: body.outcome,
    })
}
