//! In which state jobs are, as their coordinators say in the DHT.

use mc_net::{
    Client,
    dht::{Kind, Refusal},
};
use mc_protocol::TaskAdvert;
use mc_types::{JobId, JobRecord, NodeId};
use std::time::Duration;

/// How long the state of a job that has not ended is believed, unless it is said again.
const OPEN_TTL: Duration = Duration::from_secs(180);

/// Says in which state a job is.
pub(crate) async fn publish(net: &Client, record: &JobRecord) -> Result<(), Refusal> {
    let advert = TaskAdvert::from(record);
    let body = mc_protocol::encode(&advert).map_err(|_| Refusal::Malformed)?;
    let ttl = match advert.state.is_terminal() {
        true => Kind::Task.longest(),
        false => OPEN_TTL,
    };
    let what = (Kind::Task, record.id.to_string());
    net.publish(what, None, body, ttl).await
}

/// Looks for a job; gives what is said of it, and its coordinator, which says so.
pub(crate) async fn find(net: &Client, job: JobId) -> Option<(NodeId, TaskAdvert)> {
    let entry = net.lookup(Kind::Task, &job.to_string()).await.ok()??;
    let advert = mc_protocol::decode(&entry.body).ok()?;
    Some((entry.publisher, advert))
}
