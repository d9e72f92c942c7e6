//! What peers and files bring: messages, CARs, and DAGs of files and directories.

use bytes::Bytes;
use futures::{executor::block_on, io::Cursor, stream};
use mc_content::{
    Block, BlockSink, BlockSource, MemoryBlocks, car, links,
    unixfs::{self, RandomAccess},
};
use mc_types::{Cid, cid};

/// A frame is refused, or says something; a block in it is what its CID says.
pub fn bitswap(bytes: &[u8]) {
    let mut stream = Cursor::new(bytes);
    while let Ok(Some(frame)) = block_on(mc_bitswap::read_frame(&mut stream)) {
        for (cid, bytes) in frame.blocks {
            cid::verify(&cid, &bytes).unwrap();
        }
    }
}

/// A CAR is refused, or gives blocks that are what their CIDs say; however it is cut into pieces.
pub fn car(bytes: &[u8]) {
    let read = |piece: usize| {
        let pieces = bytes.chunks(piece).map(Bytes::copy_from_slice);
        let pieces: Vec<_> = pieces.map(Ok::<_, mc_content::Error>).collect();
        let mut reader = car::Reader::new(stream::iter(pieces));
        let mut blocks = Vec::new();
        let end = loop {
            match block_on(reader.next()) {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        (blocks, end)
    };
    let (blocks, is_good) = read(1 << 16);
    for block in &blocks {
        cid::verify(block.cid(), block.bytes()).unwrap();
        let _ = links::of(block.cid(), block.bytes());
    }
    assert_eq!(read(7), (blocks, is_good));
}

/// Bytes as a program that puts nodes together.
struct Program<'a>(&'a [u8]);

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    out.push(u8::try_from(bytes.len()).unwrap_or(0));
    out.extend_from_slice(bytes);
}

/// A node of any kind, with links to nodes that were made before, that says what it likes about itself.
fn node(program: &mut Program<'_>, made: &[Cid]) -> Vec<u8> {
    let kind = program.byte();
    if kind % 16 == 15 {
        let length = usize::from(program.byte());
        return program.bytes(length);
    }
    let mut data = vec![0x08, kind % 8];
    let inline = usize::from(program.byte() % 8);
    field(&mut data, 2, &program.bytes(inline));
    let links = usize::from(program.byte() % 5);
    if program.byte() % 2 == 0 {
        data.extend([0x18, program.byte() % 64]);
    }
    for _ in 0..program.byte() % 6 {
        data.extend([0x20, program.byte() % 64]);
    }
    if kind % 8 == 5 {
        data.extend([0x28, 0x22, 0x30, 0x80, 2]);
    }
    let mut node = Vec::new();
    for _ in 0..links {
        let target = made.get(usize::from(program.byte()) % made.len().max(1));
        let mut link = Vec::new();
        if let Some(target) = target {
            field(&mut link, 1, &target.to_bytes());
        }
        let length = usize::from(program.byte() % 6);
        let mut name = program.bytes(length);
        if kind % 2 == 0 {
            name.iter_mut().for_each(|byte| *byte = b'0' + *byte % 24);
        }
        field(&mut link, 2, &name);
        field(&mut node, 2, &link);
    }
    field(&mut node, 1, &data);
    node
}

/// DAGs of files and directories are read, or refused; parts of a file are what is there in all of it.
pub fn files(bytes: &[u8]) {
    let mut program = Program(bytes);
    let blocks = MemoryBlocks::default();
    let mut made = Vec::new();
    while !program.0.is_empty() && made.len() < 64 {
        let codec = [cid::RAW, cid::DAG_PB][usize::from(program.byte() % 4 != 0)];
        let block = Block::encode(codec, node(&mut program, &made)).unwrap();
        made.push(*block.cid());
        block_on(blocks.put_many(vec![block])).unwrap();
    }
    for root in made.iter().rev().take(4) {
        block_on(look(&blocks, *root));
    }
}

async fn look(blocks: &MemoryBlocks, root: Cid) {
    const MOST: u64 = 4096;
    let _ = unixfs::stat(blocks, root).await;
    if let Ok(entries) = unixfs::entries(blocks, root).await {
        for (name, cid) in entries.iter().take(8) {
            let found = unixfs::resolve(blocks, root, name).await;
            assert_eq!(found.unwrap(), *cid, "what is listed is found");
        }
    }
    let bytes = blocks.get(&root).await.unwrap();
    let _ = unixfs::entity_links(&root, &bytes);
    let Ok(all) = unixfs::read_to_vec(blocks, root, MOST).await else {
        return;
    };
    for (from, to) in [(0, 1), (3, 9), (1, u64::MAX)] {
        let mut part = Vec::new();
        if unixfs::cat_range(blocks, root, from..to, &mut part)
            .await
            .is_ok()
        {
            let begin = usize::try_from(from).unwrap().min(all.len());
            let end = usize::try_from(to).unwrap_or(usize::MAX).min(all.len());
            assert_eq!(part, all.get(begin..end).unwrap_or_default());
        }
    }
    let mut here_and_there = RandomAccess::new(blocks);
    let mut some = [0; 16];
    if let Ok(read) = here_and_there.read(root, 2, &mut some).await {
        let expected = all.get(2..2 + read).unwrap_or_default();
        assert_eq!(some.get(..read).unwrap(), expected);
    }
}
