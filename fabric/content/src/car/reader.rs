//! Reading a CAR that arrives in pieces.

use crate::{Block, Error, MAX_BLOCK_BYTES};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use ipld_core::ipld::Ipld;
use mc_types::Cid;

/// Largest header, in bytes: room for a thousand roots.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Longest CID, in bytes: far above the 36 of a sha2-256 CIDv1.
const MAX_CID_BYTES: usize = 128;
/// The header of version 2: 16 bytes of traits; then the position of the blocks, their length, and the position of the
/// index, 8 bytes each.
const PLACES_BYTES: usize = 40;
pub(super) const TRAITS_BYTES: usize = 16;

/// Reads the blocks of a CAR that arrives in pieces.
#[derive(Debug)]
pub struct Reader<S> {
    pieces: S,
    buffer: BytesMut,
    /// Bytes that were taken from `buffer` so far.
    offset: u64,
    roots: Option<Vec<Cid>>,
    around: Around,
    /// Bytes of version 1 that are left, where that is known.
    left: Option<u64>,
    /// Whether all pieces were taken.
    is_over: bool,
}

/// The part of version 2 around version 1, as far as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing, so far.
    Nothing,
    /// It was announced; where the blocks are comes next.
    Announced,
    /// As many bytes that mean nothing come next.
    Padding(u64),
    /// Version 1 has begun.
    Passed,
}

impl<S, E> Reader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::fmt::Display,
{
    /// Reads from `pieces`. Memory stays below one piece and one block.
    pub fn new(pieces: S) -> Self {
        Self {
            pieces,
            buffer: BytesMut::new(),
            offset: 0,
            roots: None,
            around: Around::Nothing,
            left: None,
            is_over: false,
        }
    }

    /// The next block, verified; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Car`] when the stream breaks off within a section, is malformed or too large;
    /// [`Error::Verify`] when a block's bytes are not what its CID says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: what arrived is kept for the next call.
    pub async fn next(&mut self) -> Result<Option<Block>, Error> {
        self.roots().await?;
        let Some(mut section) = self.frame(MAX_CID_BYTES + MAX_BLOCK_BYTES).await? else {
            // Reads the index after the blocks, so that its sender is not cut off.
            self.buffer.clear();
            while self.fill().await? {
                self.buffer.clear();
            }
            return Ok(None);
        };
        let mut rest: &[u8] = &section;
        let cid = Cid::read_bytes(&mut rest).map_err(|e| self.broken(format!("bad CID: {e}")))?;
        let consumed = section.len() - rest.len();
        section.advance(consumed);
        Block::new(cid, section).map(Some)
    }

    /// What the header names as roots.
    ///
    /// # Errors
    ///
    /// [`Error::Car`].
    ///
    /// # Cancel safety
    ///
    /// As [`Self::next`].
    pub async fn roots(&mut self) -> Result<&[Cid], Error> {
        while self.roots.is_none() {
            self.begin().await?;
        }
        Ok(self.roots.as_deref().unwrap_or_default())
    }

    /// Reads one part of the headers.
    async fn begin(&mut self) -> Result<(), Error> {
        match self.around {
            Around::Announced => {
                while self.buffer.len() < PLACES_BYTES {
                    self.must_fill().await?;
                }
                self.places()
            }
            Around::Padding(0) => {
                self.around = Around::Passed;
                Ok(())
            }
            Around::Padding(bytes) => {
                if self.buffer.is_empty() {
                    self.must_fill().await?;
                }
                let here = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
                let passed = here.min(bytes);
                self.skip(usize::try_from(passed).unwrap_or(usize::MAX));
                self.around = Around::Padding(bytes - passed);
                Ok(())
            }
            Around::Nothing | Around::Passed => {
                let Some(header) = self.frame(MAX_HEADER_BYTES).await? else {
                    return Err(self.broken("it is empty"));
                };
                self.header(&header)
            }
        }
    }

