//! One entry, and what makes it acceptable.

use super::{grant::open_grant, hash::hash};
use crate::identity::{Identity, node_id};
use libp2p::core::SignedEnvelope;
use mc_types::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest envelope that is accepted.
pub const MAX_ENTRY_BYTES: usize = 2048;
/// The version of the format.
const VERSION: u8 = 1;
/// What the payload of an envelope is.
const PAYLOAD_TYPE: &[u8] = b"/mc/dht/entry/1";
/// How far another node's clock may be ahead.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// What a node is and lends.
    Node,
    /// What a job came to, as its worker says.
    Completion,
    /// In which state a job is, as its coordinator says.
    Task,
}

impl RecordKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Completion => "completion",
            Self::Task => "task",
        }
    }

    /// The longest time for which an entry may live.
    #[must_use]
    pub const fn longest(self) -> Duration {
        match self {
            Self::Node => Duration::from_secs(5 * 60),
            Self::Completion => Duration::from_secs(48 * 3600),
            Self::Task => Duration::from_secs(3600),
        }
    }

    /// The key of the entry about `subject`: a hash, so that keys are spread evenly.
    #[must_use]
    pub fn key(self, network: &str, subject: &str) -> Vec<u8> {
        hash(&["mc1", network, self.name(), subject])
    }
}

/// An entry, as its publisher signed it. Fields that a later version adds are skipped. An entry of an unknown kind is
/// refused, since this node cannot tell who may publish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    v: u8,
    /// What it is about.
    pub kind: RecordKind,
    /// Which one of that kind.
    pub subject: String,
    /// Who signed it.
    pub publisher: NodeId,
    /// Of several entries of one publisher the one with the largest number counts.
    pub seq: u64,
    issued: Timestamp,
    /// When it expires.
    pub expires: Timestamp,
    /// The fencing token, of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// What the coordinator signed, of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    grant: Option<Vec<u8>>,
    /// What it says, in the encoding of its kind.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Why an entry was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_ENTRY_BYTES`].
    #[error("oversized")]
    Oversized,
    /// No envelope, no entry, or one of another version or network.
    #[error("malformed")]
    Malformed,
    /// The signature is not the publisher's, or the grant is not for the publisher.
    #[error("forged")]
    Forged,
    /// It was stored under a key that is not its own.
    #[error("misplaced")]
    Misplaced,
    /// It has expired, lives for too long, or comes from the future.
    #[error("expired")]
    Expired,
    /// One that is newer is known.
    #[error("replayed")]
    Replayed,
    /// Its publisher or its bearer has used up what it may store.
    #[error("flooded")]
    Flooded,
}

impl Refusal {
    /// Every kind, for those who count them.
    pub const ALL: &[Self] = &[
        Self::Oversized,
        Self::Malformed,
        Self::Forged,
        Self::Misplaced,
        Self::Expired,
        Self::Replayed,
        Self::Flooded,
    ];
}

/// The domain of signatures of `network`: it keeps a signature from being used for another purpose.
fn domain(network: &str) -> String {
    format!("mc-dht/{network}")
}

impl Entry {
    /// A claim of `identity` about `subject`, for `ttl` at most.
    pub(crate) fn new(
        identity: &Identity,
        (kind, subject): (RecordKind, String),
        grant: Option<(u64, Vec<u8>)>,
        body: Vec<u8>,
        (now, ttl): (Timestamp, Duration),
    ) -> Self {
        let (token, grant) = grant.unzip();
        Self {
            v: VERSION,
            kind,
            subject,
            publisher: identity.node_id(),
            seq: now.as_millis(),
            issued: now,
            expires: now.plus(ttl.min(kind.longest())),
            token,
            grant,
            body,
        }
    }

    /// Its envelope.
    pub(crate) fn seal(&self, identity: &Identity, network: &str) -> Result<Vec<u8>, Refusal> {
        let payload = mc_protocol::encode(self).map_err(|_| Refusal::Malformed)?;
        let keypair = identity.clone().into_keypair();
        let envelope =
            SignedEnvelope::new(&keypair, domain(network), PAYLOAD_TYPE.to_vec(), payload);
        let sealed = envelope
            .map_err(|_| Refusal::Malformed)?
            .into_protobuf_encoding();
        if sealed.len() > MAX_ENTRY_BYTES {
            return Err(Refusal::Oversized);
        }
        Ok(sealed)
    }

