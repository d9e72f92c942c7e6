//! What peers and files bring: messages, CARs, and DAGs of files and directories.

use bytes::Bytes;
use futures::{executor::block_on, io::Cursor, stream};
use mc_content::{
    Block, BlockSink, BlockSource, Key, MemoryBlocks, car, links,
    seal::{OVERHEAD_BYTES, SEALED_CHUNK_BYTES, SealContext},
    unixfs::{self, Entity, RandomAccess},
};
use mc_types::{Cid, base64url, cid};

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
struct Program<'a> {
    code: &'a [u8],
    /// What names and content are sealed with, if they are.
    keys: Vec<Key>,
}

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.code.split_first() else {
            return 0;
        };
        self.code = rest;
        *first
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// Bytes that stand in a node: as they are, or sealed as some part of some file.
    fn content(&mut self, length: usize) -> Vec<u8> {
        let plain = self.bytes(length);
        let (index, is_last) = (u64::from(self.byte() % 3), self.byte() % 2 == 0);
        let place = match self.byte() % 8 {
            0 => SealContext::Target,
            _ => SealContext::Chunk { index, is_last },
        };
        self.key()
            .map_or(plain.clone(), |key| key.cipher().seal(place, &plain))
    }

    /// The name of an entry.
    fn name(&mut self, is_tame: bool) -> Vec<u8> {
        let length = usize::from(self.byte() % 6);
        let mut name = self.bytes(length);
        if is_tame {
            name.iter_mut().for_each(|byte| *byte = b'0' + *byte % 24);
        }
        let Some(key) = self.key() else {
            return name;
        };
        if self.byte() % 2 == 0 {
            name = vec![b'a' + self.byte() % 2];
        }
        name.resize(name.len().next_multiple_of(16), 0);
        base64url::encode(&key.cipher().seal(SealContext::Name, &name)).into_bytes()
    }

    /// How long something claims to be. Sealed chunks are longer than any program can make them.
    fn length(&mut self) -> u64 {
        let byte = self.byte();
        if self.keys.is_empty() {
            return u64::from(byte % 64);
        }
        let units = [0, OVERHEAD_BYTES as u64, SEALED_CHUNK_BYTES as u64];
        u64::from(byte % 8) + units[usize::from(byte >> 4) % units.len()]
    }

    fn key(&mut self) -> Option<Key> {
        let number = usize::from(self.byte());
        self.keys.get(number % self.keys.len().max(1)).cloned()
    }
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    out.push(u8::try_from(bytes.len()).unwrap_or(0));
    out.extend_from_slice(bytes);
}

fn number(out: &mut Vec<u8>, number: u8, mut value: u64) {
    out.push(number << 3);
    while value >= 0x80 {
        out.push(u8::try_from(value % 0x80).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

/// A node of any kind, with links to nodes that were made before, that says what it likes about itself.
fn node(program: &mut Program<'_>, made: &[Cid]) -> Vec<u8> {
    let kind = program.byte();
    if kind % 16 == 15 {
        let length = usize::from(program.byte());
        return program.content(length);
    }
    let mut data = vec![0x08, kind % 8];
    let inline = usize::from(program.byte() % 8);
    field(&mut data, 2, &program.content(inline));
    let links = usize::from(program.byte() % 5);
    if program.byte() % 2 == 0 {
        number(&mut data, 3, program.length());
    }
    for _ in 0..program.byte() % 6 {
        number(&mut data, 4, program.length());
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
        field(&mut link, 2, &program.name(kind % 2 == 0));
        field(&mut node, 2, &link);
    }
    field(&mut node, 1, &data);
    node
}

/// DAGs of files and directories are read, or refused; parts of a file are what is there in all of it.
pub fn files(bytes: &[u8]) {
    let (blocks, made) = dag(bytes, Vec::new());
    for root in made.iter().rev().take(4) {
        block_on(look(&blocks, (*root).into()));
    }
}

/// The same of encrypted ones; and nothing of them is read with another key.
pub fn sealed(bytes: &[u8]) {
    let key = Key::from_bytes(&[7; 32]).unwrap();
    let below = key.below("a");
    let keys = vec![key.clone(), below.below("b"), below];
    let (blocks, made) = dag(bytes, keys);
    for root in made.iter().rev().take(4) {
        block_on(look(&blocks, (*root, Some(key.clone())).into()));
        let stranger = Entity::from((*root, Some(key.below("c"))));
        block_on(async {
            let read = unixfs::read_to_vec(&blocks, stranger.clone(), 4096).await;
            assert!(read.is_err(), "read with another key");
            let entries = unixfs::entries(&blocks, stranger).await;
            assert!(entries.is_err() || entries.is_ok_and(|entries| entries.is_empty()));
        });
    }
}

/// The nodes that a program makes, in their order.
fn dag(code: &[u8], keys: Vec<Key>) -> (MemoryBlocks, Vec<Cid>) {
    let mut program = Program { code, keys };
    let blocks = MemoryBlocks::default();
    let mut made = Vec::new();
    while !program.code.is_empty() && made.len() < 64 {
        let codec = [cid::RAW, cid::DAG_PB][usize::from(program.byte() % 4 != 0)];
        let block = Block::encode(codec, node(&mut program, &made)).unwrap();
        made.push(*block.cid());
        block_on(blocks.put_many(vec![block])).unwrap();
    }
    (blocks, made)
}

async fn look(blocks: &MemoryBlocks, root: Entity) {
    const MOST: u64 = 4096;
    let _ = unixfs::stat(blocks, root.clone()).await;
    if let Ok(entries) = unixfs::entries(blocks, root.clone()).await {
        for (name, entry) in entries.iter().take(8) {
            let found = unixfs::resolve(blocks, root.clone(), name).await;
            assert_eq!(found.unwrap(), *entry, "what is listed is found");
        }
    }
    let bytes = blocks.get(&root.cid).await.unwrap();
    let _ = unixfs::entity_links(&root.cid, &bytes);
    let Ok(all) = unixfs::read_to_vec(blocks, root.clone(), MOST).await else {
        return;
    };
    for (from, to) in [(0, 1), (3, 9), (1, u64::MAX)] {
        let mut part = Vec::new();
        if unixfs::cat_range(blocks, root.clone(), from..to, &mut part)
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
