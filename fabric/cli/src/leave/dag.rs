//! Finds what a job changed, by comparing its inputs with its results.

use super::{
    Directory, Fault, OutputsReport,
    content::Content,
    failed,
    files::{is_too_deep, too_deep},
    register,
};
use crate::failure::Failure;
use mc_content::{
    BlockSource, TaskKey,
    unixfs::{Entity, Found},
};
use mc_directories::{Fingerprint, Transaction};
use mc_execution::world::Seen;
use mc_types::Cid;
use mc_wasi::At;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// A directory of the user's, as it was given and as it was left.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Its number in what was seen.
    pub(super) mount: u32,
    pub(super) host: PathBuf,
    pub(super) given: Entity,
    left: Entity,
}

impl Changed {
    /// The content that a task was `given` at `guest` from `host`, and the content that it `left` there.
    pub(crate) fn new(
        (mount, host, guest): (u32, PathBuf, &str),
        (given, left): (Cid, Cid),
        key: Option<&TaskKey>,
    ) -> Self {
        Self {
            mount,
            host,
            given: (given, key.map(|key| key.given(guest))).into(),
            left: (left, key.map(|key| key.result(guest))).into(),
        }
    }
}

/// Changes directories as a job did. This blocks: it is not for a thread of the runtime.
pub(crate) fn leave_job<S: BlockSource>(
    source: &S,
    dirs: Vec<Changed>,
    seen: &Seen,
) -> Result<OutputsReport, Failure> {
    let mut transaction = Transaction::new();
    register(
        &mut transaction,
        dirs.iter().map(|changed| changed.host.as_path()),
    )?;
    let mut reading = Reading {
        content: Content::new(source),
        lost: Lost::default(),
        private: Private::default(),
        twins: BTreeMap::new(),
        faults: Vec::new(),
    };
    let mut differing = Vec::new();
    for changed in dirs {
        let id = transaction.directory(&changed.host).map_err(failed)?;
        let mut found = Different::default();
        reading.compare(&mut found, &changed.given, &changed.left, "")?;
        differing.push((id, changed, found));
    }
    if differing.iter().any(|(_, _, found)| !found.made.is_empty()) {
        for (_, changed, found) in &differing {
            for (place, given) in &found.removed {
                let at = At {
                    mount: changed.mount,
                    path: place.clone(),
                };
                reading.note_lost(at, given)?;
            }
        }
        let made = differing.iter().flat_map(|(_, _, found)| &found.made);
        let made: BTreeSet<_> = made.map(|(_, left)| left.cid).collect();
        reading.private = reading.lost.private(seen, &made);
        for (_, changed, _) in &differing {
            reading.note_twins(changed, seen)?;
        }
    }
    for step in [Reading::move_directories, Reading::put, Reading::remove] {
        for (id, changed, found) in &mut differing {
            let mut directory = Directory {
                transaction: &mut transaction,
                id: *id,
                seen,
                mount: changed.mount,
                host: &changed.host,
            };
            step(&mut reading, &mut directory, found)?;
        }
    }
    let report = transaction.commit().map_err(failed)?;
    Ok(OutputsReport {
        report,
        faults: reading.faults,
    })
}

/// Where two trees differ.
#[derive(Default)]
struct Different {
    /// What is in one place on both sides, and not the same.
    changed: Vec<(String, Entity, Entity)>,
    removed: Vec<(String, Entity)>,
    made: Vec<(String, Entity)>,
}

/// What is no longer in its place. It may have another one now.
#[derive(Default)]
struct Lost {
    directories: Places,
    /// Files and links, those in directories too.
    files: Places,
    /// What was found to have another name.
    renamed: BTreeMap<u32, BTreeSet<String>>,
}

/// What nobody else could read, and is gone. What was made may be the same with another name and other bytes, which
/// nothing tells: it is not to be read by others either.
#[derive(Default)]
struct Private {
    file: Option<Fingerprint>,
    directory: Option<Fingerprint>,
}

/// By what they are, and by mount.
type Places = BTreeMap<Cid, BTreeMap<u32, Vec<String>>>;

impl Lost {
    fn note(places: &mut Places, cid: Cid, at: At) {
        let mounts = places.entry(cid).or_default();
        mounts.entry(at.mount).or_default().push(at.path);
    }

    /// A directory that was removed here, with everything in it.
    fn take_directory(&mut self, cid: &Cid, directory: &Directory<'_>) -> Option<Moved> {
        let renamed = self.renamed.entry(directory.mount).or_default();
        let places = self.directories.get_mut(cid)?.get_mut(&directory.mount)?;
        take(places, directory, renamed)
    }

