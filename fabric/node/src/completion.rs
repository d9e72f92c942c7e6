//! Outcomes of jobs, which their workers publish in the DHT while the coordinator is away.

use mc_net::{
    NetworkHandle,
    dht::{Entry, RecordKind, Refusal},
};
use mc_protocol::CompletionAdvert;
use mc_types::{Cid, Completion, FencingToken, JobId, NodeId};

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
    net: &NetworkHandle,
    job: JobId,
    (token, grant): (FencingToken, Vec<u8>),
    completion: &Completion,
) -> Result<(), Refusal> {
    let advert = CompletionAdvert {
        outcome: completion.outcome_cid,
    };
    let body = mc_protocol::encode(&advert).map_err(|_| Refusal::Malformed)?;
    let what = (RecordKind::Completion, job.to_string());
    let grant = Some((token.0, grant));
    net.publish(what, grant, body, RecordKind::Completion.longest())
        .await
}

/// Looks for the completion of a job.
pub(crate) async fn find(net: &NetworkHandle, network: &str, job: JobId) -> Option<Mirrored> {
    let entry = net
        .lookup(RecordKind::Completion, &job.to_string())
        .await
        .ok()??;
    read(&entry, network)
}

fn read(entry: &Entry, network: &str) -> Option<Mirrored> {
    let advert: CompletionAdvert = mc_protocol::decode(&entry.body).ok()?;
    Some(Mirrored {
        worker: entry.publisher.clone(),
        coordinator: entry.coordinator(network)?,
        outcome: advert.outcome,
    })
}
