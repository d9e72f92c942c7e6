//! The blocks of a DAG in the order of a walk into its depth, fetched ahead.

use crate::{BlockSource, Error, MAX_DAG_BLOCKS, links::Follow};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use mc_types::{Ahead, Cid, cid};
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

/// While blocks are small, up to so many times as many are asked for ahead as the source says.
const MAX_SMALLER: usize = 4;
/// How many places of the walk are looked at to find one that can be asked for. The others have been asked for already.
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
    /// How many blocks there may be: of those that were given, and of those that are still to come.
    most: usize,
    /// How many to ask for ahead.
    most_ahead: Ahead,
}

/// The blocks below `roots`, one DAG after the other, each node before what it links to, in the order of its
/// links, and only along those that `follow` gives. At most [`BlockSource::ahead`] blocks are in memory, or four times as
/// many while they are small. The stream ends after its first error.
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
            most_ahead: Ahead::new(usual, most_ahead),
        }
    }

    /// What comes next and is to be given. A root that has its block in itself is passed over, and what it links to
    /// comes in its place.
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
        // Places that wait count, too: otherwise lists that name the same few blocks over and over would take memory
        // without end.
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

    /// The block whose turn it is, while those that follow are on their way.
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
                // Asked for again when its turn comes: that is when the error matters.
                Err(_) => drop(self.ahead.remove(&came)),
            }
        }
    }

    /// Asks for what comes next in the walk, as far as that is known: also below blocks that came before their turn.
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
    /// How many more may be asked for, and how many more be looked at.
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
mod tests {
    use super::*;
    use crate::{AddOptions, Block, BlockSink, MemoryBlocks, links, unixfs};
    use futures::channel::oneshot;
    use ipld_core::ipld::Ipld;
    use std::{sync::Mutex, task::Poll};

    /// Along all links.
    fn ordered<S: BlockSource + 'static>(
        source: Arc<S>,
        roots: Vec<Cid>,
        order: Order,
    ) -> impl Stream<Item = Result<(Cid, Bytes), Error>> + Send {
        ordered_by(source, roots, order, links::of)
    }

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
    async fn what_is_still_to_come_is_bounded_too() {
        let blocks = Arc::new(MemoryBlocks::default());
        let end = unixfs::add_bytes(b"end", &*blocks).await.unwrap().cid;
        let mut root = end;
        // Five blocks: each of the lists has the next one sixty times.
        for _ in 0..4 {
            let list = Ipld::List(vec![Ipld::Link(root); 60]);
            let bytes = serde_ipld_dagcbor::to_vec(&list).unwrap();
            let block = Block::encode(cid::DAG_CBOR, bytes).unwrap();
            root = *block.cid();
            blocks.put_many(vec![block]).await.unwrap();
        }
        assert_eq!(walk(&blocks, root, false).await.len(), 5);
        let order = Order { duplicates: false };
        let mut walk = Walk::new(blocks, vec![root], order, links::of);
        walk.most = 100;
        let end = loop {
            match walk.next().await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(Error::TooLarge { .. })), "{end:?}");
    }

    /// A source that gives what it was asked for when it is told to.
    #[derive(Default)]
    struct Held {
        blocks: MemoryBlocks,
        asked: Mutex<Vec<oneshot::Sender<()>>>,
    }

    impl BlockSource for Held {
        async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
            let (give, given) = oneshot::channel();
            self.asked.lock().unwrap().push(give);
            given.await.unwrap();
            self.blocks.load(cid).await
        }
    }

    #[tokio::test]
    async fn a_tree_of_small_nodes_does_not_take_a_round_trip_for_each() {
        let source = Arc::new(Held::default());
        let options = AddOptions::default();
        let mut adder = crate::unixfs::Adder::new(&source.blocks, &options);
        let mut top = Vec::new();
        let path = std::path::Path::new("");
        for number in 0..100_u8 {
            let mut entries = Vec::new();
            for name in ["a", "b", "c"] {
                let mut file = adder.file(None);
                adder
                    .extend(&mut file, &[number, name.as_bytes()[0]])
                    .await
                    .unwrap();
                entries.push((name.to_owned(), adder.end_file(file).await.unwrap()));
            }
            let inner = adder.directory(entries, None, path).await.unwrap();
            top.push((format!("{number:03}"), inner));
        }
        let root = adder.directory(top, None, path).await.unwrap().cid;
        adder.flush().await.unwrap();
        let order = Order { duplicates: true };
        let mut walk = Box::pin(ordered(Arc::clone(&source), vec![root], order));
        let (mut blocks, mut trips) = (0, 0);
        loop {
            match futures::poll!(walk.next()) {
                Poll::Ready(None) => break,
                Poll::Ready(Some(block)) => {
                    block.unwrap();
                    blocks += 1;
                }
                Poll::Pending => {
                    let asked = std::mem::take(&mut *source.asked.lock().unwrap());
                    assert!(asked.len() <= 16 * MAX_SMALLER);
                    trips += usize::from(!asked.is_empty());
                    asked.into_iter().for_each(|give| give.send(()).unwrap());
                }
            }
        }
        assert_eq!(blocks, 401);
        assert!(trips < 40, "{trips} round trips for 101 directories");
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
