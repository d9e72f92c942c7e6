//! Finishing what a killed process began.

use crate::{
    Error, Report, apply,
    journal::{Journal, Member},
    staging::{Found, Mark, Staging, is_reserved},
    sys::{Dir, is, is_no_directory},
};
use rustix::io::Errno;
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

/// What is to be done with a journal.
enum Fate {
    Committed,
    /// Nothing of it has touched the user's entries.
    Abandoned,
    /// The directory that knows cannot be reached.
    Unknown(PathBuf),
}

/// Finishes the transactions that a killed process had committed in `host`, in their other host
/// directories too, and removes what was never committed. What a living process is busy with stays.
///
/// # Errors
///
/// [`Error::Directory`] when there is no such directory, [`Error::Unfinished`] when something could
/// not be finished now either; nothing of it is lost.
pub fn recover(host: &Path) -> Result<Vec<Report>, Error> {
    let unusable = |source| Error::Directory {
        path: host.to_owned(),
        source,
    };
    let path = host.canonicalize().map_err(unusable)?;
    let root = Dir::open(&path).map_err(unusable)?;
    let mut left = Vec::new();
    let listed = root.names(|name| {
        let ours = name.to_str().filter(|name| is_reserved(name));
        left.extend(ours.map(|name| (path.clone(), name.to_owned())));
        true
    });
    listed.map_err(unusable)?;
    let mut seen: HashSet<(PathBuf, String)> = left.iter().cloned().collect();
    let mut reports = Vec::new();
    let mut complete = Vec::new();
    while let Some((path, name)) = left.pop() {
        let unfinished = |source| Error::Unfinished {
            staging: path.join(&name),
            directory: path.clone(),
            source,
        };
        let Some(found) = recover_one(&path, &name).map_err(unfinished)? else {
            continue;
        };
        reports.push(found.report);
        complete.extend(found.complete);
        let others = found.members.into_iter().map(|it| (it.path, it.staging));
        left.extend(others.filter(|other| seen.insert(other.clone())));
    }
    // Not before all are complete: after a kill, each of them leads to the others.
    for staging in complete {
        staging.close().map_err(|source| Error::Unfinished {
            directory: staging.root_path.clone(),
            staging: staging.path(),
            source,
        })?;
    }
    Ok(reports)
}

/// What became of one staging directory.
#[derive(Default)]
struct Recovered {
    report: Report,
    members: Vec<Member>,
    /// It itself, when nothing is left to be done with it.
    complete: Option<Staging>,
}

fn recover_one(path: &Path, name: &str) -> io::Result<Option<Recovered>> {
    let root = match Dir::open(path) {
        Ok(root) => root,
        // Of another member of a transaction, which is reported as pending by the first.
        Err(error) if is_no_directory(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Found::Ours(staging) = Staging::find(&root, path, name)? else {
        return Ok(None);
    };
    let mut recovered = Recovered::default();
    let pending = &mut recovered.report.pending;
    let journal = match Journal::read(&staging) {
        Ok(Some(journal)) => journal,
        Ok(None) => return abandon(&staging),
        Err(error) if is_foreign(&error) => {
            pending.push(staging.path());
            return Ok(Some(recovered));
        }
        Err(error) => return Err(error),
    };
    match fate(&staging, &journal)? {
        Fate::Abandoned => return abandon(&staging),
        Fate::Unknown(first) => pending.push(first),
        Fate::Committed => {
            tell_others(&journal, pending)?;
            apply::finish(&staging, &journal, &mut recovered.report)?;
            // The mark in it is what the others will ask for.
            recovered.complete = recovered.report.pending.is_empty().then_some(staging);
        }
    }
    recovered.members = journal.header.members;
    Ok(Some(recovered))
}

/// Removes what was never committed to.
fn abandon(staging: &Staging) -> io::Result<Option<Recovered>> {
    match staging.discard() {
        // Directories in slots are empty before the commit: this one is somebody else's, and stays.
        Err(error) if is(&error, &[Errno::NOTEMPTY, Errno::EXIST]) => Ok(None),
        removed => removed.map(|()| None),
    }
}

/// Whether a journal is not one of ours, or of another version of us.
fn is_foreign(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

/// Makes sure that the first directory is not the only one that knows.
fn tell_others(journal: &Journal, pending: &mut Vec<PathBuf>) -> io::Result<()> {
    if journal.header.member == 0 {
        for other in journal.header.members.iter().skip(1) {
            if !has_been_told(other)? {
                pending.push(other.path.clone());
            }
        }
    }
    Ok(())
}

/// Whether this journal was committed to. If only the first directory knows, it is noted here.
fn fate(staging: &Staging, journal: &Journal) -> io::Result<Fate> {
    if staging.has(Mark::Commit)? {
        return Ok(Fate::Committed);
    }
    let Some(first) = journal.header.members.first() else {
        return Ok(Fate::Abandoned);
    };
    if journal.header.member == 0 {
        return Ok(Fate::Abandoned);
    }
    let Some(root) = reached(first)? else {
        return Ok(Fate::Unknown(first.path.clone()));
    };
    // It is removed only after every other directory has the mark, which is not so here.
    if !is_marked(&root, &first.staging)? {
        return Ok(Fate::Abandoned);
    }
    staging.mark(Mark::Commit)?;
    staging.dir.sync()?;
    Ok(Fate::Committed)
}

/// Makes sure that another directory knows of the commit; `false` when that is not possible now.
fn has_been_told(other: &Member) -> io::Result<bool> {
    let Some(root) = reached(other)? else {
        return Ok(false);
    };
    match Staging::find(&root, &other.path, &other.staging)? {
        // It was told, and is done.
        Found::Nothing => Ok(true),
        Found::Busy => is_marked(&root, &other.staging),
        Found::Ours(staging) => {
            staging.mark(Mark::Commit)?;
            staging.dir.sync()?;
            Ok(true)
        }
    }
}

/// The host directory of a member, unless another one or none is at its path.
fn reached(member: &Member) -> io::Result<Option<Dir>> {
    match Dir::open(&member.path) {
        Ok(root) if root.print()?.inode() == member.inode => Ok(Some(root)),
        Ok(_) => Ok(None),
        Err(error) if is_no_directory(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_marked(root: &Dir, name: &str) -> io::Result<bool> {
    match root.child(name) {
        Ok(dir) => Ok(dir.stat(Mark::Commit.name())?.is_some()),
        Err(error) if is_no_directory(&error) => Ok(false),
        Err(error) => Err(error),
    }
}
