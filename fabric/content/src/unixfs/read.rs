//! From blocks back to bytes.

use super::{
    entity::{Entity, Part},
    node::{Fetched, File, fetch},
};
use crate::{BlockSource, Error};
use futures::{StreamExt, stream};
use mc_types::Cid;
use std::{future::Future, ops::Range, pin::Pin};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Deepest file. With 174 links a node, 8 levels are more bytes than exist.
pub(super) const MAX_FILE_DEPTH: usize = 16;

/// What a UnixFS node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
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
    pub kind: EntryKind,
    /// Bytes of the file, as its root claims; 0 for the others.
    pub file_bytes: u64,
    /// Permissions, if they were kept: the lowest twelve bits of `st_mode`.
    pub mode: Option<u32>,
}

/// What an entity is.
///
/// # Errors
///
/// [`Error::NotFound`], or [`Error::Malformed`] when it is no UnixFS node.
pub async fn stat<S: BlockSource>(source: &S, entity: impl Into<Entity>) -> Result<Stat, Error> {
    let (kind, file_bytes, mode) = match fetch(source, &entity.into().into()).await? {
        Fetched::File(file) => (EntryKind::File, file.file_bytes, file.mode),
        Fetched::Directory { mode, .. } | Fetched::Shard { mode, .. } => {
            (EntryKind::Directory, 0, mode)
        }
        Fetched::Symlink(_) => (EntryKind::Symlink, 0, None),
    };
    Ok(Stat {
        kind,
        file_bytes,
        mode: mode.map(|mode| mode & 0o7777),
    })
}

/// Writes the bytes of a file, at most `max_bytes`; returns their number.
///
/// # Errors
///
/// [`Error::Malformed`] when it is not a file, [`Error::TooLarge`] when it is longer, and whatever
/// keeps a block from being read or the bytes from being written.
pub async fn cat<S: BlockSource>(
    source: &S,
    file: impl Into<Entity>,
    mut writer: impl AsyncWrite + Unpin + Send,
    max_bytes: u64,
) -> Result<u64, Error> {
    let part = Part::from(file.into());
    let file = fetch_file(source, &part).await?;
    write_file(source, part.cid, file, &mut writer, max_bytes).await
}

/// Writes the bytes of a file in `range`, as far as it has them; returns their number. Fetches only the blocks that
/// contain them.
///
/// # Errors
///
/// As [`cat`]; [`Error::Malformed`] also when lengths in the file do not agree.
pub async fn cat_range<S: BlockSource>(
    source: &S,
    file: impl Into<Entity>,
    range: Range<u64>,
    mut writer: impl AsyncWrite + Unpin + Send,
) -> Result<u64, Error> {
    let at = Part::from(file.into());
    let cid = at.cid;
    let file = fetch_file(source, &at).await?;
    let range = range.start.min(file.file_bytes)..range.end.min(file.file_bytes);
    let mut out = Out {
        writer: &mut writer,
        root: cid,
        written: 0,
        max_bytes: range.end.saturating_sub(range.start),
    };
    part(source, (cid, file), Some(range), &mut out, 0).await?;
    out.writer.flush().await.map_err(write_error)?;
    Ok(out.written)
}

/// The bytes of a file.
///
/// # Errors
///
/// As [`cat`].
pub async fn read_to_vec<S: BlockSource>(
    source: &S,
    file: impl Into<Entity>,
    max_bytes: u64,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    cat(source, file, &mut bytes, max_bytes).await?;
    Ok(bytes)
}

async fn fetch_file<S: BlockSource>(source: &S, part: &Part) -> Result<File, Error> {
    match fetch(source, part).await? {
        Fetched::File(file) => Ok(file),
        _ => Err(Error::Malformed {
            cid: part.cid,
            reason: "not a file".to_owned(),
        }),
    }
}

pub(super) async fn write_file<S: BlockSource, W: AsyncWrite + Unpin + Send>(
    source: &S,
    root: Cid,
    file: File,
    writer: &mut W,
    max_bytes: u64,
) -> Result<u64, Error> {
    let mut out = Out {
        writer,
        root,
        written: 0,
        max_bytes,
    };
    part(source, (root, file), None, &mut out, 0).await?;
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

/// Writes a node of a file and what is below it, in order, fetching ahead.
fn part<'f, S: BlockSource, W: AsyncWrite + Unpin + Send>(
    source: &'f S,
    (cid, file): (Cid, File),
    range: Option<Range<u64>>,
    out: &'f mut Out<'_, W>,
    depth: usize,
) -> BoxedPart<'f> {
    Box::pin(async move {
        if depth > MAX_FILE_DEPTH {
            let limit = format!("nested more than {MAX_FILE_DEPTH} levels deep");
            let cid = out.root;
            return Err(Error::TooLarge { cid, limit });
        }
        if range.is_some() || file.tells_lengths() {
            file.check_lengths(&cid)?;
        }
        let pieces = match &range {
            None => {
                out.write(&file.bytes).await?;
                whole(&file)
            }
            Some(range) => {
                out.write(within(&file.bytes, range)).await?;
                pieces(&file, range)
            }
        };
        let ahead = |(part, range, claimed): Piece| async move {
            let cid = part.cid;
            let file = fetch_file(source, &part).await?;
            if let Some(claimed) = claimed {
                // Otherwise the file could have any length, and the bytes that follow would be at different positions
                // for partial and full reads.
                file.check_lengths(&cid)?;
                if claimed == file.file_bytes {
                    return Ok(((cid, file), range));
                }
                let reason = "not as long as the node above it claims".to_owned();
                return Err(Error::Malformed { cid, reason });
            }
            Ok::<_, Error>(((cid, file), range))
        };
        let mut parts = stream::iter(pieces).map(ahead).buffered(source.ahead());
        while let Some(next) = parts.next().await {
            let (piece, range) = next?;
            part(source, piece, range, out, depth + 1).await?;
        }
        Ok(())
    })
}

/// Those of a node's own bytes that are in a range.
fn within<'b>(bytes: &'b [u8], range: &Range<u64>) -> &'b [u8] {
    let end = usize::try_from(range.end)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
    bytes.get(start..end).unwrap_or_default()
}

/// A part, the wanted bytes of it if not all, and its claimed length if given.
type Piece = (Part, Option<Range<u64>>, Option<u64>);

/// All parts of a file. Old software did not always record their lengths.
fn whole(file: &File) -> Vec<Piece> {
    let told = file.tells_lengths();
    let claim = |index: usize| file.part_bytes.get(index).copied().filter(|_| told);
    let parts = (0..file.parts.len()).filter_map(|index| Some((file.part(index)?, index)));
    parts
        .map(|(part, index)| (part, None, claim(index)))
        .collect()
}

/// The parts of a file that have bytes in a range.
fn pieces(file: &File, range: &Range<u64>) -> Vec<Piece> {
    let mut begin = file.own_bytes();
    let mut pieces = Vec::new();
    for (index, length) in file.part_bytes.iter().enumerate() {
        let end = begin.saturating_add(*length);
        if begin < range.end
            && end > range.start
            && let Some(part) = file.part(index)
        {
            let from = range.start.saturating_sub(begin);
            let to = range.end.min(end) - begin;
            pieces.push((part, Some(from..to), Some(*length)));
        }
        begin = end;
    }
    pieces
}
