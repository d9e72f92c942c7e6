//! The key of this node, as the coordinator sees it.

use crate::private;
use mc_coordinator::{Error, Failure, Keys};
use mc_net::{
    Identity,
    dht::{open_grant, seal_grant},
};
use mc_protocol::Grant;
use mc_types::{Envelope, JobSpec, Lease, NodeId};
use std::collections::BTreeMap;

/// Signs and opens for one network, for both roles.
#[derive(Debug)]
pub(crate) struct NodeKeys {
    /// In whose name.
    pub identity: Identity,
    /// Grants of other networks are none here.
    pub network: String,
}

fn failed(error: mc_net::Error) -> Error {
    Error::Key(Failure::new(error.code(), error))
}

impl Keys for NodeKeys {
    fn sign(&self, grant: &Grant) -> Vec<u8> {
        seal_grant(grant, &self.identity, &self.network)
    }

    fn signed(&self, grant: &[u8]) -> Option<(Grant, NodeId)> {
        open_grant(&self.network, grant)
    }

    fn is_node(&self, node: &NodeId) -> bool {
        mc_net::is_node(node)
    }

    fn for_coordinators(
        &self,
        job: &JobSpec,
        nodes: &[&NodeId],
    ) -> Result<Option<BTreeMap<NodeId, Envelope>>, Error> {
        let key = private::of_job(&self.identity, job)?;
        let sealed = key.map(|key| private::for_coordinators(&key, nodes.iter().copied()));
        sealed.transpose().map_err(failed)
    }

    fn for_lease(
        &self,
        job: &JobSpec,
        worker: &NodeId,
        lease: &Lease,
    ) -> Result<Option<Envelope>, Error> {
        let key = private::of_job(&self.identity, job)?;
        let sealed = key.map(|key| private::for_lease(&key, worker, lease));
        sealed.transpose().map_err(failed)
    }
}
