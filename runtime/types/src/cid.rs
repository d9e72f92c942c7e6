//! Content identifiers: CIDv1 with sha2-256, the form in which the fabric names every block.

pub use ::cid::{Cid, Version};
pub use multihash_codetable::Multihash;
use multihash_codetable::{Code, MultihashDigest};

/// Multicodec of a raw leaf: the block is the bytes of a file.
pub const RAW: u64 = 0x55;
/// Multicodec of a UnixFS node (`dag-pb`).
pub const DAG_PB: u64 = 0x70;
/// Multicodec of structured data (`dag-cbor`): tasks, outcomes.
pub const DAG_CBOR: u64 = 0x71;

/// Multihash code of sha2-256, the only hash that is accepted.
const SHA2_256: u64 = 0x12;

/// Why bytes and a CID do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The CID uses a hash function that this fabric does not compute.
    #[error("{cid} uses hash function {code:#x}; only sha2-256 (0x12) is accepted")]
    UnsupportedHash {
        /// The CID in question.
        cid: Cid,
        /// Its multihash code.
        code: u64,
    },
    /// The bytes hash to another CID.
    #[error("the bytes do not hash to {expected}")]
    Mismatch {
        /// What the bytes were said to be.
        expected: Cid,
    },
}

/// The CIDv1 of `bytes` under the multicodec `codec`.
#[must_use]
pub fn of(codec: u64, bytes: &[u8]) -> Cid {
    Cid::new_v1(codec, Code::Sha2_256.digest(bytes))
}

/// The CIDv1 of whatever has this sha2-256, under the multicodec `codec`.
#[must_use]
#[expect(clippy::expect_used, reason = "32 bytes fit a multihash of up to 64")]
pub fn of_digest(codec: u64, digest: &[u8; 32]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, digest).expect("it is short enough");
    Cid::new_v1(codec, hash)
}

/// The 32 bytes of the hash in a CID that [`of`] made; what another one has, cut off or filled with zeros.
#[must_use]
pub fn digest(cid: &Cid) -> [u8; 32] {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(cid.hash().digest()) {
        *to = *from;
    }
    digest
}

/// Checks that `bytes` are what `cid` names, by hashing them.
///
/// # Errors
///
/// [`VerifyError`] when they are not, or when the CID's hash function is not sha2-256.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), VerifyError> {
    if cid.hash().code() != SHA2_256 {
        return Err(VerifyError::UnsupportedHash {
            cid: *cid,
            code: cid.hash().code(),
        });
    }
    if *cid.hash() == Code::Sha2_256.digest(bytes) {
        Ok(())
    } else {
        Err(VerifyError::Mismatch { expected: *cid })
    }
}

/// Serde for fields that hold a CID: text where humans read (JSON, TOML), a link in DAG-CBOR.
///
/// The plain implementation would write an array of numbers into JSON.
pub mod portable {
    use super::Cid;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    /// A CID with this representation.
    #[derive(Clone, Copy)]
    struct Portable(Cid);

    impl Serialize for Portable {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() {
                serializer.collect_str(&self.0)
            } else {
                self.0.serialize(serializer)
            }
        }
    }

    impl<'de> Deserialize<'de> for Portable {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            if deserializer.is_human_readable() {
                let text = String::deserialize(deserializer)?;
                text.parse()
                    .map(Self)
                    .map_err(|e| D::Error::custom(format!("{text:?}: {e}")))
            } else {
                Cid::deserialize(deserializer).map(Self)
            }
        }
    }

    /// Writes a CID.
    ///
    /// # Errors
    ///
    /// The serializer's.
    pub fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        Portable(*cid).serialize(serializer)
    }

    /// Reads a CID.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        Portable::deserialize(deserializer).map(|cid| cid.0)
    }

    macro_rules! collection {
        ($(#[$doc:meta])* $name:ident: $type:ty, $portable:ty, $to:expr, $from:expr) => {
            $(#[$doc])*
            pub mod $name {
                use super::{Cid, Portable};
                use serde::{Deserialize, Deserializer, Serialize, Serializer};

                /// Writes the CIDs.
                ///
                /// # Errors
                ///
                /// The serializer's.
                pub fn serialize<S: Serializer>(
                    cids: &$type,
                    serializer: S,
                ) -> Result<S::Ok, S::Error> {
                    let to: fn(&$type) -> $portable = $to;
                    to(cids).serialize(serializer)
                }

                /// Reads the CIDs.
                ///
                /// # Errors
                ///
                /// When one of them is none.
                pub fn deserialize<'de, D: Deserializer<'de>>(
                    deserializer: D,
                ) -> Result<$type, D::Error> {
                    let from: fn($portable) -> $type = $from;
                    <$portable>::deserialize(deserializer).map(from)
                }
            }
        };
    }

    collection!(
        /// For `Option<Cid>`.
        option: Option<Cid>,
        Option<Portable>,
        |cid| cid.map(Portable),
        |cid| cid.map(|cid| cid.0)
    );
    collection!(
        /// For `Vec<Cid>`.
        list: Vec<Cid>,
        Vec<Portable>,
        |cids| cids.iter().copied().map(Portable).collect(),
        |cids| cids.into_iter().map(|cid| cid.0).collect()
    );
    collection!(
        /// For maps from names to CIDs.
        map: std::collections::BTreeMap<String, Cid>,
        std::collections::BTreeMap<String, Portable>,
        |cids| cids.iter().map(|(name, cid)| (name.clone(), Portable(*cid))).collect(),
        |cids| cids.into_iter().map(|(name, cid)| (name, cid.0)).collect()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cid_of_empty_raw_block_is_the_well_known_one() {
        // The same constant is used by every IPFS implementation for the empty raw block.
        assert_eq!(
            of(RAW, b"").to_string(),
            "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        );
    }

    #[test]
    fn flipped_bit_is_refused() {
        let cid = of(RAW, b"block");
        assert_eq!(verify(&cid, b"block"), Ok(()));
        assert_eq!(
            verify(&cid, b"clock"),
            Err(VerifyError::Mismatch { expected: cid })
        );
    }

    #[test]
    fn foreign_hash_functions_are_refused_by_name() {
        let identity = multihash_codetable::Multihash::wrap(0x00, b"inline").unwrap();
        let cid = Cid::new_v1(RAW, identity);
        let error = verify(&cid, b"inline").unwrap_err();
        assert!(
            matches!(error, VerifyError::UnsupportedHash { code: 0, .. }),
            "{error}"
        );
    }
}
