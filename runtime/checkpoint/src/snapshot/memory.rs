//! Linear memory as a Merkle tree of pages.

use super::block::{BadCheckpoint, Block, Seal, leaf};
use mc_types::{Cid, canonical, cid};
use serde::{Deserialize, Serialize};

/// Bytes of a page, the leaves of the tree.
pub const PAGE_BYTES: usize = 4096;
/// Children of each node.
pub const FAN_OUT: usize = 256;
/// Bytes of the unit in which memories grow.
const WASM_PAGE_BYTES: u64 = 1 << 16;
/// Most bytes of a memory.
const MAX_BYTES: u64 = 1 << 32;

/// A linear memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Its size.
    pub bytes: u64,
    /// The root of its tree; absent if all is zero.
    pub root: Option<Cid>,
}

/// The pages of a memory at the last checkpoint, by which changed pages are recognised.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// Of each level from the leaves upwards, the CID of each page or node; absent where all is zero.
    levels: Vec<Vec<Option<Cid>>>,
}

/// How many levels of nodes are above the leaves.
fn height(bytes: u64) -> u32 {
    let mut height = 1;
    let mut covered = (PAGE_BYTES * FAN_OUT) as u64;
    while covered < bytes {
        covered = covered.saturating_mul(FAN_OUT as u64);
        height += 1;
    }
    height
}

impl Memory {
    /// Names `memory`. Blocks that `pages` does not have go to `emit`; afterwards `pages` has them.
    pub fn write(
        memory: &[u8],
        pages: &mut Pages,
        seal: Seal<'_>,
        emit: &mut dyn FnMut(Block),
    ) -> Self {
        let bytes = u64::try_from(memory.len()).unwrap_or(u64::MAX);
        let before = std::mem::take(&mut pages.levels);
        let known = |level: usize, index: usize, cid: &Cid| {
            let known = before.get(level).and_then(|level| level.get(index));
            known.copied().flatten().as_ref() == Some(cid)
        };
        let leaves = memory.chunks(PAGE_BYTES).enumerate().map(|(index, page)| {
            if is_zero(page) {
                return None;
            }
            let (cid, bytes) = leaf(page, seal);
            if !known(0, index, &cid) {
                emit((cid, bytes()));
            }
            Some(cid)
        });
        let mut levels = vec![leaves.collect::<Vec<_>>()];
        for level in 1..=height(bytes) {
            let level = usize::try_from(level).unwrap_or(usize::MAX);
            let below = levels.last().map(Vec::as_slice).unwrap_or_default();
            let nodes = below.chunks(FAN_OUT).enumerate().map(|(index, children)| {
                if children.iter().all(Option::is_none) {
                    return None;
                }
                let mut children = children.to_vec();
                children.resize(FAN_OUT, None);
                // A list of links always has an encoding.
                let (cid, bytes) = canonical::encode(&children).ok()?;
                if !known(level, index, &cid) {
                    emit((cid, bytes));
                }
                Some(cid)
            });
            levels.push(nodes.collect());
        }
        let root = levels.last().and_then(|top| top.first()).copied().flatten();
        pages.levels = levels;
        Self { bytes, root }
    }

    pub(super) fn check(&self) -> Result<(), BadCheckpoint> {
        if !self.bytes.is_multiple_of(WASM_PAGE_BYTES) || self.bytes > MAX_BYTES {
            return Err(BadCheckpoint::Block("a memory of an impossible size"));
        }
        if self.bytes == 0 && self.root.is_some() {
            return Err(BadCheckpoint::Block("an empty memory that has pages"));
        }
        Ok(())
    }

    /// Reads the pages that are not zero.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let mut open = Vec::new();
        if let Some(root) = self.root {
            open.push((root, height(self.bytes), 0));
        }
        Reader {
            bytes: self.bytes,
            open,
        }
    }
}