    /// The entry in an envelope from `key`, if it is acceptable at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal`] says why it is not.
    pub fn open(network: &str, key: &[u8], sealed: &[u8], now: Timestamp) -> Result<Self, Refusal> {
        if sealed.len() > MAX_ENTRY_BYTES {
            return Err(Refusal::Oversized);
        }
        let envelope = SignedEnvelope::from_protobuf_encoding(sealed);
        let envelope = envelope.map_err(|_| Refusal::Malformed)?;
        let (payload, signer) = envelope
            .payload_and_signing_key(domain(network), PAYLOAD_TYPE)
            .map_err(|_| Refusal::Forged)?;
        let signer = node_id(&signer.to_peer_id());
        let entry: Self = mc_protocol::decode(payload).map_err(|_| Refusal::Malformed)?;
        if entry.v != VERSION {
            return Err(Refusal::Malformed);
        }
        entry.check(network, key, &signer, now)?;
        Ok(entry)
    }

    fn check(
        &self,
        network: &str,
        key: &[u8],
        signer: &NodeId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.publisher != *signer {
            return Err(Refusal::Forged);
        }
        if self.kind.key(network, &self.subject) != key {
            return Err(Refusal::Misplaced);
        }
        let lives = self.expires.since(self.issued);
        let is_ahead = self.issued > now.plus(MAX_AHEAD);
        if self.expires <= now || is_ahead || lives > self.kind.longest() {
            return Err(Refusal::Expired);
        }
        match self.kind {
            RecordKind::Node if self.subject == self.publisher.as_str() => Ok(()),
            RecordKind::Node => Err(Refusal::Forged),
            RecordKind::Completion => self.check_grant(network),
            // The first publisher about a job is believed until its entry expires: no other node can have known the id
            // before.
            RecordKind::Task => Ok(()),
        }
    }

    /// A completion counts only with a grant by which a coordinator gave the job to its publisher.
    fn check_grant(&self, network: &str) -> Result<(), Refusal> {
        let sealed = self.grant.as_ref().ok_or(Refusal::Forged)?;
        let (grant, _) = open_grant(network, sealed).ok_or(Refusal::Forged)?;
        let is_for_this = grant.job.to_string() == self.subject
            && grant.worker == self.publisher
            && Some(grant.token.0) == self.token;
        is_for_this.then_some(()).ok_or(Refusal::Forged)
    }

    /// The coordinator that granted the job of a completion.
    #[must_use]
    pub fn coordinator(&self, network: &str) -> Option<NodeId> {
        open_grant(network, self.grant.as_ref()?).map(|(_, coordinator)| coordinator)
    }

    /// Whether this may replace `known`, which has the same key.
    pub(crate) fn supersedes(&self, known: &Self) -> bool {
        let newer = |entry: &Self| (entry.token, entry.seq);
        let may = self.kind != RecordKind::Task || self.publisher == known.publisher;
        self == known || (may && newer(self) > newer(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_with_a_field_of_a_later_version_is_read() {
        let who = Identity::generate();
        let what = (RecordKind::Node, who.node_id().to_string());
        let now = Timestamp::from_millis(1_800_000_000_000);
        let time = (now, Duration::from_secs(60));
        let entry = Entry::new(&who, what, None, b"x".to_vec(), time);
        let mut payload = mc_protocol::encode(&entry).unwrap();
        // One entry more in the map, with the longest key, so that it is the last.
        payload[0] += 1;
        payload.extend(b"\x6asurprising\x01");
        let keypair = who.clone().into_keypair();
        let sealed = SignedEnvelope::new(&keypair, domain("test"), PAYLOAD_TYPE.to_vec(), payload);
        let sealed = sealed.unwrap().into_protobuf_encoding();
        let key = entry.kind.key("test", &entry.subject);
        assert_eq!(Entry::open("test", &key, &sealed, now), Ok(entry));
    }
}
