//! From blocks to files and directories on disk.

mod links;
mod open;
mod target;

use super::{
    add::path_error,
    entity::Entity,
    node::{Fetched, File, fetch},
    read::write_file,
};
use crate::{BlockSource, Error};
use mc_types::{Cid, MAX_DIRECTORY_DEPTH, MAX_LINK_TARGET_BYTES};
use open::{Children, Next, OpenDirectories, OpenDirectory};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use target::ExportTarget;

/// Most files, directories and links of one export.
const MAX_ENTRIES: u64 = 10_000_000;
/// The most directories that their owner may not write to or enter. They get those permissions after everything is
/// written.
const MAX_CLOSED: usize = 1 << 16;
/// Permissions that content may set. The user's own mask decides all others, and those that the content does not set.
const ALLOWED: u32 = 0o755;
/// What is needed to write into a directory.
const OPEN: u32 = 0o700;

/// What to do with symbolic links that lead out of the exported tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outside {
    /// Nothing is written at all.
    #[default]
    Refuse,
    /// They are left out, and all else is written.
    LeaveOut,
    /// They are written like all others.
    Keep,
}

/// How something is written to disk.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions {
    /// Most bytes of its files.
    pub max_bytes: u64,
    /// What becomes of symbolic links that lead out of it, by themselves or through others.
    pub outside: Outside,
}

/// What was written to disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Bytes of its files.
    pub bytes: u64,
    /// Symbolic links that were left out, by their paths below what was written.
    pub left_out: Vec<PathBuf>,
    /// Those that were left out because no disk takes them.
    pub impossible: Vec<PathBuf>,
}

/// Writes a file or directory to `target`, which must not exist, or be an empty directory.
/// An export that fails leaves nothing.
///
/// # Errors
///
/// [`Error::Path`] when `target` is in the way or cannot be written, [`Error::TooLarge`] beyond
/// `max_bytes`, [`Error::Malformed`] for names that would leave `target`, [`Error::Unsupported`] for symbolic links that would.
pub async fn export<S: BlockSource>(
    source: &S,
    entity: impl Into<Entity>,
    target: &Path,
    max_bytes: u64,
) -> Result<u64, Error> {
    let options = ExportOptions {
        max_bytes,
        outside: Outside::Refuse,
    };
    let exported = export_with(source, entity, target, options).await?;
    Ok(exported.bytes)
}

/// As [`export`], with a choice for symbolic links that lead out of it.
///
/// # Errors
///
/// As [`export`].
pub async fn export_with<S: BlockSource>(
    source: &S,
    entity: impl Into<Entity>,
    target: &Path,
    options: ExportOptions,
) -> Result<Exported, Error> {
    let entity = entity.into();
    let at = target.to_owned();
    let place = blocking(move || ExportTarget::new(&at)).await?;
    let tree = place.tree();
    let mut export = Export {
        source,
        tree: tree.clone(),
        outside: options.outside,
        root: entity.cid,
        bytes_left: options.max_bytes,
        entries: 0,
        written: Exported::default(),
        has_links: false,
        closed: Vec::new(),
    };
    export.all(entity, tree.clone()).await?;
    if export.has_links && options.outside != Outside::Keep {
        export.check_links(&tree, options.outside).await?;
    }
    let Export {
        written, closed, ..
    } = export;
    let at = target.to_owned();
    blocking(move || {
        // A directory that was there keeps the permissions that it has.
        let kept = place.is_directory().then(|| tree.clone());
        place.take()?;
        let closed = closed
            .into_iter()
            .filter(|(path, _)| kept.as_ref() != Some(path));
        close(closed, &tree, &at)
    })
    .await?;
    Ok(written)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::Source(e.to_string()))?
}

/// Restricts the permissions of directories, the inner ones first. They were written below `tree`, and are below
/// `target` now.
fn close(
    closed: impl Iterator<Item = (PathBuf, u32)>,
    tree: &Path,
    target: &Path,
) -> Result<(), Error> {
    for (path, allowed) in closed {
        let path = target.join(path.strip_prefix(tree).unwrap_or(&path));
        let failed = |e| path_error(&path, e);
        let mut permissions = std::fs::metadata(&path).map_err(failed)?.permissions();
        permissions.set_mode(permissions.mode() & (allowed | !0o777));
        std::fs::set_permissions(&path, permissions).map_err(failed)?;
    }
    Ok(())
}

struct Export<'s, S> {
    source: &'s S,
    tree: PathBuf,
    outside: Outside,
    root: Cid,
    bytes_left: u64,
    entries: u64,
    written: Exported,
    has_links: bool,
    /// Directories that get their permissions in the end, and which.
    closed: Vec<(PathBuf, u32)>,
}

