//! What a job changed: what it was given, compared with what it left.

use super::{Directory, failed, register};
use crate::failure::Failure;
use mc_content::{
    BlockSource,
    unixfs::{self, Entity, Found, RandomAccess},
};
use mc_directories::{Report, Transaction};
use mc_node::world::Seen;
use mc_types::Cid;
use std::{
    collections::{BTreeMap, BTreeSet},
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
    register(
        &mut transaction,
        dirs.iter().map(|changed| changed.host.as_path()),
    )?;
    for changed in dirs {
        let id = transaction.directory(&changed.host).map_err(failed)?;
        let mut directory = Directory {
            transaction: &mut transaction,
            id,
            seen,
            mount: changed.mount,
        };
        let mut found = Different::default();
        reading.compare(&mut found, &changed.given, &changed.left, "")?;
        reading.apply(&mut directory, found)?;
    }
    transaction.commit().map_err(failed)
}

/// Where two trees differ.
#[derive(Default)]
struct Different {
    /// What is in one place on both sides, and not the same.
    changed: Vec<(String, Entity, Entity)>,
    removed: Vec<(String, Entity)>,
    made: Vec<(String, Entity)>,
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

    /// Finds what differs. Directories that are on both sides are gone through.
    fn compare(
        &mut self,
        found: &mut Different,
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
            let changed = (place.to_owned(), given.clone(), left.clone());
            found.changed.push(changed);
            return Ok(());
        };
        let names: BTreeSet<&str> = given.names().chain(left.names()).collect();
        for name in names {
            let here = if place.is_empty() {
                name.to_owned()
            } else {
                format!("{place}/{name}")
            };
            match (given.get(name), left.get(name)) {
                (Some(given), Some(left)) => self.compare(found, &given, &left, &here)?,
                (Some(given), None) => found.removed.push((here, given)),
                (None, Some(left)) => found.made.push((here, left)),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// What was made and is what was removed has another name: it keeps its mode and all that is its own.
    fn apply(&mut self, directory: &mut Directory<'_>, found: Different) -> Result<(), Failure> {
        let mut removed: BTreeMap<Cid, Vec<String>> = BTreeMap::new();
        for (place, given) in found.removed {
            removed.entry(given.cid).or_default().push(place);
        }
        for (place, left) in found.made {
            let from = removed.get_mut(&left.cid).and_then(Vec::pop);
            let was = from
                .as_ref()
                .and_then(|from| directory.seen.get(directory.mount, from));
            let (Some(from), Some(was)) = (from, was) else {
                self.entry(directory, None, &left, &place)?;
                continue;
            };
            let (from, to, id) = (Path::new(&from), Path::new(&place), directory.id);
            let moved = directory.transaction.rename(id, from, to, &was, None);
            moved.map_err(failed)?;
        }
        for place in removed.into_values().flatten() {
            directory.remove(&place, &BTreeSet::new())?;
        }
        for (place, given, left) in found.changed {
            self.entry(directory, Some(&given), &left, &place)?;
        }
        Ok(())
    }

    /// An entry that is not a directory on both sides.
    fn entry(
        &mut self,
        directory: &mut Directory<'_>,
        given: Option<&Entity>,
        left: &Entity,
        place: &str,
    ) -> Result<(), Failure> {
        let none = BTreeSet::new();
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
                    if let Some(left) = listing.get(name) {
                        self.entry(directory, None, &left, &format!("{place}/{name}"))?;
                    }
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
