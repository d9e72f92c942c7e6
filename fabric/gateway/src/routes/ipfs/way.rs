//! The way from a root to the end of a path.

use crate::backend::{Blocks, Error};
use bytes::Bytes;
use mc_content::{BlockSource, Error as ContentError, path};
use mc_types::{Cid, ErrorCode};
use std::sync::{Mutex, PoisonError};

/// The most bytes of directories on the way: they are in memory until they are sent.
const MAX_WAY_BYTES: usize = 64 << 20;

/// Most names of a path.
const MAX_NAMES: usize = 1024;

/// A way that was gone.
pub(super) struct Way {
    /// The CIDs on it: the root, what each name leads to, and the end.
    pub(super) cids: Vec<Cid>,
    pub(super) end: Cid,
    /// Names that lead on within the last block.
    pub(super) within: usize,
    /// The blocks that prove the way, without those of its end.
    pub(super) blocks: Vec<(Cid, Bytes)>,
}

impl Way {
    pub(super) async fn find(blocks: &Blocks, root: Cid, path: &str) -> Result<Self, Error> {
        let noted = Noted {
            blocks,
            read: Mutex::default(),
        };
        let (mut cids, mut end, mut within) = (vec![root], root, 0);
        let names = path.split('/').filter(|name| !name.is_empty());
        let names: Vec<_> = names.collect();
        if names.len() > MAX_NAMES {
            let message = format!("a path of more than {MAX_NAMES} names");
            return Err(Error::new(ErrorCode::Usage, message));
        }
        let mut left = names.as_slice();
        while !left.is_empty() {
            let (reached, count) = path::step(&noted, end, left).await?;
            (end, within) = (reached.cid, reached.within);
            left = left.get(left.len() - count..).unwrap_or_default();
            cids.push(end);
        }
        let read = noted.read.into_inner();
        let Read { mut blocks, .. } = read.unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|(cid, _)| *cid != end);
        Ok(Self {
            cids,
            end,
            within,
            blocks,
        })
    }
}

/// What was read on the way.
#[derive(Default)]
struct Read {
    blocks: Vec<(Cid, Bytes)>,
    bytes: usize,
}

/// Keeps what is read.
struct Noted<'a> {
    blocks: &'a Blocks,
    read: Mutex<Read>,
}

impl BlockSource for Noted<'_> {
    async fn load(&self, cid: &Cid) -> Result<Bytes, ContentError> {
        let bytes = self.blocks.load(cid).await?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.blocks.push((*cid, bytes.clone()));
        read.bytes += bytes.len();
        if read.bytes > MAX_WAY_BYTES {
            return Err(ContentError::TooLarge {
                cid: *cid,
                limit: format!("a path over more than {MAX_WAY_BYTES} bytes of directories"),
            });
        }
        Ok(bytes)
    }
}
