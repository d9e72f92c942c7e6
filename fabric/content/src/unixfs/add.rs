//! From files and directories to blocks.

use super::{
    adder::{
        AddOptions, Added, Adder, FileInProgress, NAME_NOT_UTF8, NO_FILE, Symlinks, TARGET_NOT_UTF8,
    },
    entity::key_below,
};
use crate::{BlockSink, Error, Key, limits::CHUNK_BYTES};
use mc_types::MAX_DIRECTORY_DEPTH;
use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    vec,
};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
};

/// Adds a file, or a directory with everything in it. If `path` itself is a symbolic link, it is followed. Times are
/// not kept, and permissions only if the options say so.
///
/// # Errors
///
/// [`Error::Path`] for what cannot be read, [`Error::Unsupported`] for sockets and devices, names
/// that are not UTF-8, symbolic links that are not wanted or lead in circles, directories that are too
/// deep, and files that are written while they are read.
pub async fn add_path<S: BlockSink>(
    path: &Path,
    sink: &S,
    options: &AddOptions,
) -> Result<Added, Error> {
    let mut walk = Walk {
        adder: Adder::new(sink, options),
        open: Vec::new(),
    };
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|e| path_error(path, e))?;
    let added = walk.all(path.to_owned(), &metadata, options.key.as_ref());
    let added = added.await?;
    walk.adder.flush().await?;
    Ok(added)
}

/// Adds what `reader` gives as a file.
///
/// # Errors
///
/// [`Error::Path`] with the path `standard input` when reading fails, or the sink's error.
pub async fn add_reader<S: BlockSink>(
    reader: impl AsyncRead + Unpin + Send,
    sink: &S,
    options: &AddOptions,
) -> Result<Added, Error> {
    let mut adder = Adder::new(sink, options);
    let path = Path::new("standard input");
    let file = adder.file(options.key.as_ref());
    let added = read_file(&mut adder, reader, path, (file, CHUNK_BYTES)).await?;
    adder.flush().await?;
    Ok(added)
}

/// Adds `bytes` as a file.
///
/// # Errors
///
/// The sink's.
pub async fn add_bytes<S: BlockSink>(bytes: &[u8], sink: &S) -> Result<Added, Error> {
    add_reader(bytes, sink, &AddOptions::default()).await
}

/// Reads a file to its end, `buffer_bytes` at a time. While some bytes become blocks, the next are read.
async fn read_file<S: BlockSink>(
    adder: &mut Adder<'_, S>,
    mut reader: impl AsyncRead + Unpin + Send,
    path: &Path,
    (mut file, buffer_bytes): (FileInProgress, usize),
) -> Result<Added, Error> {
    let failed = |e| path_error(path, e);
    let mut buffer = vec![0; buffer_bytes];
    let mut next = Vec::new();
    let mut filled = fill(&mut reader, &mut buffer).await.map_err(failed)?;
    while filled == buffer.len() {
        next.resize(buffer_bytes, 0);
        // In this order, so that reading begins before this thread is busy with hashing.
        let reading = fill(&mut reader, &mut next);
        let (read, added) = futures::join!(reading, adder.extend(&mut file, &buffer));
        added?;
        filled = read.map_err(failed)?;
        std::mem::swap(&mut buffer, &mut next);
    }
    let rest = buffer.get(..filled).unwrap_or_default();
    adder.extend(&mut file, rest).await?;
    adder.end_file(file).await
}

/// Reads until the buffer is full or the reader is at its end.
async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// A way through directories on disk.
struct Walk<'a, S> {
    adder: Adder<'a, S>,
    /// The directories that are being added, the innermost last. They are in a list, since deep trees would overflow
    /// the stack.
    open: Vec<OpenDirectory>,
}

/// A directory that is being added.
struct OpenDirectory {
    path: PathBuf,
    /// Its device and inode.
    id: (u64, u64),
    mode: Option<u32>,
    key: Option<Key>,
    /// Names that are not added yet, and whether they are symbolic links.
    left: vec::IntoIter<(String, bool)>,
    /// The one that is being added.
    name: String,
    added: Vec<(String, Added)>,
}

impl OpenDirectory {
    /// The next entry: where it is, whether it is a symbolic link, and its key.
    fn next(&mut self) -> Option<(PathBuf, bool, Option<Key>)> {
        let (name, is_symlink) = self.left.next()?;
        let path = self.path.join(&name);
        let key = key_below(self.key.as_ref(), &name);
        self.name = name;
        Some((path, is_symlink, key))
    }

    /// What the entry came to.
    fn take(&mut self, added: Added) {
        self.added.push((std::mem::take(&mut self.name), added));
    }
}

