//! The blocks of a DAG in depth-first order, fetched ahead.

use crate::{BlockSource, Error, MAX_DAG_BLOCKS, links::Follow};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use mc_types::{AdaptiveWindow, Cid, cid};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// Which blocks of a DAG a walk gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// A block with several links to it comes once for each, so that a reader need not remember any.
    pub duplicates: bool,
}

/// While blocks are small, the walk requests up to this many times as many ahead as the source says.
const MAX_SMALLER: usize = 4;
/// How many places of the walk are examined to find a block to request. The others have been requested already.
const LOOKS: usize = 4;

/// A block that has come, and what it links to.
struct Came {
    bytes: Bytes,
    links: Result<Vec<Cid>, Error>,
}

type Fetching = BoxFuture<'static, (Cid, Result<Bytes, Error>)>;

struct Walk<S> {
    source: Arc<S>,
    order: Order,
    follow: Follow,
    root: Cid,
    /// What comes next, in order.
    pending: VecDeque<Cid>,
    fetching: FuturesUnordered<Fetching>,
    /// What is being fetched, and what has come before its turn.
    ahead: HashMap<Cid, Option<Came>>,
    given: HashSet<Cid>,
    count: usize,
    /// How many blocks the walk may have in all: those returned, and those still to come.
    most: usize,
    /// How many to ask for ahead.
    most_ahead: AdaptiveWindow,
}

/// The blocks below `roots`, one DAG after the other: each node before its links, in their order, and only along those
/// that `follow` returns. At most [`BlockSource::ahead`] blocks are in memory, or four times as many while they are
/// small. The stream ends after its first error.
///
/// # Errors
///
/// The source's, those of `follow`, or [`Error::TooLarge`] beyond [`MAX_DAG_BLOCKS`].
pub fn ordered_by<S: BlockSource + 'static>(
    source: Arc<S>,
    roots: Vec<Cid>,
    order: Order,
    follow: Follow,
) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
    let walk = Walk::new(source, roots, order, follow);
    stream::try_unfold(walk, |mut walk| async move {
        Ok(walk.next().await?.map(|block| (block, walk)))
    })
}

impl<S: BlockSource + 'static> Walk<S> {
    fn new(source: Arc<S>, roots: Vec<Cid>, order: Order, follow: Follow) -> Self {
        let usual = source.ahead();
        // A source that keeps an order gives its blocks one after the other.
        let most_ahead = if usual > 1 {
            usual * MAX_SMALLER
        } else {
            usual
        };
        Self {
            source,
            order,
            follow,
            root: roots.first().copied().unwrap_or_default(),
            pending: roots.into(),
            fetching: FuturesUnordered::new(),
            ahead: HashMap::new(),
            given: HashSet::new(),
            count: 0,
            most: MAX_DAG_BLOCKS,
            most_ahead: AdaptiveWindow::new(usual, most_ahead),
        }
    }

    /// The next block to return. In place of a root that contains its own block come the links of that block.
    fn next_in_order(&mut self) -> Result<Option<Cid>, Error> {
        while let Some(cid) = self.pending.pop_front() {
            if let Some(bytes) = cid::inline(&cid) {
                let links = (self.follow)(&cid, bytes)?;
                links
                    .into_iter()
                    .rev()
                    .for_each(|link| self.pending.push_front(link));
            } else if self.order.duplicates || !self.given.contains(&cid) {
                return Ok(Some(cid));
            }
        }
        Ok(None)
    }

    async fn next(&mut self) -> Result<Option<(Cid, Bytes)>, Error> {
        let Some(cid) = self.next_in_order()? else {
            return Ok(None);
        };
        self.count += 1;
        // Waiting places count too: otherwise lists that name the same few blocks over and over would take unbounded
        // memory.
        if self.count.max(self.pending.len()) > self.most {
            let limit = format!("more than {} blocks", self.most);
            return Err(Error::TooLarge {
                cid: self.root,
                limit,
            });
        }
        let came = self.fetch(cid).await?;
        for link in came.links?.into_iter().rev() {
            self.pending.push_front(link);
        }
        if !self.order.duplicates {
            self.given.insert(cid);
        }
        Ok(Some((cid, came.bytes)))
    }

    /// The next block, while the following ones are being fetched.
    async fn fetch(&mut self, cid: Cid) -> Result<Came, Error> {
        self.ask(cid);
        self.ask_ahead();
        loop {
            if let Some(came) = self.ahead.get_mut(&cid).and_then(Option::take) {
                self.ahead.remove(&cid);
                return Ok(came);
            }
            let Some((came, result)) = self.fetching.next().await else {
                return Err(Error::NotFound { cid, peers: None });
            };
            match result {
                Ok(bytes) => {
                    self.most_ahead.came(bytes.len());
                    let links = (self.follow)(&came, &bytes);
                    self.ahead.insert(came, Some(Came { bytes, links }));
                    self.ask_ahead();
                }
                Err(error) if came == cid => return Err(error),
                // Requested again when its turn comes, since only then does the error matter.
                Err(_) => drop(self.ahead.remove(&came)),
            }
        }
    }

    /// Requests the next blocks of the walk, as far as they are known, also below blocks that arrived early.
    fn ask_ahead(&mut self) {
        let most = self.most_ahead.blocks();
        let mut next = Next {
            room: most.saturating_sub(self.ahead.len()),
            looks: most * LOOKS,
            cids: Vec::new(),
        };
        for cid in &self.pending {
            next.look(cid, &self.ahead, &self.given);
            if next.is_done() {
                break;
            }
        }
        for cid in next.cids {
            self.ask(cid);
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

/// Blocks to ask for.
struct Next {
    /// How many more blocks may be requested, and how many more places examined.
    room: usize,
    looks: usize,
    cids: Vec<Cid>,
}

impl Next {
    const fn is_done(&self) -> bool {
        self.room == 0 || self.looks == 0
    }

    /// Looks at a block, and at those below it if it has come.
    fn look(&mut self, cid: &Cid, ahead: &HashMap<Cid, Option<Came>>, given: &HashSet<Cid>) {
        if self.is_done() {
            return;
        }
        self.looks -= 1;
        if given.contains(cid) || cid::inline(cid).is_some() {
            return;
        }
        match ahead.get(cid) {
            Some(None) => {}
            // A chain of them is not longer than there are looks.
            Some(Some(came)) => {
                for link in came.links.iter().flatten() {
                    self.look(link, ahead, given);
                }
            }
            None => {
                self.room -= 1;
                self.cids.push(*cid);
            }
        }
    }
}

#[cfg(test)]
mod tests;
