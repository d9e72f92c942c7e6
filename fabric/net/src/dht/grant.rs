//! Grants: a coordinator signs one when it gives a job to a worker, so that the worker can prove its lease to others.
//!
//! Its content is an [`mc_protocol::Grant`]; its envelope is libp2p's, which only this crate knows.

use crate::identity::{Identity, node_id};
use libp2p::core::SignedEnvelope;
use mc_protocol::Grant;
use mc_types::NodeId;

/// What the payload of an envelope is.
const PAYLOAD_TYPE: &[u8] = b"/mc/grant/1";
/// Longest envelope that is read.
const MAX_BYTES: usize = 512;

fn domain(network: &str) -> String {
    format!("mc-grant/{network}")
}

/// Signs a grant as the coordinator `identity`. Empty if signing fails.
#[must_use]
pub fn seal_grant(grant: &Grant, identity: &Identity, network: &str) -> Vec<u8> {
    let Ok(payload) = mc_protocol::encode(grant) else {
        return Vec::new();
    };
    let keypair = identity.clone().into_keypair();
    let sealed = SignedEnvelope::new(&keypair, domain(network), PAYLOAD_TYPE.to_vec(), payload);
    sealed.map_or_else(|_| Vec::new(), SignedEnvelope::into_protobuf_encoding)
}

/// What was signed, and by whom.
#[must_use]
pub fn open_grant(network: &str, sealed: &[u8]) -> Option<(Grant, NodeId)> {
    if sealed.len() > MAX_BYTES {
        return None;
    }
    let envelope = SignedEnvelope::from_protobuf_encoding(sealed).ok()?;
    let opened = envelope.payload_and_signing_key(domain(network), PAYLOAD_TYPE);
    let (payload, signer) = opened.ok()?;
    let grant = mc_protocol::decode(payload).ok()?;
    Some((grant, node_id(&signer.to_peer_id())))
}
