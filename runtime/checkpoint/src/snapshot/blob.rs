//! Bytes in chunks.

use super::block::{BadCheckpoint, Block, Seal, leaf};
use mc_types::{Cid, cid};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes of every chunk but the last.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Bytes, named in chunks of [`CHUNK_BYTES`], so that a log that only grows keeps its first chunks.
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

    /// Names the first `bytes` of `from`, which begins with the bytes that `before` names: of those, only the last
    /// chunk is read again. Blocks that `before` does not have go to `emit`.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, or that it is shorter.
    pub fn append(
        from: &mut (impl Read + Seek + ?Sized),
        bytes: u64,
        before: &Self,
        seal: Seal<'_>,
        emit: &mut dyn FnMut(Block),
    ) -> io::Result<Self> {
        let chunk_bytes = CHUNK_BYTES as u64;
        let whole = before.bytes.min(bytes) / chunk_bytes;
        let kept = usize::try_from(whole).unwrap_or(usize::MAX);
        let mut chunks: Vec<Cid> = before.chunks.iter().take(kept).copied().collect();
        let mut left = bytes - whole * chunk_bytes;
        from.seek(SeekFrom::Start(whole * chunk_bytes))?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        while left > 0 {
            let wanted = left.min(chunk_bytes);
            chunk.clear();
            let read = (&mut *from).take(wanted).read_to_end(&mut chunk)?;
            if u64::try_from(read).ok() != Some(wanted) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (cid, block) = leaf(&chunk, seal);
            if before.chunks.get(chunks.len()) != Some(&cid) {
                emit((cid, block()));
            }
            chunks.push(cid);
            left -= wanted;
        }
        Ok(Self { bytes, chunks })
    }

    /// Reads all of it; the task allows `max` bytes. `get` returns the verified bytes of a block.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint`], or what `get` ran into.
    pub fn read<E: From<BadCheckpoint>>(
        &self,
        what: &'static str,
        max: u64,
        get: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        self.within(what, max)?;
        let mut all = Vec::new();
        self.each(get, |bytes| {
            all.extend(bytes);
            Ok(())
        })?;
        Ok(all)
    }

    /// Writes all of it, chunk by chunk, to `to`.
    ///
    /// # Errors
    ///
    /// As [`Self::read`], and those of `to`.
    pub fn write_to<E: From<BadCheckpoint> + From<io::Error>>(
        &self,
        to: &mut (impl Write + ?Sized),
        get: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
    ) -> Result<(), E> {
        self.each(get, |bytes| Ok(to.write_all(&bytes)?))
    }

    /// Refuses it if it has more bytes than the task allows.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint::TooLarge`].
    pub fn within(&self, what: &'static str, max: u64) -> Result<(), BadCheckpoint> {
        if self.bytes > max {
            let bytes = self.bytes;
            return Err(BadCheckpoint::TooLarge { what, bytes, max });
        }
        Ok(())
    }

    fn each<E: From<BadCheckpoint>>(
        &self,
        mut get: impl FnMut(&Cid) -> Result<Vec<u8>, E>,
        mut give: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut read = 0_u64;
        for (index, chunk) in self.chunks.iter().enumerate() {
            let bytes = get(chunk)?;
            let is_last = index + 1 == self.chunks.len();
            if bytes.len() > CHUNK_BYTES || (!is_last && bytes.len() < CHUNK_BYTES) {
                return Err(BadCheckpoint::Block("a chunk has another length").into());
            }
            read += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if read > self.bytes {
                break;
            }
            give(bytes)?;
        }
        if read != self.bytes {
            return Err(BadCheckpoint::Block("the chunks have another length").into());
        }
        Ok(())
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
    use std::{collections::BTreeMap, io::Cursor};

    /// Counts what is read of it.
    struct Counted(Cursor<Vec<u8>>, usize);

    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1 += read;
            Ok(read)
        }
    }

    impl Seek for Counted {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn what_is_appended_to_is_named_alike_and_not_read_again() {
        let all: Vec<u8> = (0..CHUNK_BYTES * 5 + 7)
            .map(|i| u8::try_from(i / 8000).unwrap())
            .collect();
        let mut blocks = BTreeMap::new();
        let mut before = Blob::default();
        for bytes in [0, 10, CHUNK_BYTES, CHUNK_BYTES * 4 + 1, all.len()] {
            let mut from = Counted(Cursor::new(all.clone()), 0);
            let length = u64::try_from(bytes).unwrap();
            let blob = Blob::append(&mut from, length, &before, None, &mut |(cid, bytes)| {
                blocks.insert(cid, bytes);
            });
            let blob = blob.unwrap();
            let whole = Blob::write(&all[..bytes], &Blob::default(), None, &mut |_| {});
            assert_eq!(blob, whole);
            let known = usize::try_from(before.bytes).unwrap() / CHUNK_BYTES * CHUNK_BYTES;
            assert_eq!(from.1, bytes - known);
            before = blob;
        }
        let mut written = Vec::new();
        let get = |cid: &Cid| Ok::<_, Failed>(blocks[cid].clone());
        before.write_to(&mut written, get).unwrap();
        assert_eq!(written, all);
        let mut short = Cursor::new(&all[..9]);
        Blob::append(&mut short, 10, &Blob::default(), None, &mut |_| {}).unwrap_err();
    }

    #[derive(Debug)]
    struct Failed;

    impl From<BadCheckpoint> for Failed {
        fn from(_: BadCheckpoint) -> Self {
            Self
        }
    }

    impl From<io::Error> for Failed {
        fn from(_: io::Error) -> Self {
            Self
        }
    }

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
