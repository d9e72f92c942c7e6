//! What the simulation has no part in: nobody is found, and nothing is encrypted.

use async_trait::async_trait;
use mc_coordinator::{Discovery, Error, Keys};
use mc_protocol::Grant;
use mc_types::{Envelope, JobRecord, JobSpec, Lease, NodeId};
use std::collections::BTreeMap;

/// Nobody is found.
#[derive(Debug)]
pub(crate) struct NoDiscovery;

#[async_trait]
impl Discovery for NoDiscovery {
    async fn publish(&self, _: &JobRecord) {}

    async fn connect_more(&self, _: usize) {}

    async fn search_idle(&self) {}
}

/// Signs by writing down who did.
#[derive(Debug)]
pub(crate) struct PlainKeys {
    pub(crate) node: NodeId,
}

impl Keys for PlainKeys {
    fn sign(&self, grant: &Grant) -> Vec<u8> {
        let Grant { job, token, worker } = grant;
        format!("{} {job} {token} {worker}", self.node).into_bytes()
    }

    fn signed(&self, grant: &[u8]) -> Option<(Grant, NodeId)> {
        let text = std::str::from_utf8(grant).ok()?;
        let mut parts = text.split(' ');
        let signer = parts.next()?.parse().ok()?;
        let job = parts.next()?.parse().ok()?;
        let token = mc_types::FencingToken(parts.next()?.parse().ok()?);
        let worker = parts.next()?.parse().ok()?;
        Some((Grant { job, token, worker }, signer))
    }

    fn is_node(&self, _: &NodeId) -> bool {
        true
    }

    fn for_coordinators(
        &self,
        job: &JobSpec,
        _: &[&NodeId],
    ) -> Result<Option<BTreeMap<NodeId, Envelope>>, Error> {
        match &job.key {
            Some(key) if !key.coordinators.contains_key(&self.node) => Err(Error::NoKey {
                node: self.node.clone(),
            }),
            _ => Ok(None),
        }
    }

    fn for_lease(&self, _: &JobSpec, _: &NodeId, _: &Lease) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
}
