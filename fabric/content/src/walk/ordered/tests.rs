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
