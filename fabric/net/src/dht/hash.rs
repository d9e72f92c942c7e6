//! Hashes that make the keys of the DHT.

use mc_types::cid;

/// The digest under which something is kept.
pub(super) fn digest(bytes: &[u8]) -> Vec<u8> {
    cid::of(cid::RAW, bytes).hash().digest().to_vec()
}

/// The digest of several texts. Each is preceded by its length, so that different sequences have different digests.
pub(super) fn hash(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    digest(&bytes)
}
