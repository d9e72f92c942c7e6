//! Adding a file piece by piece.

use super::{Added, Adder};
use crate::{
    Block, BlockSink, Error,
    limits::CHUNK_BYTES,
    seal::{self, Cipher, Key, SealContext},
};
use mc_types::{Cid, cid};
use rust_unixfs::{
    Metadata,
    file::adder::{Chunker, FileAdder},
};

/// A file that is being added.
pub struct FileInProgress {
    adder: FileAdder,
    root: Option<Cid>,
    total_bytes: u64,
    file_bytes: u64,
    sealing: Option<Sealing>,
}

impl std::fmt::Debug for FileInProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileInProgress").finish_non_exhaustive()
    }
}

/// A file that is encrypted as it is added.
struct Sealing {
    cipher: Cipher,
    /// Chunks that were sealed.
    sealed: u64,
    /// What comes after them. The last chunk is sealed only when it is known to be the last.
    rest: Vec<u8>,
}

impl Sealing {
    fn new(key: &Key) -> Self {
        Self {
            cipher: key.cipher(),
            sealed: 0,
            rest: Vec::new(),
        }
    }

    /// Takes bytes up to the end of the chunk; returns the chunk once there are more.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> (Option<Vec<u8>>, &'b [u8]) {
        let chunk = (self.rest.len() == seal::CHUNK_BYTES).then(|| self.seal(false));
        let room = seal::CHUNK_BYTES - self.rest.len();
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        self.rest.extend_from_slice(now);
        (chunk, later)
    }

    fn seal(&mut self, is_last: bool) -> Vec<u8> {
        let place = SealContext::Chunk {
            index: self.sealed,
            is_last,
        };
        self.sealed += 1;
        let chunk = self.cipher.seal(place, &self.rest);
        self.rest.clear();
        chunk
    }
}

impl<S: BlockSink> Adder<'_, S> {
    /// Begins a file, which is encrypted if there is a key.
    #[must_use]
    pub fn file(&self, key: Option<&Key>) -> FileInProgress {
        self.file_with(None, key)
    }

    /// Begins a file with these permissions.
    pub(in crate::unixfs) fn file_with(
        &self,
        mode: Option<u32>,
        key: Option<&Key>,
    ) -> FileInProgress {
        let chunk_bytes = match key {
            None => self.options.chunk_bytes.clamp(1, CHUNK_BYTES),
            Some(_) => seal::SEALED_CHUNK_BYTES,
        };
        let mut builder = FileAdder::builder()
            .with_chunker(Chunker::Size(chunk_bytes))
            .with_cid_version(self.options.cid_version)
            .with_metadata(Metadata::new(mode, None));
        if let Some(raw) = self.options.raw_leaves {
            builder = builder.with_raw_leaves(raw);
        }
        FileInProgress {
            adder: builder.build(),
            root: None,
            total_bytes: 0,
            file_bytes: 0,
            sealing: key.map(Sealing::new),
        }
    }

    /// Adds bytes to the end of a file.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn extend(&mut self, file: &mut FileInProgress, bytes: &[u8]) -> Result<(), Error> {
        file.file_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut rest = bytes;
        while let Some(sealing) = file.sealing.as_mut().filter(|_| !rest.is_empty()) {
            let (chunk, later) = sealing.take(rest);
            rest = later;
            if let Some(chunk) = chunk {
                self.chunk(file, &chunk).await?;
            }
        }
        self.chunk(file, rest).await
    }

    /// Adds bytes as they are to be in blocks.
    async fn chunk(&mut self, file: &mut FileInProgress, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (blocks, consumed) = file.adder.push(rest);
            let blocks: Vec<_> = blocks.collect();
            rest = rest.get(consumed..).unwrap_or_default();
            self.add_blocks(file, blocks).await?;
        }
        Ok(())
    }

    async fn add_blocks(
        &mut self,
        file: &mut FileInProgress,
        blocks: Vec<(Cid, Vec<u8>)>,
    ) -> Result<(), Error> {
        for (cid, bytes) in blocks {
            file.total_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.push(Block::hashed(cid, bytes)).await?;
            file.root = Some(cid);
        }
        Ok(())
    }

    /// Ends a file.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn end_file(&mut self, mut file: FileInProgress) -> Result<Added, Error> {
        if let Some(mut sealing) = file.sealing.take() {
            self.chunk(&mut file, &sealing.seal(true)).await?;
        }
        let adder = std::mem::take(&mut file.adder);
        let last: Vec<_> = adder.finish().collect();
        self.add_blocks(&mut file, last).await?;
        Ok(Added {
            cid: file.root.unwrap_or_else(|| cid::of(cid::RAW, b"")),
            total_bytes: file.total_bytes,
            file_bytes: file.file_bytes,
        })
    }
}