    /// A file or link that was removed here.
    fn take_file(&mut self, cid: &Cid, directory: &Directory<'_>) -> Option<Moved> {
        let renamed = self.renamed.entry(directory.mount).or_default();
        let places = self.files.get_mut(cid)?.get_mut(&directory.mount)?;
        take(places, directory, renamed)
    }

    /// Of what was lost and is not among what was `made`, the first that nobody else could read.
    fn private(&self, seen: &Seen, made: &BTreeSet<Cid>) -> Private {
        let first = |places: &Places| {
            let gone = places.iter().filter(|(cid, _)| !made.contains(*cid));
            let mut gone = gone.flat_map(|(_, mounts)| mounts);
            gone.find_map(|(mount, paths)| {
                let mut seen = paths.iter().filter_map(|path| seen.get(*mount, path));
                seen.find(Fingerprint::is_private)
            })
        };
        Private {
            file: first(&self.files),
            directory: first(&self.directories),
        }
    }

    /// What such a thing looked like, wherever it was.
    fn like(&self, cid: &Cid, seen: &Seen) -> Option<Fingerprint> {
        let places = [self.files.get(cid), self.directories.get(cid)];
        let mut places = places.into_iter().flatten().flatten();
        places.find_map(|(mount, paths)| paths.iter().find_map(|path| seen.get(*mount, path)))
    }
}

/// Takes one of `places` that nothing was renamed from, with anything it is in or that is in it.
fn take(
    places: &mut Vec<String>,
    directory: &Directory<'_>,
    renamed: &mut BTreeSet<String>,
) -> Option<Moved> {
    while let Some(from) = places.pop() {
        let start = format!("{from}/");
        let mut below = renamed.range(start.clone()..);
        let mut above = Path::new(&from).ancestors().filter_map(Path::to_str);
        let is_whole = !below.next().is_some_and(|path| path.starts_with(&start));
        if is_whole
            && !above.any(|path| renamed.contains(path))
            && let Some(was) = directory.seen.get(directory.mount, &from)
        {
            renamed.insert(from.clone());
            return Some(Moved { from, was });
        }
    }
    None
}

/// Something that has another name now.
struct Moved {
    from: String,
    was: Fingerprint,
}

impl Moved {
    fn rename(&self, directory: &mut Directory<'_>, to: &str) -> Result<(), Failure> {
        let (from, to) = (Path::new(&self.from), Path::new(to));
        let id = directory.id;
        let moved = directory.transaction.rename(id, from, to, &self.was, None);
        moved.map_err(failed)
    }
}

struct Reading<'a, S> {
    content: Content<'a, S>,
    lost: Lost,
    private: Private,
    /// Files that nobody else may read: the task may have given them a second name.
    twins: BTreeMap<Cid, Fingerprint>,
    faults: Vec<Fault>,
}

