//! Bytes in chunks.

use super::{BadCheckpoint, Block, Seal, leaf};
use mc_types::{Cid, cid};
use serde::{Deserialize, Serialize};

/// Bytes of every chunk but the last.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Bytes, named in chunks of [`CHUNK_BYTES`], so that what is only appended to keeps its first chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blob {
    /// How many bytes there are.
    pub bytes: u64,
    /// Raw blocks.
    pub chunks: Vec<Cid>,
}

impl Blob {
    /// Names `bytes`. Blocks that `before` does not have go to `emit`.
    pub fn write(bytes: &[u8], before: &Self, seal: Seal<'_>, emit: &mut dyn FnMut(Block)) -> Self {
        let chunks = bytes.chunks(CHUNK_BYTES).enumerate().map(|(index, chunk)| {
            let (cid, bytes) = leaf(chunk, seal);
            if before.chunks.get(index) != Some(&cid) {
                emit((cid, bytes()));
            }
            cid
        });
        Self {
            chunks: chunks.collect(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        }
    }

    /// Reads all of it, of which the task allows `max` bytes. `get` gives the bytes of a block, verified.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint`], or what `get` ran into.
    pub fn read<E: From<BadCheckpoint>>(
        &self,
        what: &'static str,
        max: u64,
        mut get: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        if self.bytes > max {
            let bytes = self.bytes;
            return Err(BadCheckpoint::TooLarge { what, bytes, max }.into());
        }
        let mut all = Vec::new();
        for (index, chunk) in self.chunks.iter().enumerate() {
            let bytes = get(chunk)?;
            let is_last = index + 1 == self.chunks.len();
            if bytes.len() > CHUNK_BYTES || (!is_last && bytes.len() < CHUNK_BYTES) {
                return Err(BadCheckpoint::Block("a chunk has another length").into());
            }
            all.extend(bytes);
        }
        if u64::try_from(all.len()).ok() != Some(self.bytes) {
            return Err(BadCheckpoint::Block("the chunks have another length").into());
        }
        Ok(all)
    }

    pub(super) fn check(&self) -> Result<(), BadCheckpoint> {
        let chunks = self.bytes.div_ceil(CHUNK_BYTES as u64);
        if u64::try_from(self.chunks.len()).ok() != Some(chunks) {
            return Err(BadCheckpoint::Block("not as many chunks as bytes need"));
        }
        if self.chunks.iter().any(|chunk| chunk.codec() != cid::RAW) {
            return Err(BadCheckpoint::Block("a chunk that is not raw"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_was_written_is_read_and_only_new_chunks_are_blocks() {
        let mut bytes: Vec<u8> = (0..CHUNK_BYTES * 2 + 7)
            .map(|i| u8::try_from(i / 3000).unwrap())
            .collect();
        let mut blocks = BTreeMap::new();
        let first = Blob::write(&bytes, &Blob::default(), None, &mut |(cid, bytes)| {
            blocks.insert(cid, bytes);
        });
        assert_eq!(blocks.len(), 3);
        bytes.extend([1; 9]);
        let mut emitted = 0;
        let second = Blob::write(&bytes, &first, None, &mut |(cid, bytes)| {
            blocks.insert(cid, bytes);
            emitted += 1;
        });
        assert_eq!(emitted, 1);
        second.check().unwrap();
        let get = |cid: &Cid| Ok::<_, BadCheckpoint>(blocks[cid].clone());
        assert_eq!(second.read("it", 1 << 20, get).unwrap(), bytes);
        assert!(second.read("it", 100, get).is_err());
        let mut bad = second.clone();
        bad.bytes += 1;
        assert!(bad.read("it", 1 << 20, get).is_err());
        bad.chunks.pop();
        assert!(bad.check().is_err());
    }
}
