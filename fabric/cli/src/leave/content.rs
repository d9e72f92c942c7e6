//! Content of a job's directories, read from a node, and compared with what is on this machine.

use crate::failure::Failure;
use mc_content::{
    BlockSource,
    unixfs::{self, Entity, Found, RandomAccess},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};
use tokio::runtime::Handle;

/// Bytes that are compared or copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Reading blocks: it is not for a thread of the runtime.
pub(super) struct Content<'a, S> {
    source: &'a S,
    blocks: RandomAccess<&'a S>,
    runtime: Handle,
}

impl<'a, S: BlockSource> Content<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        Self {
            source,
            blocks: RandomAccess::new(source),
            runtime: Handle::current(),
        }
    }

    pub(super) fn find(&mut self, entity: &Entity) -> Result<Found, Failure> {
        let runtime = self.runtime.clone();
        Ok(runtime.block_on(self.blocks.find(entity.clone()))?)
    }

    /// Whether this machine has that file, link, or any directory for a directory, at `path`.
    pub(super) fn is_at(&mut self, path: &Path, entity: &Entity) -> Result<bool, Failure> {
        let Ok(metadata) = path.symlink_metadata() else {
            return Ok(false);
        };
        match self.find(entity)? {
            Found::Directory(_) => Ok(metadata.is_dir()),
            Found::Symlink { target } => {
                Ok(fs::read_link(path).is_ok_and(|there| there == Path::new(&target)))
            }
            Found::File { file_bytes } if metadata.is_file() && metadata.len() == file_bytes => {
                self.has_bytes_of(path, entity)
            }
            Found::File { .. } => Ok(false),
        }
    }

    fn has_bytes_of(&self, path: &Path, file: &Entity) -> Result<bool, Failure> {
        let failed = |e: io::Error| Failure::path(path, &e);
        let mut opened = File::open(path).map_err(failed)?;
        self.are_bytes_of(file, |_| {
            let mut here = Vec::new();
            let most = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            let mut piece = opened.by_ref().take(most);
            piece.read_to_end(&mut here).map_err(failed)?;
            Ok(here)
        })
    }

    /// Whether two files or links are the same. What is encrypted has two CIDs: it is read.
    pub(super) fn are_equal(&mut self, given: &Entity, left: &Entity) -> Result<bool, Failure> {
        if given.cid == left.cid {
            return Ok(true);
        }
        if left.key.is_none() {
            return Ok(false);
        }
        match (self.find(given)?, self.find(left)?) {
            (Found::Symlink { target: given }, Found::Symlink { target: left }) => {
                Ok(given == left)
            }
            (Found::File { file_bytes }, Found::File { file_bytes: other })
                if file_bytes == other =>
            {
                self.are_bytes_of(given, |offset| self.piece(left, offset))
            }
            _ => Ok(false),
        }
    }

    /// Whether a file consists of these pieces, each as long as [`Self::piece`] has it at that offset.
    fn are_bytes_of(
        &self,
        file: &Entity,
        mut pieces: impl FnMut(u64) -> Result<Vec<u8>, Failure>,
    ) -> Result<bool, Failure> {
        let mut offset = 0;
        loop {
            let (piece, other) = (self.piece(file, offset)?, pieces(offset)?);
            if piece != other {
                return Ok(false);
            }
            if piece.is_empty() {
                return Ok(true);
            }
            offset += piece.len() as u64;
        }
    }

    /// As many bytes as a piece has, or as there are.
    fn piece(&self, file: &Entity, offset: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let range = offset..offset.saturating_add(PIECE_BYTES as u64);
        self.runtime.block_on(unixfs::cat_range(
            self.source,
            file.clone(),
            range,
            &mut bytes,
        ))?;
        Ok(bytes)
    }

    pub(super) fn copy(&self, file: &Entity, to: &mut dyn io::Write) -> io::Result<()> {
        let mut offset = 0;
        loop {
            let piece = self.piece(file, offset);
            let piece = piece.map_err(|failure| io::Error::other(failure.message().to_owned()))?;
            if piece.is_empty() {
                return Ok(());
            }
            to.write_all(&piece)?;
            offset += piece.len() as u64;
        }
    }
}