impl<S: BlockSource> Reading<'_, S> {
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
        if is_too_deep(Path::new(place)) {
            return Err(too_deep());
        }
        let (Found::Directory(given), Found::Directory(left)) =
            (self.content.find(given)?, self.content.find(left)?)
        else {
            let changed = (place.to_owned(), given.clone(), left.clone());
            found.changed.push(changed);
            return Ok(());
        };
        let names: BTreeSet<&str> = given.names().chain(left.names()).collect();
        for name in names {
            let here = At::joined(place, name);
            match (given.get(name), left.get(name)) {
                (Some(given), Some(left)) => self.compare(found, &given, &left, &here)?,
                (Some(given), None) => found.removed.push((here, given)),
                (None, Some(left)) => found.made.push((here, left)),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Records what was at a place that it was removed from, and below it.
    fn note_lost(&mut self, at: At, given: &Entity) -> Result<(), Failure> {
        if is_too_deep(Path::new(&at.path)) {
            return Err(too_deep());
        }
        let Found::Directory(listing) = self.content.find(given)? else {
            Lost::note(&mut self.lost.files, given.cid, at);
            return Ok(());
        };
        for name in listing.names() {
            if let Some(given) = listing.get(name) {
                self.note_lost(at.child(name), &given)?;
            }
        }
        Lost::note(&mut self.lost.directories, given.cid, at);
        Ok(())
    }

    /// Takes down the files that were given and that nobody else may read.
    fn note_twins(&mut self, changed: &Changed, seen: &Seen) -> Result<(), Failure> {
        let files = seen.below(changed.mount, "").into_iter();
        let files = files.filter(|(_, was)| was.is_private() && !was.is_directory());
        let files: BTreeMap<String, Fingerprint> = files.collect();
        let above = files.keys().flat_map(|path| Path::new(path).ancestors());
        let above: BTreeSet<&str> = above.filter_map(Path::to_str).collect();
        // No more is read than what they are in.
        let mut left = Vec::new();
        if !files.is_empty() {
            left.push((String::new(), changed.given.clone()));
        }
        while let Some((place, given)) = left.pop() {
            let Found::Directory(listing) = self.content.find(&given)? else {
                continue;
            };
            for name in listing.names() {
                let (here, given) = (At::joined(&place, name), listing.get(name));
                let Some(given) = given else {
                    continue;
                };
                if let Some(was) = files.get(&here) {
                    self.twins.entry(given.cid).or_insert_with(|| was.clone());
                } else if above.contains(here.as_str()) {
                    left.push((here, given));
                }
            }
        }
        Ok(())
    }

    /// A directory that was made and is one that was removed has another name: all in it keeps its mode and whatever
    /// else is its own.
    fn move_directories(
        &mut self,
        directory: &mut Directory<'_>,
        found: &mut Different,
    ) -> Result<(), Failure> {
        let mut made = Vec::new();
        for (place, left) in std::mem::take(&mut found.made) {
            match self.lost.take_directory(&left.cid, directory) {
                Some(moved) => moved.rename(directory, &place)?,
                None => made.push((place, left)),
            }
        }
        found.made = made;
        Ok(())
    }

    fn put(&mut self, directory: &mut Directory<'_>, found: &mut Different) -> Result<(), Failure> {
        for (place, left) in &found.made {
            self.entry(directory, None, left, place)?;
        }
        for (place, given, left) in &found.changed {
            self.entry(directory, Some(given), left, place)?;
        }
        Ok(())
    }

    fn remove(
        &mut self,
        directory: &mut Directory<'_>,
        found: &mut Different,
    ) -> Result<(), Failure> {
        let none = BTreeSet::new();
        let renamed = self.lost.renamed.get(&directory.mount).unwrap_or(&none);
        for (place, _) in &found.removed {
            if renamed.contains(place) {
                continue;
            }
            let host = directory.host.join(place);
            if directory.seen.get(directory.mount, place).is_none()
                && host.symlink_metadata().is_ok()
            {
                self.faults.push(Fault {
                    place: host,
                    reason: "it is not what the task was given; it was to be removed".to_owned(),
                });
            }
            directory.remove(place, renamed)?;
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
        if is_too_deep(Path::new(place)) {
            return Err(too_deep());
        }
        let none = BTreeSet::new();
        if let Some(given) = given
            && self.content.are_equal(given, left)?
        {
            return Ok(());
        }
        if given.is_none()
            && let Some(moved) = self.lost.take_file(&left.cid, directory)
        {
            return moved.rename(directory, place);
        }
        let base = given.map(|_| place);
        let was = base.and_then(|base| directory.seen.get(directory.mount, base));
        // Another command may have put it there already.
        let is_there = was.is_none() && self.content.is_at(&directory.host.join(place), left)?;
        let like = self.lost.like(&left.cid, directory.seen);
        let replaces = directory.replaced(base, &none, false)?;
        let path = Path::new(place);
        match self.content.find(left)? {
            Found::Directory(listing) => {
                let like = like.or_else(|| self.private.directory.clone());
                if !is_there {
                    directory.make_directory(path, replaces.as_ref(), like.as_ref())?;
                }
                for name in listing.names() {
                    if let Some(left) = listing.get(name) {
                        self.entry(directory, None, &left, &At::joined(place, name))?;
                    }
                }
                Ok(())
            }
            _ if is_there => Ok(()),
            Found::Symlink { target } => directory.put_link(path, &target, replaces.as_ref()),
            Found::File { file_bytes } => {
                // In an empty file there is nothing to be read.
                let twin = self.twins.get(&left.cid).filter(|_| file_bytes > 0);
                let private = twin.or(self.private.file.as_ref());
                let private = private.filter(|_| replaces.is_none());
                let like = like.or_else(|| private.cloned());
                let (id, replaces) = (directory.id, replaces.as_ref());
                let copy = |file: &mut dyn io::Write| self.content.copy(left, file);
                let put = directory
                    .transaction
                    .put_file(id, path, replaces, like.as_ref(), copy);
                put.map_err(failed)
            }
        }
    }
}
