//! Digests as OCI registries name content.

use crate::{Cid, cid, hex};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};

/// `sha256:` and 64 hexadecimal digits: the hash of a layer, manifest or configuration as a whole, however
/// large. Source: the OCI image specification, descriptors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The CID that a single block with this digest would have. The DHT knows a layer that is larger than a block by
    /// this CID, though its file has another one.
    #[must_use]
    pub fn cid(&self) -> Cid {
        cid::of_digest(cid::RAW, &self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a digest: sha256: and 64 lower-case hexadecimal digits are expected")]
pub struct NoDigest;

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let bytes = text.strip_prefix("sha256:").and_then(hex::read);
        bytes.map(Self).ok_or(NoDigest)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_and_the_cid_of_a_block_are_the_same_hash() {
        let cid = cid::of(cid::RAW, b"layer");
        let digest = Digest::new(cid::digest(&cid));
        assert_eq!(digest.cid(), cid);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        // As other software has it.
        let text = "sha256:6af918a53b1567c99e1bb042e8aa54a7ba2e7a9b0f94a4a4dd39c01ef8e0b3cd";
        let name = text.parse::<Digest>().unwrap().cid().to_string();
        assert!(name.starts_with("bafkreidk7emkk"), "{name}");
        for bad in ["", "sha256:", "sha512:00", &text[7..], &text.to_uppercase()] {
            assert_eq!(bad.parse::<Digest>(), Err(NoDigest), "{bad}");
        }
    }
}
