//! From blocks back to bytes.

use crate::{
    BlockSource, Error,
    dagpb::{DIRECTORY, FILE, HAMT_SHARD, Node, RAW, SYMLINK, UnixFs},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_types::{Cid, cid};
use std::{collections::HashSet, future::Future, pin::Pin};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Blocks that are asked for ahead of the one that is being written: enough to hide a round trip,
/// at most 32 MiB.
const AHEAD_BLOCKS: usize = 16;
/// Deepest file. With 174 links a node, 8 levels are more bytes than exist.
const MAX_FILE_DEPTH: usize = 16;

/// What a UnixFS node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// What a CID names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// File, directory or symbolic link.
    pub kind: Kind,
    /// Bytes of the file, as its root claims; 0 for the others.
    pub file_bytes: u64,
}

/// A node that was fetched and understood.
#[derive(Debug, Clone)]
pub(super) enum Fetched {
    /// Bytes that stand in the node itself, then those of the parts.
    File {
        bytes: Bytes,
        parts: Vec<Cid>,
        /// Bytes of each part, as far as the node claims them.
        part_bytes: Vec<u64>,
        file_bytes: u64,
    },
    /// Name and CID of each entry.
    Directory(Vec<(String, Cid)>),
    /// Where the link points.
    Symlink(String),
}

pub(super) async fn fetch<S: BlockSource>(source: &S, cid: Cid) -> Result<Fetched, Error> {
    let bytes = source.get(&cid).await?;
    let malformed = |reason: &str| Error::Malformed {
        cid,
        reason: reason.to_owned(),
    };
    match cid.codec() {
        cid::RAW => {
            let file_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            return Ok(Fetched::File {
                bytes,
                parts: Vec::new(),
                part_bytes: Vec::new(),
                file_bytes,
            });
        }
        cid::DAG_PB => {}
        _ => return Err(malformed("neither a file nor a directory")),
    }
    let node = Node::parse(&cid, &bytes)?;
    let unixfs = node.unixfs(&cid)?;
    match unixfs.kind {
        FILE | RAW => file(cid, &node, unixfs),
        DIRECTORY => directory(cid, &node),
        SYMLINK => {
            let target = String::from_utf8(unixfs.data.unwrap_or_default());
            target
                .map(Fetched::Symlink)
                .map_err(|_| malformed("a symbolic link that is not UTF-8"))
        }
        HAMT_SHARD => Err(malformed("a sharded directory, which cannot be read yet")),
        _ => Err(malformed("an unknown kind of UnixFS node")),
    }
}

fn file(cid: Cid, node: &Node, unixfs: UnixFs) -> Result<Fetched, Error> {
    let parts = node
        .links
        .iter()
        .map(|link| link.cid(&cid))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes: Bytes = unixfs.data.unwrap_or_default().into();
    let own = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let claimed = unixfs
        .block_bytes
        .iter()
        .fold(own, |sum, part| sum.saturating_add(*part));
    Ok(Fetched::File {
        bytes,
        parts,
        file_bytes: unixfs.file_bytes.unwrap_or(claimed),
        part_bytes: unixfs.block_bytes,
    })
}

fn directory(cid: Cid, node: &Node) -> Result<Fetched, Error> {
    let malformed = |reason: String| Error::Malformed { cid, reason };
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(node.links.len());
    for link in &node.links {
        let name = link.name.clone().unwrap_or_default();
        let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
        if !plain {
            return Err(malformed(format!(
                "{name:?} cannot be the name of an entry"
            )));
        }
        if !names.insert(name.clone()) {
            return Err(malformed(format!("two entries are named {name:?}")));
        }
        entries.push((name, link.cid(&cid)?));
    }
    Ok(Fetched::Directory(entries))
}

/// What `cid` names.
///
/// # Errors
///
/// [`Error::NotFound`], or [`Error::Malformed`] when it is no UnixFS node.
pub async fn stat<S: BlockSource>(source: &S, cid: Cid) -> Result<Stat, Error> {
    Ok(match fetch(source, cid).await? {
        Fetched::File { file_bytes, .. } => Stat {
            kind: Kind::File,
            file_bytes,
        },
        Fetched::Directory(_) => Stat {
            kind: Kind::Directory,
            file_bytes: 0,
        },
        Fetched::Symlink(_) => Stat {
            kind: Kind::Symlink,
            file_bytes: 0,
        },
    })
}

