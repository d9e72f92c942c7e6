//! What a coordinator signs when it gives a job to a worker, so that the worker can prove it to others.

use crate::identity::{Identity, node_id};
use libp2p::core::SignedEnvelope;
use mc_types::{FencingToken, JobId, NodeId, canonical};
use serde::{Deserialize, Serialize};

/// What the payload of an envelope is.
const PAYLOAD_TYPE: &[u8] = b"/mc/grant/1";
/// Longest envelope that is read.
const MAX_BYTES: usize = 512;

/// A lease, as others may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The job.
    pub job: JobId,
    /// The token of the lease.
    pub token: FencingToken,
    /// Who holds it.
    pub worker: NodeId,
}

fn domain(network: &str) -> String {
    format!("mc-grant/{network}")
}

impl Grant {
    /// Signs it in the name of the coordinator `identity`. Empty if that cannot be done.
    #[must_use]
    pub fn seal(&self, identity: &Identity, network: &str) -> Vec<u8> {
        let Ok((_, payload)) = canonical::encode(self) else {
            return Vec::new();
        };
        let keypair = identity.clone().into_keypair();
        let sealed = SignedEnvelope::new(&keypair, domain(network), PAYLOAD_TYPE.to_vec(), payload);
        sealed.map_or_else(|_| Vec::new(), SignedEnvelope::into_protobuf_encoding)
    }

    /// What was signed, and by whom.
    #[must_use]
    pub fn open(network: &str, sealed: &[u8]) -> Option<(Self, NodeId)> {
        if sealed.len() > MAX_BYTES {
            return None;
        }
        let envelope = SignedEnvelope::from_protobuf_encoding(sealed).ok()?;
        let opened = envelope.payload_and_signing_key(domain(network), PAYLOAD_TYPE);
        let (payload, signer) = opened.ok()?;
        let grant = canonical::decode(payload).ok()?;
        Some((grant, node_id(&signer.to_peer_id())))
    }
}
