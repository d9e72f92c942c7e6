//! The DHT, as the coordinator sees it.

use crate::task_advert;
use async_trait::async_trait;
use mc_coordinator::Discovery;
use mc_net::{NetworkHandle, dht::Class};
use mc_types::JobRecord;

/// The DHT, for both roles: what becomes of jobs is said there, and idle nodes are found.
#[derive(Debug)]
pub(crate) struct Dht(pub(crate) NetworkHandle);

#[async_trait]
impl Discovery for Dht {
    async fn publish(&self, job: &JobRecord) {
        if let Err(refusal) = task_advert::publish(&self.0, job).await {
            tracing::debug!(job = %job.id, %refusal, "not said in the DHT");
        }
    }

    async fn connect_more(&self, nodes: usize) {
        self.0.recruit(nodes).await;
    }

    async fn search_idle(&self) {
        // Those who registered are connected to while they are looked for.
        if let Err(error) = self.0.find_registered(Class::Any).await {
            tracing::debug!(%error, "no search for idle nodes");
        }
    }
}