fn is_zero(page: &[u8]) -> bool {
    let (words, rest) = page.as_chunks::<8>();
    words.iter().all(|word| u64::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// Reads a memory page by page.
#[derive(Debug)]
pub struct Reader {
    bytes: u64,
    /// What is to be read: each with its level and its address. The next is the last.
    open: Vec<(Cid, u32, u64)>,
}

impl Reader {
    /// The memory's size.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next page that is not zero, with its address. `get` returns the verified bytes of a block.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint`] when a block is not what it should be, or what `get` ran into.
    pub fn next<E: From<BadCheckpoint>>(
        &mut self,
        mut get: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    ) -> Result<Option<(u64, Vec<u8>)>, E> {
        while let Some((cid, level, address)) = self.open.pop() {
            if address >= self.bytes {
                return Err(BadCheckpoint::Block("a page beyond the end of the memory").into());
            }
            let bytes = get(&cid)?;
            if level > 0 {
                self.enter(&bytes, level, address)?;
                continue;
            }
            if bytes.len() != PAGE_BYTES {
                return Err(BadCheckpoint::Block("a page of another size").into());
            }
            return Ok(Some((address, bytes)));
        }
        Ok(None)
    }

    fn enter(&mut self, bytes: &[u8], level: u32, address: u64) -> Result<(), BadCheckpoint> {
        let malformed = |_| BadCheckpoint::Block("a node that is not one");
        let children: Vec<Option<Cid>> = canonical::decode(bytes).map_err(malformed)?;
        if children.len() != FAN_OUT {
            return Err(BadCheckpoint::Block("a node of another width"));
        }
        let codec = if level == 1 { cid::RAW } else { cid::DAG_CBOR };
        let width = (FAN_OUT as u64).saturating_pow(level - 1);
        let width = width.saturating_mul(PAGE_BYTES as u64);
        for (index, child) in (0..)
            .zip(children)
            .collect::<Vec<(u64, _)>>()
            .into_iter()
            .rev()
        {
            let Some(child) = child else {
                continue;
            };
            if child.codec() != codec {
                return Err(BadCheckpoint::Block("a child of another kind"));
            }
            let address = address.saturating_add(width.saturating_mul(index));
            self.open.push((child, level - 1, address));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(memory: &Memory, blocks: &BTreeMap<Cid, Vec<u8>>) -> Result<Vec<u8>, BadCheckpoint> {
        let mut bytes = vec![0; usize::try_from(memory.bytes).unwrap()];
        let mut reader = memory.reader();
        let get = |cid: &Cid| blocks.get(cid).cloned().ok_or(BadCheckpoint::Block("lost"));
        while let Some((address, page)) = reader.next(get)? {
            let address = usize::try_from(address).unwrap();
            bytes[address..address + page.len()].copy_from_slice(&page);
        }
        Ok(bytes)
    }

    #[test]
    fn only_pages_that_changed_are_blocks_and_all_are_read() {
        let mut memory = vec![0; 5 << 20];
        for (index, page) in memory.chunks_mut(PAGE_BYTES).enumerate().step_by(3) {
            page[index % PAGE_BYTES] = 7;
        }
        let (mut blocks, mut pages) = (BTreeMap::new(), Pages::default());
        let first = Memory::write(&memory, &mut pages, None, &mut |(cid, bytes)| {
            blocks.insert(cid, bytes);
        });
        assert!(read(&first, &blocks).unwrap() == memory);
        memory[4 << 20] ^= 1;
        memory.resize(6 << 20, 0);
        let mut emitted = 0;
        let second = Memory::write(&memory, &mut pages, None, &mut |(cid, bytes)| {
            blocks.insert(cid, bytes);
            emitted += 1;
        });
        // The page, the node above it, and the root.
        assert_eq!(emitted, 3);
        assert!(read(&second, &blocks).unwrap() == memory);
        // A node that did not see the first one gets the same result.
        let alone = Memory::write(&memory, &mut Pages::default(), None, &mut |_| {});
        assert_eq!(alone, second);
    }

    #[test]
    fn zeros_are_nothing() {
        let memory = Memory::write(
            &[0; 1 << 20],
            &mut Pages::default(),
            None,
            &mut |_| panic!(),
        );
        assert_eq!(memory.root, None);
        assert!(
            read(&memory, &BTreeMap::new())
                .unwrap()
                .iter()
                .all(|b| *b == 0)
        );
    }

    #[test]
    fn trees_that_do_not_fit_are_refused() {
        let (mut blocks, mut pages) = (BTreeMap::new(), Pages::default());
        let good = Memory::write(&[1; 1 << 20], &mut pages, None, &mut |(cid, bytes)| {
            blocks.insert(cid, bytes);
        });
        for bad in [
            Memory {
                bytes: 65_535,
                ..good.clone()
            },
            Memory {
                bytes: 1 << 33,
                ..good.clone()
            },
            Memory {
                bytes: 0,
                ..good.clone()
            },
        ] {
            assert!(bad.check().is_err());
        }
        // Smaller than its pages, higher than its tree, a page where a node should be.
        for bytes in [1 << 16, 2 << 20] {
            let bad = Memory {
                bytes,
                ..good.clone()
            };
            assert!(read(&bad, &blocks).is_err(), "{bytes}");
        }
        let leaf = cid::of(cid::RAW, &[1; PAGE_BYTES]);
        let bad = Memory {
            root: Some(leaf),
            ..good
        };
        assert!(read(&bad, &blocks).is_err());
    }
}
