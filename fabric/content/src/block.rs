//! Blocks, and where they come from and go to.

use crate::{Error, MAX_BLOCK_BYTES};
use bytes::Bytes;
use mc_types::{Cid, Verified, cid};
use std::future::Future;

/// Bytes together with the CID that they hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    bytes: Bytes,
}

impl Block {
    /// A block that claims to be `cid`.
    ///
    /// # Errors
    ///
    /// [`Error::BlockTooLarge`] before hashing, [`Error::Verify`] when the bytes do not match.
    pub fn new(cid: Cid, bytes: Bytes) -> Result<Self, Error> {
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { bytes: bytes.len() });
        }
        cid::verify(&cid, &bytes)?;
        Ok(Self { cid, bytes })
    }

    /// A block of our own making, under the multicodec `codec`.
    ///
    /// # Errors
    ///
    /// [`Error::BlockTooLarge`].
    pub fn encode(codec: u64, bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { bytes: bytes.len() });
        }
        Ok(Self {
            cid: cid::of(codec, &bytes),
            bytes,
        })
    }

    /// Bytes that this crate hashed to `cid`, or had as a block before.
    pub(crate) fn hashed(cid: Cid, bytes: impl Into<Bytes>) -> Self {
        Self {
            cid,
            bytes: bytes.into(),
        }
    }

    /// Its CID.
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Both parts.
    #[must_use]
    pub fn into_parts(self) -> (Cid, Bytes) {
        (self.cid, self.bytes)
    }
}

/// Bytes that were hashed already are not hashed once more.
impl TryFrom<Verified<Bytes>> for Block {
    type Error = Error;

    fn try_from(verified: Verified<Bytes>) -> Result<Self, Error> {
        let (cid, bytes) = verified.into_parts();
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { bytes: bytes.len() });
        }
        Ok(Self { cid, bytes })
    }
}

/// How many blocks to request ahead: enough to hide a round trip, at most 32 MiB.
const AHEAD_BLOCKS: usize = 16;

/// Where blocks come from.
pub trait BlockSource: Send + Sync {
    /// How many blocks to request ahead. A source that can only give them in the order of a walk returns 1.
    fn ahead(&self) -> usize {
        AHEAD_BLOCKS
    }

    /// The verified bytes of `cid`. If the CID itself contains them, they are taken from it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the source does not have it.
    fn get(&self, cid: &Cid) -> impl Future<Output = Result<Bytes, Error>> + Send {
        async move {
            match cid::inline(cid) {
                Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
                None => self.load(cid).await,
            }
        }
    }

    /// The bytes of `cid`, verified by the source. The CID does not contain them itself. Sources implement this;
    /// readers call [`Self::get`].
    ///
    /// # Errors
    ///
    /// As [`Self::get`].
    fn load(&self, cid: &Cid) -> impl Future<Output = Result<Bytes, Error>> + Send;
}

impl<S: BlockSource + ?Sized> BlockSource for std::sync::Arc<S> {
    fn ahead(&self) -> usize {
        S::ahead(self)
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        S::load(self, cid).await
    }
}

impl<S: BlockSource> BlockSource for &S {
    fn ahead(&self) -> usize {
        S::ahead(self)
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        S::load(self, cid).await
    }
}

/// No source at all has nothing.
impl<S: BlockSource> BlockSource for Option<S> {
    fn ahead(&self) -> usize {
        self.as_ref().map_or(AHEAD_BLOCKS, S::ahead)
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        match self {
            Some(source) => source.load(cid).await,
            None => Err(Error::NotFound {
                cid: *cid,
                peers: None,
            }),
        }
    }
}

/// Where blocks go.
pub trait BlockSink: Send + Sync {
    /// Takes blocks; when it returns, they are where they belong.
    ///
    /// # Errors
    ///
    /// Whatever keeps the sink from taking them.
    fn put_many(&self, blocks: Vec<Block>) -> impl Future<Output = Result<(), Error>> + Send;
}

impl<S: BlockSink + ?Sized> BlockSink for std::sync::Arc<S> {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        S::put_many(self, blocks).await
    }
}