impl<S: BlockSource> Export<'_, S> {
    /// Writes an entity with everything below it. Pending work is in a list and not on the stack: a stranger may nest
    /// directories as deeply as possible, each with shards around its only entry.
    async fn all(&mut self, root: Entity, target: PathBuf) -> Result<(), Error> {
        let mut open = OpenDirectories::default();
        let first = self.entry(root, (target, 0)).await?;
        self.open(&mut open, first)?;
        while let Some(last) = open.last() {
            let below = match last.next() {
                Some(Next::Entry(entity, at)) => self.entry(entity, at).await?,
                Some(Next::Shard(number, cid)) => {
                    self.entries += 1;
                    let shard = last.shard(self.source, number, cid).await?;
                    Some(shard)
                }
                None => {
                    if let Some((path, mode)) = open.close() {
                        self.done(path, mode)?;
                    }
                    None
                }
            };
            self.open(&mut open, below)?;
        }
        Ok(())
    }

    fn open(&self, open: &mut OpenDirectories, below: Option<OpenDirectory>) -> Result<(), Error> {
        if below.is_none_or(|below| open.take(below)) {
            return Ok(());
        }
        Err(self.too_large())
    }

    /// Writes a file or link, or makes a directory, which is to be filled.
    async fn entry(
        &mut self,
        entity: Entity,
        (path, depth): (PathBuf, usize),
    ) -> Result<Option<OpenDirectory>, Error> {
        let cid = entity.cid;
        self.entries += 1;
        if depth > MAX_DIRECTORY_DEPTH || self.entries > MAX_ENTRIES {
            return Err(self.too_large());
        }
        match fetch(self.source, &entity.into()).await? {
            Fetched::File(file) => self.file(cid, file, &path).await?,
            Fetched::Symlink(target) => self.symlink(&target, &path).await?,
            Fetched::Directory { entries, mode, key } => {
                make_directory(&path, mode).await?;
                let children = Children::plain(entries, key);
                return Ok(Some(OpenDirectory::new(path, (depth, mode), children)));
            }
            Fetched::Shard { shard, mode } => {
                make_directory(&path, mode).await?;
                let children = Children::sharded(shard);
                return Ok(Some(OpenDirectory::new(path, (depth, mode), children)));
            }
        }
        Ok(None)
    }

    fn too_large(&self) -> Error {
        Error::TooLarge {
            cid: self.root,
            limit: format!("more than {MAX_DIRECTORY_DEPTH} levels or {MAX_ENTRIES} entries"),
        }
    }

    async fn file(&mut self, cid: Cid, content: File, path: &Path) -> Result<(), Error> {
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true);
        if let Some(mode) = content.mode {
            options.mode(mode & ALLOWED);
        }
        let file = options.open(path).await.map_err(|e| path_error(path, e))?;
        let mut file = tokio::io::BufWriter::with_capacity(buffer_bytes(&content), file);
        let written = write_file(self.source, cid, content, &mut file, self.bytes_left).await;
        let written = written.map_err(|error| match error {
            Error::Path { source, .. } => path_error(path, source),
            error => error,
        })?;
        self.bytes_left -= written;
        self.written.bytes += written;
        Ok(())
    }

    async fn symlink(&mut self, target: &str, path: &Path) -> Result<(), Error> {
        if is_impossible(target) {
            return self.leave_out(path);
        }
        self.has_links = true;
        let made = tokio::fs::symlink(target, path).await;
        made.map_err(|e| path_error(path, e))
    }

    /// Continues without a link that cannot be made, unless the link is the whole export.
    fn leave_out(&mut self, path: &Path) -> Result<(), Error> {
        let link = path.strip_prefix(&self.tree).unwrap_or(path);
        if self.outside == Outside::Refuse || link.as_os_str().is_empty() {
            return Err(Error::Unsupported {
                path: Path::new(".").join(link),
                reason: "a symbolic link that no disk takes",
            });
        }
        self.written.impossible.push(link.to_owned());
        Ok(())
    }

    /// A directory is complete. Permissions that restrict its owner are set after everything is written.
    fn done(&mut self, path: PathBuf, mode: Option<u32>) -> Result<(), Error> {
        let Some(mode) = mode.filter(|mode| mode & OPEN != OPEN) else {
            return Ok(());
        };
        if self.closed.len() >= MAX_CLOSED {
            let limit =
                format!("more than {MAX_CLOSED} directories that are closed to their owner");
            let cid = self.root;
            return Err(Error::TooLarge { cid, limit });
        }
        self.closed.push((path, mode & ALLOWED));
        Ok(())
    }

    /// Checks where the written links lead, now that all of them exist.
    async fn check_links(&mut self, tree: &Path, outside: Outside) -> Result<(), Error> {
        let at = tree.to_owned();
        self.written.left_out = blocking(move || {
            let failed = |e| path_error(&at, e);
            if at.is_symlink() {
                // Whatever it leads to is beside what is written.
                return leaves(Path::new("."));
            }
            let found = links::leading_out(&at).map_err(failed)?;
            if let (Outside::Refuse, Some(first)) = (outside, found.first()) {
                return leaves(first);
            }
            for link in &found {
                std::fs::remove_file(at.join(link)).map_err(failed)?;
            }
            Ok(found)
        })
        .await?;
        Ok(())
    }
}

fn leaves<T>(link: &Path) -> Result<T, Error> {
    Err(Error::Unsupported {
        path: link.to_owned(),
        reason: "a symbolic link that leads out of the directory",
    })
}

/// Whether no disk takes a link to `target`.
fn is_impossible(target: &str) -> bool {
    target.is_empty() || target.contains('\0') || target.len() > MAX_LINK_TARGET_BYTES
}

/// Room for a file, or for a block of it.
fn buffer_bytes(file: &File) -> usize {
    usize::try_from(file.file_bytes)
        .unwrap_or(usize::MAX)
        .min(1 << 20)
}

async fn make_directory(path: &Path, mode: Option<u32>) -> Result<(), Error> {
    let mut builder = tokio::fs::DirBuilder::new();
    if let Some(mode) = mode {
        builder.mode((mode & ALLOWED) | OPEN);
    }
    let made = builder.create(path).await;
    made.map_err(|e| path_error(path, e))
}
