//! What only the owner of a node's key can do.

use crate::Error;
use mc_protocol::Grant;
use mc_types::{Envelope, JobSpec, Lease, NodeId};
use std::collections::BTreeMap;

/// Signs what a coordinator grants, and hands the keys of private jobs on. The coordinator itself never has a key.
pub trait Keys: std::fmt::Debug + Send + Sync {
    /// A lease, signed in the name of this node, so that its holder can prove it. Empty if that cannot be done.
    fn sign(&self, grant: &Grant) -> Vec<u8>;

    /// What was signed, and by whom; `None` if nobody of this network signed it.
    fn signed(&self, grant: &[u8]) -> Option<(Grant, NodeId)>;

    /// Whether a text of the form of a node id is the id of a node.
    fn is_node(&self, node: &NodeId) -> bool;

    /// The key of a private job, sealed to nodes that are to grant leases for it; `None` for a job that is not private.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`] if the key is not sealed to this node, [`Error::Key`] if it cannot be sealed to another.
    fn for_coordinators(
        &self,
        job: &JobSpec,
        nodes: &[&NodeId],
    ) -> Result<Option<BTreeMap<NodeId, Envelope>>, Error>;

    /// The key of a private job, sealed to the holder of a lease; `None` for a job that is not private.
    ///
    /// # Errors
    ///
    /// As [`Self::for_coordinators`].
    fn for_lease(
        &self,
        job: &JobSpec,
        worker: &NodeId,
        lease: &Lease,
    ) -> Result<Option<Envelope>, Error>;
}
