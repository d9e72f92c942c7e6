//! What a job changed: what it was given, compared with what it left.

use super::{Directory, failed, outermost_first};
use crate::failure::Failure;
use mc_content::{
    BlockSource,
    unixfs::{self, Entity, Found, RandomAccess},
};
use mc_directories::{Report, Transaction};
use mc_node::world::Seen;
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};
use tokio::runtime::Handle;

/// Bytes that are compared or copied at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A directory of the user's, as it was given and as it was left.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Its number in what was seen.
    pub(crate) mount: u32,
    pub(crate) host: PathBuf,
    pub(crate) given: Entity,
    pub(crate) left: Entity,
}

/// Changes directories as a job did. This blocks: it is not for a thread of the runtime.
pub(crate) fn leave_job<S: BlockSource>(
    source: &S,
    dirs: Vec<Changed>,
    seen: &Seen,
) -> Result<Report, Failure> {
    let mut transaction = Transaction::new();
    let mut reading = Reading {
        source,
        blocks: RandomAccess::new(source),
        runtime: Handle::current(),
    };
    for changed in outermost_first(dirs, |changed| &changed.host) {
        let id = transaction.directory(&changed.host).map_err(failed)?;
        let mut directory = Directory {
            transaction: &mut transaction,
            id,
            seen,
            mount: changed.mount,
        };
        reading.compare(&mut directory, &changed.given, &changed.left, "")?;
    }
    transaction.commit().map_err(failed)
}

struct Reading<'a, S> {
    source: &'a S,
    blocks: RandomAccess<&'a S>,
    runtime: Handle,
}

impl<S: BlockSource> Reading<'_, S> {
    fn find(&mut self, entity: &Entity) -> Result<Found, Failure> {
        let runtime = self.runtime.clone();
        Ok(runtime.block_on(self.blocks.find(entity.clone()))?)
    }

    /// What is in a directory on both sides, and on one of them.
    fn compare(
        &mut self,
        directory: &mut Directory<'_>,
        given: &Entity,
        left: &Entity,
        place: &str,
    ) -> Result<(), Failure> {
        if given == left {
            return Ok(());
        }
        let (Found::Directory(given), Found::Directory(left)) =
            (self.find(given)?, self.find(left)?)
        else {
            return self.entry(directory, Some(given), Some(left), place);
        };
        let names: BTreeSet<&str> = given.names().chain(left.names()).collect();
        for name in names {
            let here = if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}/{name}")
            };
            match (given.get(name), left.get(name)) {
                (Some(given), Some(left)) => self.compare(directory, &given, &left, &here)?,
                (given, left) => self.entry(directory, given.as_ref(), left.as_ref(), &here)?,
            }
        }
        Ok(())
    }

    /// An entry that is not a directory on both sides.
    fn entry(
        &mut self,
        directory: &mut Directory<'_>,
        given: Option<&Entity>,
        left: Option<&Entity>,
        place: &str,
    ) -> Result<(), Failure> {
        let none = BTreeSet::new();
        let Some(left) = left else {
            return directory.remove(place, &none);
        };
        if let Some(given) = given
            && self.are_equal(given, left)?
        {
            return Ok(());
        }
        let base = given.map(|_| place);
        let replaces = directory.replaced(base, &none, false)?;
        let path = Path::new(place);
        match self.find(left)? {
            Found::Directory(listing) => {
                directory.make_directory(path, replaces.as_ref())?;
                for name in listing.names() {
                    let inner = format!("{place}/{name}");
                    self.entry(directory, None, listing.get(name).as_ref(), &inner)?;
                }
                Ok(())
            }
            Found::Symlink { target } => directory.put_link(path, &target, replaces.as_ref()),
            Found::File { .. } => {
                let (id, replaces) = (directory.id, replaces.as_ref());
                let copy = |file: &mut dyn io::Write| self.copy(left, file);
                let put = directory.transaction.put_file(id, path, replaces, copy);
                put.map_err(failed)
            }
        }
    }

    /// Whether two files or links are the same. What is encrypted has two CIDs: it is read.
    fn are_equal(&mut self, given: &Entity, left: &Entity) -> Result<bool, Failure> {
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
                self.have_equal_bytes(given, left)
            }
            _ => Ok(false),
        }
    }

    fn have_equal_bytes(&mut self, given: &Entity, left: &Entity) -> Result<bool, Failure> {
        let mut offset = 0;
        loop {
            let (one, other) = (self.piece(given, offset)?, self.piece(left, offset)?);
            if one != other {
                return Ok(false);
            }
            if one.is_empty() {
                return Ok(true);
            }
            offset += one.len() as u64;
        }
    }

    /// As many bytes as a piece has, or as there are.
    fn piece(&mut self, file: &Entity, offset: u64) -> Result<Vec<u8>, Failure> {
        let runtime = self.runtime.clone();
        let mut bytes = Vec::new();
        let range = offset..offset.saturating_add(PIECE_BYTES as u64);
        runtime.block_on(unixfs::cat_range(
            self.source,
            file.clone(),
            range,
            &mut bytes,
        ))?;
        Ok(bytes)
    }

    fn copy(&mut self, file: &Entity, to: &mut dyn io::Write) -> io::Result<()> {
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
