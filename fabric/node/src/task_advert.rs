//! In which state jobs are, as their coordinators say in the DHT.

use mc_net::{
    NetworkHandle,
    dht::{RecordKind, Refusal},
};
use mc_protocol::TaskAdvert;
use mc_types::{JobId, JobRecord, NodeId};
use std::time::Duration;

/// How long the published state of an open job is believed, unless it is published again.
const OPEN_TTL: Duration = Duration::from_secs(180);

/// Says in which state a job is.
pub(crate) async fn publish(net: &NetworkHandle, record: &JobRecord) -> Result<(), Refusal> {
    let advert = TaskAdvert::from(record);
    let body = mc_protocol::encode(&advert).map_err(|_| Refusal::Malformed)?;
    let ttl = match advert.state.is_terminal() {
        true => RecordKind::Task.longest(),
        false => OPEN_TTL,
    };
    let what = (RecordKind::Task, record.id.to_string());
    net.publish(what, None, body, ttl).await
}

/// Looks for a job; returns its advert, and the coordinator that published it.
pub(crate) async fn find(net: &NetworkHandle, job: JobId) -> Option<(NodeId, TaskAdvert)> {
    let entry = net
        .lookup(RecordKind::Task, &job.to_string())
        .await
        .ok()??;
    let advert = mc_protocol::decode(&entry.body).ok()?;
    Some((entry.publisher, advert))
}
