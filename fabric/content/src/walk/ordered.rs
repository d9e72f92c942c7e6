//! The blocks of a DAG in the order of a walk into its depth, fetched ahead.

use crate::{BlockSource, Error, MAX_DAG_BLOCKS, links};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use mc_types::Cid;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// Which blocks of a DAG a walk gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// A block that is linked to several times is given each time, so that a reader need not remember any.
    pub duplicates: bool,
}

type Fetching = BoxFuture<'static, (Cid, Result<Bytes, Error>)>;

/// What a walk follows from a block.
type Follow = fn(&Cid, &[u8]) -> Result<Vec<Cid>, Error>;

struct Walk<S> {
    source: Arc<S>,
    order: Order,
    follow: Follow,
    root: Cid,
    /// What comes next, in order.
    pending: VecDeque<Cid>,
    fetching: FuturesUnordered<Fetching>,
    /// What is being fetched, and what has come before its turn.
    ahead: HashMap<Cid, Option<Bytes>>,
    given: HashSet<Cid>,
    count: usize,
}

/// The blocks below `roots`, one DAG after the other, each node before what it links to, in the order of its
/// links. At most [`BlockSource::ahead`] blocks are in memory. The stream ends after its first error.
///
/// # Errors
///
/// The source's, or [`Error::TooLarge`] beyond [`MAX_DAG_BLOCKS`].
pub fn ordered<S: BlockSource + 'static>(
    source: Arc<S>,
    roots: Vec<Cid>,
    order: Order,
) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
    ordered_by(source, roots, order, links::of)
}

/// As [`ordered`], but only along the links that `follow` gives.
///
/// # Errors
///
/// As [`ordered`], and those of `follow`.
pub fn ordered_by<S: BlockSource + 'static>(
    source: Arc<S>,
    roots: Vec<Cid>,
    order: Order,
    follow: Follow,
) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
    let walk = Walk {
        source,
        order,
        follow,
        root: roots.first().copied().unwrap_or_default(),
        pending: roots.into(),
        fetching: FuturesUnordered::new(),
        ahead: HashMap::new(),
        given: HashSet::new(),
        count: 0,
    };
    stream::try_unfold(walk, |mut walk| async move {
        Ok(walk.next().await?.map(|block| (block, walk)))
    })
}

impl<S: BlockSource + 'static> Walk<S> {
    async fn next(&mut self) -> Result<Option<(Cid, Bytes)>, Error> {
        if !self.order.duplicates {
            while self
                .pending
                .front()
                .is_some_and(|cid| self.given.contains(cid))
            {
                self.pending.pop_front();
            }
        }
        let Some(cid) = self.pending.pop_front() else {
            return Ok(None);
        };
        self.count += 1;
        if self.count > MAX_DAG_BLOCKS {
            let limit = format!("more than {MAX_DAG_BLOCKS} blocks");
            return Err(Error::TooLarge {
                cid: self.root,
                limit,
            });
        }
        let bytes = self.fetch(cid).await?;
        let links = (self.follow)(&cid, &bytes)?;
        for link in links.into_iter().rev() {
            self.pending.push_front(link);
        }
        if !self.order.duplicates {
            self.given.insert(cid);
        }
        Ok(Some((cid, bytes)))
    }

    /// The block whose turn it is, while those that follow are on their way.
    async fn fetch(&mut self, cid: Cid) -> Result<Bytes, Error> {
        self.ask(cid);
        for position in 0..self.source.ahead() {
            let Some(next) = self.pending.get(position).copied() else {
                break;
            };
            if self.ahead.len() >= self.source.ahead() {
                break;
            }
            if !self.given.contains(&next) {
                self.ask(next);
            }
        }
        loop {
            if let Some(Some(bytes)) = self.ahead.get(&cid).cloned() {
                self.ahead.remove(&cid);
                return Ok(bytes);
            }
            let Some((came, result)) = self.fetching.next().await else {
                return Err(Error::NotFound { cid, peers: None });
            };
            match result {
                Ok(bytes) => drop(self.ahead.insert(came, Some(bytes))),
                Err(error) if came == cid => return Err(error),
                // Asked for again when its turn comes: that is when the error matters.
                Err(_) => drop(self.ahead.remove(&came)),
            }
        }
    }

    fn ask(&mut self, cid: Cid) {
        if self.ahead.contains_key(&cid) {
            return;
        }
        self.ahead.insert(cid, None);
        let source = Arc::clone(&self.source);
        let fetch = async move {
            let result = source.get(&cid).await;
            (cid, result)
        };
        self.fetching.push(Box::pin(fetch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, MemoryBlocks, unixfs};

    async fn walk(blocks: &Arc<MemoryBlocks>, root: Cid, duplicates: bool) -> Vec<Cid> {
        let order = Order { duplicates };
        let walk = ordered(Arc::clone(blocks), vec![root], order);
        walk.map(|block| block.unwrap().0).collect().await
    }

    #[tokio::test]
    async fn blocks_come_in_the_order_in_which_a_reader_needs_them() {
        let blocks = Arc::new(MemoryBlocks::default());
        let options = AddOptions {
            chunk_bytes: 10,
            ..AddOptions::default()
        };
        // 40 different chunks, then the same 400 times: three levels.
        let mut bytes: Vec<u8> = (0..=255).cycle().take(400).collect();
        bytes.extend([7; 4_000]);
        let added = unixfs::add_reader(&bytes[..], &*blocks, &options)
            .await
            .unwrap();
        let all = walk(&blocks, added.cid, true).await;
        assert_eq!(all.first(), Some(&added.cid));
        let mut read = Vec::new();
        for cid in &all {
            if cid.codec() == mc_types::cid::RAW {
                read.extend(blocks.get(cid).await.unwrap());
            }
        }
        assert_eq!(read, bytes);
        let once = walk(&blocks, added.cid, false).await;
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(once.len(), distinct.len());
        assert!(once.len() < all.len());
    }

    #[tokio::test]
    async fn a_missing_block_ends_the_walk_in_its_turn() {
        let blocks = Arc::new(MemoryBlocks::default());
        let options = AddOptions {
            chunk_bytes: 10,
            ..AddOptions::default()
        };
        let bytes: Vec<u8> = (0..250).collect();
        let added = unixfs::add_reader(&bytes[..], &*blocks, &options)
            .await
            .unwrap();
        let all = walk(&blocks, added.cid, true).await;
        blocks.remove(all.get(7).unwrap());
        let order = Order { duplicates: true };
        let walk = ordered(Arc::clone(&blocks), vec![added.cid], order);
        let given: Vec<_> = walk.collect().await;
        assert_eq!(given.len(), 8);
        assert!(given.iter().take(7).all(Result::is_ok));
        assert!(matches!(
            given.last(),
            Some(Err(Error::NotFound { cid, .. })) if Some(cid) == all.get(7)
        ));
    }
}