impl<S: BlockSink> Walk<'_, S> {
    /// Adds a file, or a directory with everything in it. Its `metadata` is known.
    async fn all(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        key: Option<&Key>,
    ) -> Result<Added, Error> {
        let mut done = self.add(path, metadata, key).await;
        loop {
            let Some(inner) = self.open.last_mut() else {
                // Only a directory has no result yet, and then it is in the list.
                return done.and_then(|added| added.ok_or(Error::Closed));
            };
            match done {
                Ok(Some(added)) => inner.take(added),
                Ok(None) => {}
                Err(error) => self.adder.options.leave_out(error)?,
            }
            done = match inner.next() {
                Some((entry, is_symlink, below)) => {
                    self.entry(entry, is_symlink, below.as_ref()).await
                }
                None => self.close().await,
            };
        }
    }

    /// Adds a file, or begins with a directory.
    async fn add(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        key: Option<&Key>,
    ) -> Result<Option<Added>, Error> {
        if metadata.is_dir() {
            self.begin(path, metadata, key).await?;
            Ok(None)
        } else if metadata.is_file() {
            self.file(&path, key).await.map(Some)
        } else {
            Err(unsupported(&path, NO_FILE))
        }
    }

    fn mode(&self, metadata: &Metadata) -> Option<u32> {
        self.adder.options.modes.then(|| metadata.mode() & 0o7777)
    }

    async fn file(&mut self, path: &Path, key: Option<&Key>) -> Result<Added, Error> {
        let failed = |e| path_error(path, e);
        let mut file = File::open(path).await.map_err(failed)?;
        let before = file.metadata().await.map_err(failed)?;
        // One byte more than there are, so that the end is noticed at once.
        let buffer_bytes = usize::try_from(before.len().saturating_add(1)).unwrap_or(usize::MAX);
        let begun = self.adder.file_with(self.mode(&before), key);
        let how = (begun, buffer_bytes.min(CHUNK_BYTES));
        let added = read_file(&mut self.adder, &mut file, path, how).await?;
        let after = file.metadata().await.map_err(failed)?;
        let same = |m: &Metadata| (m.len(), m.mtime(), m.mtime_nsec());
        if same(&before) != same(&after) || added.file_bytes != after.len() {
            return Err(unsupported(path, "it changed while it was being read"));
        }
        Ok(added)
    }

    async fn begin(
        &mut self,
        path: PathBuf,
        metadata: &Metadata,
        key: Option<&Key>,
    ) -> Result<(), Error> {
        let id = (metadata.dev(), metadata.ino());
        if self.open.iter().any(|directory| directory.id == id) {
            return Err(unsupported(&path, "a symbolic link leads in a circle"));
        }
        if self.open.len() > MAX_DIRECTORY_DEPTH {
            return Err(unsupported(&path, "directories are nested too deeply"));
        }
        let left = sorted_entries(&path, &self.adder.options).await?;
        self.open.push(OpenDirectory {
            path,
            id,
            mode: self.mode(metadata),
            key: key.cloned(),
            added: Vec::with_capacity(left.len()),
            left: left.into_iter(),
            name: String::new(),
        });
        Ok(())
    }

    /// Adds the innermost directory, whose entries are added.
    async fn close(&mut self) -> Result<Option<Added>, Error> {
        let Some(done) = self.open.pop() else {
            return Ok(None);
        };
        let how = (done.mode, done.key.as_ref());
        let added = self.adder.directory_with(done.added, how, &done.path);
        added.await.map(Some)
    }

    async fn entry(
        &mut self,
        path: PathBuf,
        is_symlink: bool,
        key: Option<&Key>,
    ) -> Result<Option<Added>, Error> {
        if is_symlink {
            return self.symlink(path, key).await;
        }
        let metadata = tokio::fs::symlink_metadata(&path).await;
        let metadata = metadata.map_err(|e| path_error(&path, e))?;
        self.add(path, &metadata, key).await
    }

    async fn symlink(&mut self, path: PathBuf, key: Option<&Key>) -> Result<Option<Added>, Error> {
        match self.adder.options.symlinks {
            Symlinks::Keep => {}
            Symlinks::Follow => {
                let metadata = tokio::fs::metadata(&path).await;
                let metadata = metadata.map_err(|e| path_error(&path, e))?;
                return self.add(path, &metadata, key).await;
            }
            Symlinks::Refuse => return Err(unsupported(&path, "a symbolic link")),
        }
        let target = tokio::fs::read_link(&path)
            .await
            .map_err(|e| path_error(&path, e))?;
        let target = target
            .into_os_string()
            .into_string()
            .map_err(|_| unsupported(&path, TARGET_NOT_UTF8))?;
        self.adder.symlink(target, key).await.map(Some)
    }
}

/// The entries of a directory in the order of their bytes, as dag-pb wants them, and whether each is a
/// symbolic link.
async fn sorted_entries(path: &Path, options: &AddOptions) -> Result<Vec<(String, bool)>, Error> {
    let failed = |e| path_error(path, e);
    let mut entries = Vec::new();
    let mut listing = tokio::fs::read_dir(path).await.map_err(failed)?;
    while let Some(entry) = listing.next_entry().await.map_err(failed)? {
        let kind = entry.file_type().await;
        let kind = kind.map_err(|e| path_error(&entry.path(), e))?;
        match entry.file_name().into_string() {
            Ok(name) if options.for_guests && mc_directories::is_reserved(&name) => {}
            Ok(name) => entries.push((name, kind.is_symlink())),
            Err(_) => options.leave_out(unsupported(&entry.path(), NAME_NOT_UTF8))?,
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn unsupported(path: &Path, reason: &'static str) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        reason,
    }
}

pub(super) fn path_error(path: &Path, source: std::io::Error) -> Error {
    if crate::error::is_disk_full(&source) {
        return Error::DiskFull;
    }
    Error::Path {
        path: path.to_owned(),
        source,
    }
}
