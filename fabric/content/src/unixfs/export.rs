//! From blocks to files and directories on disk.

use super::{
    add::path_error,
    entity::{Entity, key_below},
    hamt::{Child, Shard},
    node::{Fetched, File, fetch, fetch_shard},
    read::write_file,
};
use crate::{BlockSource, Error};
use mc_types::Cid;
use std::{
    future::Future,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
    pin::Pin,
};

/// Deepest directory.
const MAX_DEPTH: usize = 256;
/// Most files, directories and links of one export.
const MAX_ENTRIES: u64 = 10_000_000;

/// Writes a file or directory to `target`, which must not exist, or be an empty directory.
/// An export that fails leaves no `target`, unless that was an empty directory.
///
/// # Errors
///
/// [`Error::Path`] when `target` is in the way or cannot be written, [`Error::TooLarge`] beyond
/// `max_bytes`, [`Error::Malformed`] for names or symbolic links that would leave `target`.
pub async fn export<S: BlockSource>(
    source: &S,
    entity: impl Into<Entity>,
    target: &Path,
    max_bytes: u64,
) -> Result<u64, Error> {
    let entity = entity.into();
    let into_empty = prepare(target).await?;
    let staging = if into_empty {
        target.to_owned()
    } else {
        beside(target)
    };
    let mut export = Export {
        source,
        root: entity.cid,
        bytes_left: max_bytes,
        entries: 0,
        written: 0,
    };
    let done = export.node(entity, staging.clone(), 0).await;
    let done = match done {
        Ok(()) if into_empty => Ok(()),
        Ok(()) => tokio::fs::rename(&staging, target)
            .await
            .map_err(|e| path_error(target, e)),
        Err(error) => Err(error),
    };
    if done.is_err() && !into_empty {
        // The first error is the one that matters.
        let _ = tokio::fs::remove_dir_all(&staging).await;
        let _ = tokio::fs::remove_file(&staging).await;
    }
    done.map(|()| export.written)
}

/// Whether `target` is an empty directory; an error when it is anything else but absent.
async fn prepare(target: &Path) -> Result<bool, Error> {
    match tokio::fs::read_dir(target).await {
        Ok(mut listing) => {
            match listing
                .next_entry()
                .await
                .map_err(|e| path_error(target, e))?
            {
                None => Ok(true),
                Some(_) => Err(path_error(
                    target,
                    std::io::ErrorKind::DirectoryNotEmpty.into(),
                )),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let parent = target
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            if let Some(parent) = parent {
                tokio::fs::create_dir_all(parent)
                    .await
                    .map_err(|e| path_error(parent, e))?;
            }
            Ok(false)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
            Err(path_error(target, std::io::ErrorKind::AlreadyExists.into()))
        }
        Err(e) => Err(path_error(target, e)),
    }
}

/// A name beside `target`, on the same file system, that is renamed once everything is there.
fn beside(target: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    target.with_file_name(name)
}

struct Export<'s, S> {
    source: &'s S,
    root: Cid,
    bytes_left: u64,
    entries: u64,
    written: u64,
}

type BoxedExport<'f> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'f>>;

impl<S: BlockSource> Export<'_, S> {
    fn node(&mut self, entity: Entity, path: PathBuf, depth: usize) -> BoxedExport<'_> {
        Box::pin(async move {
            let cid = entity.cid;
            self.entries += 1;
            if depth > MAX_DEPTH || self.entries > MAX_ENTRIES {
                let limit = format!("more than {MAX_DEPTH} levels or {MAX_ENTRIES} entries");
                let cid = self.root;
                return Err(Error::TooLarge { cid, limit });
            }
            match fetch(self.source, &entity.into()).await? {
                Fetched::File(file) => self.file(cid, file, &path).await,
                Fetched::Symlink(target) => symlink(cid, &target, &path, depth).await,
                Fetched::Directory { entries, mode, key } => {
                    make_directory(&path, depth).await?;
                    for (name, cid) in entries {
                        let key = key_below(key.as_ref(), &name);
                        let entry = Entity { cid, key };
                        self.node(entry, path.join(name), depth + 1).await?;
                    }
                    set_mode(&path, mode).await
                }
                Fetched::Shard { shard, mode } => {
                    make_directory(&path, depth).await?;
                    self.shard(shard, &path, depth).await?;
                    set_mode(&path, mode).await
                }
            }
        })
    }

    /// Writes the entries below a shard in the order in which a walk over the blocks meets them.
    fn shard<'f>(&'f mut self, shard: Shard, path: &'f Path, depth: usize) -> BoxedExport<'f> {
        Box::pin(async move {
            for child in &shard.children {
                match child {
                    Child::Entry(name, cid) => {
                        let entry = shard.entry(name, *cid);
                        self.node(entry, path.join(name), depth + 1).await?;
                    }
                    Child::Shard(number, cid) => {
                        self.entries += 1;
                        let below = fetch_shard(self.source, *cid, (&shard, *number)).await?;
                        self.shard(below, path, depth).await?;
                    }
                }
            }
            Ok(())
        })
    }

    async fn file(&mut self, cid: Cid, content: File, path: &Path) -> Result<(), Error> {
        let mode = content.mode;
        let file = tokio::fs::File::create_new(path)
            .await
            .map_err(|e| path_error(path, e))?;
        let mut file = tokio::io::BufWriter::with_capacity(buffer_bytes(&content), file);
        let written = write_file(self.source, cid, content, &mut file, self.bytes_left).await;
        let written = written.map_err(|error| match error {
            Error::Path { source, .. } => path_error(path, source),
            error => error,
        })?;
        self.bytes_left -= written;
        self.written += written;
        set_mode(path, mode).await
    }
}

/// Room for a file, or for a block of it.
fn buffer_bytes(file: &File) -> usize {
    usize::try_from(file.file_bytes)
        .unwrap_or(usize::MAX)
        .min(1 << 20)
}

async fn make_directory(path: &Path, depth: usize) -> Result<(), Error> {
    match tokio::fs::create_dir(path).await {
        // Only the root may be there already, and it is empty.
        Err(e) if depth > 0 || e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(path_error(path, e))
        }
        _ => Ok(()),
    }
}

/// Gives a file or directory the permissions that were kept: those to read, write and execute, since what
/// else there is would give rights to strangers.
async fn set_mode(path: &Path, mode: Option<u32>) -> Result<(), Error> {
    let Some(mode) = mode else {
        return Ok(());
    };
    let permissions = std::fs::Permissions::from_mode(mode & 0o777);
    tokio::fs::set_permissions(path, permissions)
        .await
        .map_err(|e| path_error(path, e))
}

/// Makes a symbolic link, if it stays within the tree that is being written.
async fn symlink(cid: Cid, target: &str, path: &Path, depth: usize) -> Result<(), Error> {
    let mut level = depth.saturating_sub(1);
    for component in Path::new(target).components() {
        let inside = match component {
            Component::Normal(_) => {
                level += 1;
                true
            }
            Component::CurDir => true,
            Component::ParentDir if level > 0 => {
                level -= 1;
                true
            }
            _ => false,
        };
        if !inside || depth == 0 {
            let reason = format!("the symbolic link to {target:?} would leave the directory");
            return Err(Error::Malformed { cid, reason });
        }
    }
    tokio::fs::symlink(target, path)
        .await
        .map_err(|e| path_error(path, e))
}