    /// Takes from the buffer where the blocks are.
    fn places(&mut self) -> Result<(), Error> {
        let mut places = self.take(PLACES_BYTES);
        places.advance(TRAITS_BYTES);
        let (begins, bytes) = (places.get_u64_le(), places.get_u64_le());
        let padding = begins.checked_sub(self.offset).ok_or_else(|| {
            self.broken("bad header of version 2: the blocks begin before its end")
        })?;
        self.left = Some(bytes);
        self.around = Around::Padding(padding);
        Ok(())
    }

    fn header(&mut self, header: &[u8]) -> Result<(), Error> {
        let header: Ipld = serde_ipld_dagcbor::from_slice(header)
            .map_err(|e| self.broken(format!("bad header: {e}")))?;
        match header.get("version") {
            Ok(Some(Ipld::Integer(1))) => {}
            Ok(Some(Ipld::Integer(2))) if self.around == Around::Nothing => {
                self.around = Around::Announced;
                return Ok(());
            }
            _ => return Err(self.broken("only CAR versions 1 and 2 are accepted")),
        }
        let Ok(Some(Ipld::List(roots))) = header.get("roots") else {
            return Err(self.broken("bad header: it names no roots"));
        };
        let root = |root: &Ipld| match root {
            Ipld::Link(cid) => Ok(*cid),
            _ => Err(self.broken("bad header: a root is not a CID")),
        };
        let roots = roots.iter().map(root).collect::<Result<_, _>>()?;
        self.roots = Some(roots);
        Ok(())
    }

    /// The next length-prefixed frame; `None` when the stream, or version 1 in it, ends before it begins.
    async fn frame(&mut self, max: usize) -> Result<Option<Bytes>, Error> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let length = loop {
            match unsigned_varint::decode::usize(&self.buffer) {
                Ok((length, rest)) => {
                    let prefix = self.buffer.len() - rest.len();
                    break (prefix, length);
                }
                Err(unsigned_varint::decode::Error::Insufficient) => {
                    let ends = self.buffer.is_empty() && self.left.is_none();
                    if !self.fill().await? {
                        return if ends {
                            Ok(None)
                        } else {
                            Err(self.broken("it is cut off"))
                        };
                    }
                }
                Err(e) => return Err(self.broken(format!("bad length: {e}"))),
            }
        };
        let (prefix, length) = length;
        if length > max {
            return Err(self.broken(format!(
                "a section of {length} bytes; at most {max} are accepted"
            )));
        }
        let taken = u64::try_from(prefix + length).unwrap_or(u64::MAX);
        if self.left.is_some_and(|left| left < taken) {
            return Err(self.broken("a section ends after the blocks do"));
        }
        // At once, so that it is not moved as it grows.
        let rest = (prefix + length).saturating_sub(self.buffer.len());
        self.buffer.reserve(rest);
        while self.buffer.len() < prefix + length {
            self.must_fill().await?;
        }
        self.left = self.left.map(|left| left - taken);
        self.skip(prefix);
        Ok(Some(self.take(length)))
    }

    /// Passes over bytes that are in the buffer.
    fn skip(&mut self, bytes: usize) {
        self.offset += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.buffer.advance(bytes);
    }

    /// Takes bytes that are in the buffer.
    fn take(&mut self, bytes: usize) -> Bytes {
        self.offset += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.buffer.split_to(bytes).freeze()
    }

    /// Takes one more piece, which must be there.
    async fn must_fill(&mut self) -> Result<(), Error> {
        if self.fill().await? {
            return Ok(());
        }
        Err(self.broken("it is cut off"))
    }

    /// Takes one more piece; false at the end.
    async fn fill(&mut self) -> Result<bool, Error> {
        if self.is_over {
            return Ok(false);
        }
        match self.pieces.next().await {
            Some(Ok(piece)) => {
                self.buffer.extend_from_slice(&piece);
                Ok(true)
            }
            Some(Err(e)) => Err(self.broken(e.to_string())),
            None => {
                self.is_over = true;
                Ok(false)
            }
        }
    }

    fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Car {
            offset: self.offset,
            reason: reason.into(),
        }
    }
}
