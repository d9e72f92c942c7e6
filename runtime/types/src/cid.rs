//! Content identifiers: CIDv1 with sha2-256, the form in which the fabric names every block.

pub use ::cid::{Cid, Error as ParseError, Version};
pub use multihash_codetable::Multihash;
use multihash_codetable::{Code, MultihashDigest};

/// Multicodec of a raw leaf: the block is the bytes of a file.
pub const RAW: u64 = 0x55;
/// Multicodec of a UnixFS node (`dag-pb`).
pub const DAG_PB: u64 = 0x70;
/// Multicodec of structured data (`dag-cbor`): tasks, outcomes.
pub const DAG_CBOR: u64 = 0x71;

/// Multihash code of sha2-256, which names everything made here.
const SHA2_256: u64 = 0x12;
/// Multihash code of the identity hash, which does not hash: it is the bytes themselves.
const IDENTITY: u64 = 0x00;

/// Why bytes and a CID do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The CID uses a hash function that this fabric does not compute, or a shortened hash.
    #[error(
        "{cid} uses hash function {code:#x} with {bytes} bytes; accepted are whole hashes of sha2-256, sha2-512, \
         blake2b-256, blake2b-512 and blake3"
    )]
    UnsupportedHash {
        /// The CID in question.
        cid: Cid,
        /// Its multihash code.
        code: u64,
        /// How long the hash is.
        bytes: u8,
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

/// The CIDv1 of the bytes with this sha2-256, under the multicodec `codec`.
#[must_use]
#[expect(clippy::expect_used, reason = "32 bytes fit a multihash of up to 64")]
pub fn of_digest(codec: u64, digest: &[u8; 32]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, digest).expect("it is short enough");
    Cid::new_v1(codec, hash)
}

/// The 32 bytes of the hash in a CID that [`of`] made. In another CID, the hash is cut off or filled with zeros.
#[must_use]
pub fn digest(cid: &Cid) -> [u8; 32] {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(cid.hash().digest()) {
        *to = *from;
    }
    digest
}

/// The bytes of a block that its CID contains, if the CID has an identity hash: such a block need not be fetched,
/// stored or verified. They are at most 64, since a [`Cid`] has no room for more.
#[must_use]
pub fn inline(cid: &Cid) -> Option<&[u8]> {
    let hash = cid.hash();
    (hash.code() == IDENTITY).then(|| hash.digest())
}

/// A hash function that is computed here.
fn function(code: u64) -> Option<Code> {
    let function = Code::try_from(code).ok()?;
    matches!(
        function,
        Code::Sha2_256 | Code::Sha2_512 | Code::Blake2b256 | Code::Blake2b512 | Code::Blake3_256
    )
    .then_some(function)
}

/// The CIDv1 of `bytes` under the multicodec `codec` by the hash function `code`, if that is computed here.
#[must_use]
pub fn of_function(codec: u64, code: u64, bytes: &[u8]) -> Option<Cid> {
    Some(Cid::new_v1(codec, function(code)?.digest(bytes)))
}

/// Checks that this node can verify the bytes of `cid`.
///
/// # Errors
///
/// [`VerifyError::UnsupportedHash`].
pub fn check(cid: &Cid) -> Result<(), VerifyError> {
    let (code, bytes) = (cid.hash().code(), cid.hash().size());
    // A shortened hash is easier to forge, and no node of ours uses one.
    let is_whole = |function: Code| function.digest(b"").size() == bytes;
    if code == IDENTITY || function(code).is_some_and(is_whole) {
        return Ok(());
    }
    Err(VerifyError::UnsupportedHash {
        cid: *cid,
        code,
        bytes,
    })
}

/// Checks that `bytes` are what `cid` names, by hashing them.
///
/// # Errors
///
/// [`VerifyError`] when they are not, or when the CID's hash function is not one that is computed here.
pub fn verify(cid: &Cid, bytes: &[u8]) -> Result<(), VerifyError> {
    let mismatch = VerifyError::Mismatch { expected: *cid };
    if let Some(inline) = inline(cid) {
        return (inline == bytes).then_some(()).ok_or(mismatch);
    }
    check(cid)?;
    let is_it = function(cid.hash().code()).is_some_and(|f| f.digest(bytes) == *cid.hash());
    is_it.then_some(()).ok_or(mismatch)
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
    fn identity_cids_have_their_bytes_in_themselves() {
        // What `ipfs add --inline` makes of "hello".
        let cid: Cid = "bafkqablimvwgy3y".parse().unwrap();
        assert_eq!(inline(&cid), Some(&b"hello"[..]));
        assert_eq!(verify(&cid, b"hello"), Ok(()));
        let expected = VerifyError::Mismatch { expected: cid };
        assert_eq!(verify(&cid, b"hellO"), Err(expected));
        assert_eq!(inline(&of(RAW, b"hello")), None);
        // 64 bytes fit, and not one more.
        let bytes = [7; 64];
        let long = Cid::new_v1(RAW, Multihash::wrap(IDENTITY, &bytes).unwrap());
        assert_eq!(inline(&long.to_string().parse().unwrap()), Some(&bytes[..]));
        let mut longer = vec![1, 0x55, 0, 65];
        longer.extend([7; 65]);
        assert!(Cid::try_from(&longer[..]).is_err());
    }

    /// CIDs of "hello", by independent software.
    const KNOWN: [&str; 5] = [
        "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq",
        "bafkrgqe3ohjcjplc6n4f3fwunlj6upltggn7xqujbsvnvyw764srszz4u4rshq6ztos4chl4plgg4ffyyxnayrtdi5oc4xb2332g645433aeg",
        "bafk2bzaceaze3tycpxkkgcutfrcb6ns2exugwfz556slrzmjjasti4nydnzm6",
        "bafk4bzacidsm7i42hu334mofsye6qb4xa6m4vjukdg72ufitl4lfbbpadva2mw5b4gyunlvwxuajfne6vqquyeb4z6r2gzmvjo56kl3uukzwedeu",
        "bafkr4ihkr4ld3m4gqkjf4reryxsy2s5tkbxprqkow6fin2iiyvreuzzab4",
    ];

    #[test]
    fn hash_functions_of_ipfs_are_verified() {
        for text in KNOWN {
            let cid: Cid = text.parse().unwrap();
            assert_eq!(verify(&cid, b"hello"), Ok(()), "{text}");
            let code = cid.hash().code();
            assert_eq!(of_function(RAW, code, b"hello"), Some(cid), "{text}");
            let expected = VerifyError::Mismatch { expected: cid };
            assert_eq!(verify(&cid, b"hallo"), Err(expected), "{text}");
        }
    }

    #[test]
    fn other_hash_functions_and_parts_of_hashes_are_refused_by_name() {
        let sha1 = Multihash::wrap(0x11, &[7; 20]).unwrap();
        let short = Multihash::wrap(SHA2_256, &of(RAW, b"hello").hash().digest()[..20]).unwrap();
        for (hash, code) in [(sha1, 0x11), (short, 0x12)] {
            let cid = Cid::new_v1(RAW, hash);
            let bytes = 20;
            let expected = VerifyError::UnsupportedHash { cid, code, bytes };
            assert_eq!(verify(&cid, b"hello"), Err(expected.clone()));
            assert_eq!(check(&cid), Err(expected));
        }
        assert_eq!(of_function(RAW, 0x11, b"hello"), None);
        assert_eq!(of_function(RAW, IDENTITY, b"hello"), None);
    }
}
