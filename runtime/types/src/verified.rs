//! Bytes that were hashed.

use crate::{
    Cid,
    cid::{self, VerifyError, Version},
};

/// Bytes together with the CID that they hash to. Making one always hashes, so its receiver need not hash again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<B> {
    cid: Cid,
    bytes: B,
}

impl<B: AsRef<[u8]>> Verified<B> {
    /// Bytes that claim to be `cid`.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] when they are others, or nobody here can tell.
    pub fn new(cid: Cid, bytes: B) -> Result<Self, VerifyError> {
        cid::verify(&cid, bytes.as_ref())?;
        Ok(Self { cid, bytes })
    }

    /// Bytes under the CID that they have by the hash function `code`, under the multicodec `codec`; `None` if that function
    /// is not computed here, or there is no such CID.
    pub fn hash(version: Version, codec: u64, code: u64, bytes: B) -> Option<Self> {
        let newest = cid::of_function(codec, code, bytes.as_ref())?;
        let cid = match version {
            Version::V0 => Cid::new_v0(*newest.hash()).ok()?,
            Version::V1 => newest,
        };
        Some(Self { cid, bytes })
    }
}

impl<B> Verified<B> {
    /// The CID.
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (Cid, B) {
        (self.cid, self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA2_256: u64 = 0x12;

    #[test]
    fn only_bytes_that_hash_to_a_cid_go_with_it() {
        let cid = cid::of(cid::RAW, b"hello");
        let verified = Verified::new(cid, b"hello").unwrap();
        assert_eq!(verified.into_parts(), (cid, b"hello"));
        let wrong = Verified::new(cid, b"hallo");
        assert_eq!(wrong, Err(VerifyError::Mismatch { expected: cid }));
    }

    #[test]
    fn a_cid_is_that_of_the_bytes_in_either_version() {
        let newest = Verified::hash(Version::V1, cid::DAG_PB, SHA2_256, b"node").unwrap();
        assert_eq!(*newest.cid(), cid::of(cid::DAG_PB, b"node"));
        let old = Verified::hash(Version::V0, cid::DAG_PB, SHA2_256, b"node").unwrap();
        assert_eq!(old.cid().version(), Version::V0);
        assert_eq!(old.cid().hash(), newest.cid().hash());
        // The identity hash, and one that is not computed here.
        for code in [0x00, 0x11] {
            assert_eq!(Verified::hash(Version::V1, cid::RAW, code, b"node"), None);
        }
    }
}
