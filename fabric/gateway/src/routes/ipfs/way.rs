//! The way from a root to what a path ends at.

use crate::backend::{Blocks, Error};
use bytes::Bytes;
use mc_content::{BlockSource, Error as ContentError, unixfs};
use mc_types::Cid;
use std::sync::{Mutex, PoisonError};

/// Most bytes of directories on the way: they are in memory until they are sent.
const MAX_WAY_BYTES: usize = 64 << 20;

/// A way that was gone.
pub(super) struct Way {
    /// The CIDs on it: the root, what each name leads to, and the end.
    pub(super) cids: Vec<Cid>,
    pub(super) end: Cid,
    /// The blocks that show that it leads there, the end's own not among them.
    pub(super) blocks: Vec<(Cid, Bytes)>,
}

impl Way {
    pub(super) async fn find(blocks: &Blocks, root: Cid, path: &str) -> Result<Self, Error> {
        let noted = Noted {
            blocks,
            read: Mutex::default(),
        };
        let (mut cids, mut end) = (vec![root], root);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            end = unixfs::resolve(&noted, end, name).await?.cid;
            cids.push(end);
        }
        let read = noted.read.into_inner();
        let mut blocks = read.unwrap_or_else(PoisonError::into_inner);
        blocks.retain(|(cid, _)| *cid != end);
        Ok(Self { cids, end, blocks })
    }
}

/// Keeps what is read.
struct Noted<'a> {
    blocks: &'a Blocks,
    read: Mutex<Vec<(Cid, Bytes)>>,
}

impl BlockSource for Noted<'_> {
    async fn get(&self, cid: &Cid) -> Result<Bytes, ContentError> {
        let bytes = self.blocks.get(cid).await?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.push((*cid, bytes.clone()));
        let total: usize = read.iter().map(|(_, bytes)| bytes.len()).sum();
        if total > MAX_WAY_BYTES {
            return Err(ContentError::TooLarge {
                cid: *cid,
                limit: format!("a path over more than {MAX_WAY_BYTES} bytes of directories"),
            });
        }
        Ok(bytes)
    }
}