/// The entries of a directory.
///
/// # Errors
///
/// As [`stat`], and [`Error::Malformed`] when `cid` is not a directory.
pub async fn entries<S: BlockSource>(source: &S, cid: Cid) -> Result<Vec<(String, Cid)>, Error> {
    match fetch(source, cid).await? {
        Fetched::Directory(entries) => Ok(entries),
        _ => Err(Error::Malformed {
            cid,
            reason: "not a directory".to_owned(),
        }),
    }
}

/// Writes the bytes of the file `cid`, at most `max_bytes`; gives their number.
///
/// # Errors
///
/// [`Error::Malformed`] when it is not a file, [`Error::TooLarge`] when it is longer, and whatever
/// keeps a block from being read or the bytes from being written.
pub async fn cat<S: BlockSource>(
    source: &S,
    cid: Cid,
    mut writer: impl AsyncWrite + Unpin + Send,
    max_bytes: u64,
) -> Result<u64, Error> {
    let fetched = fetch(source, cid).await?;
    let Fetched::File { .. } = fetched else {
        return Err(Error::Malformed {
            cid,
            reason: "not a file".to_owned(),
        });
    };
    write_file(source, cid, fetched, &mut writer, max_bytes).await
}

/// The bytes of the file `cid`.
///
/// # Errors
///
/// As [`cat`].
pub async fn read_to_vec<S: BlockSource>(
    source: &S,
    cid: Cid,
    max_bytes: u64,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    cat(source, cid, &mut bytes, max_bytes).await?;
    Ok(bytes)
}

pub(super) async fn write_file<S: BlockSource, W: AsyncWrite + Unpin + Send>(
    source: &S,
    root: Cid,
    fetched: Fetched,
    writer: &mut W,
    max_bytes: u64,
) -> Result<u64, Error> {
    let mut out = Out {
        writer,
        root,
        written: 0,
        max_bytes,
    };
    part(source, root, fetched, &mut out, 0).await?;
    out.writer.flush().await.map_err(write_error)?;
    Ok(out.written)
}

struct Out<'w, W> {
    writer: &'w mut W,
    root: Cid,
    written: u64,
    max_bytes: u64,
}

impl<W: AsyncWrite + Unpin> Out<'_, W> {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written = self
            .written
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.written > self.max_bytes {
            let limit = format!("more than {} bytes", self.max_bytes);
            return Err(Error::TooLarge {
                cid: self.root,
                limit,
            });
        }
        self.writer.write_all(bytes).await.map_err(write_error)
    }
}

fn write_error(source: std::io::Error) -> Error {
    super::add::path_error(std::path::Path::new("output"), source)
}

type BoxedPart<'f> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'f>>;

/// Writes a node of a file and everything below it, in order, fetching ahead.
fn part<'f, S: BlockSource, W: AsyncWrite + Unpin + Send>(
    source: &'f S,
    cid: Cid,
    fetched: Fetched,
    out: &'f mut Out<'_, W>,
    depth: usize,
) -> BoxedPart<'f> {
    Box::pin(async move {
        if depth > MAX_FILE_DEPTH {
            let limit = format!("nested more than {MAX_FILE_DEPTH} levels deep");
            return Err(Error::TooLarge {
                cid: out.root,
                limit,
            });
        }
        let Fetched::File { bytes, parts, .. } = fetched else {
            return Err(Error::Malformed {
                cid,
                reason: "not a part of a file".to_owned(),
            });
        };
        out.write(&bytes).await?;
        let ahead = |cid: Cid| async move { Ok::<_, Error>((cid, fetch(source, cid).await?)) };
        let mut parts = stream::iter(parts).map(ahead).buffered(AHEAD_BLOCKS);
        while let Some(next) = parts.next().await {
            let (cid, fetched) = next?;
            part(source, cid, fetched, out, depth + 1).await?;
        }
        Ok(())
    })
}
