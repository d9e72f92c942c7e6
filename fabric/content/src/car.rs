//! CAR version 1: a header and then blocks, each with its CID.
//!
//! Format: <https://ipld.io/specs/transport/car/carv1/>. The list of roots may be empty here, since
//! whoever streams a DAG bottom-up learns its root last.

use crate::{Block, Error, MAX_BLOCK_BYTES};
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use ipld_core::ipld::Ipld;
use mc_types::Cid;
use std::collections::BTreeMap;

/// Largest header, in bytes: room for a thousand roots.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// Longest CID, in bytes: far above the 36 of a sha2-256 CIDv1.
const MAX_CID_BYTES: usize = 128;
/// Most bytes of a section's length.
const MAX_VARINT_BYTES: usize = 10;

/// The header of a CAR with `roots`.
#[must_use]
pub fn header(roots: &[Cid]) -> Bytes {
    let header = BTreeMap::from([
        (
            "roots".to_owned(),
            Ipld::List(roots.iter().copied().map(Ipld::Link).collect()),
        ),
        ("version".to_owned(), Ipld::Integer(1)),
    ]);
    // A map of a list of links and an integer always has an encoding.
    let header = serde_ipld_dagcbor::to_vec(&header).unwrap_or_default();
    let mut bytes = BytesMut::new();
    put_length(&mut bytes, header.len());
    bytes.extend_from_slice(&header);
    bytes.freeze()
}

/// The section of one block: its length and its CID, and then its bytes, which are not copied.
#[must_use]
pub fn section(block: &Block) -> [Bytes; 2] {
    let cid = block.cid().to_bytes();
    let mut head = BytesMut::with_capacity(MAX_VARINT_BYTES + cid.len());
    put_length(&mut head, cid.len() + block.bytes().len());
    head.extend_from_slice(&cid);
    [head.freeze(), block.bytes().clone()]
}

fn put_length(bytes: &mut BytesMut, length: usize) {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    bytes.extend_from_slice(unsigned_varint::encode::usize(length, &mut buffer));
}

/// Reads the blocks of a CAR that arrives in pieces.
#[derive(Debug)]
pub struct Reader<S> {
    pieces: S,
    buffer: BytesMut,
    /// Bytes that were taken from `buffer` so far.
    offset: u64,
    roots: Option<Vec<Cid>>,
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
        if self.roots.is_none() {
            let Some(header) = self.frame(MAX_HEADER_BYTES).await? else {
                return Err(self.broken("it is empty"));
            };
            self.roots = Some(self.header(&header)?);
        }
        Ok(self.roots.as_deref().unwrap_or_default())
    }

    fn header(&self, header: &[u8]) -> Result<Vec<Cid>, Error> {
        let header: Ipld = serde_ipld_dagcbor::from_slice(header)
            .map_err(|e| self.broken(format!("bad header: {e}")))?;
        let Ok(Some(Ipld::Integer(1))) = header.get("version") else {
            return Err(self.broken("only CAR version 1 is accepted"));
        };
        let Ok(Some(Ipld::List(roots))) = header.get("roots") else {
            return Err(self.broken("bad header: it names no roots"));
        };
        let root = |root: &Ipld| match root {
            Ipld::Link(cid) => Ok(*cid),
            _ => Err(self.broken("bad header: a root is not a CID")),
        };
        roots.iter().map(root).collect()
    }

    /// The next length-prefixed frame; `None` when the stream ends before it begins.
    async fn frame(&mut self, max: usize) -> Result<Option<Bytes>, Error> {
        let length = loop {
            match unsigned_varint::decode::usize(&self.buffer) {
                Ok((length, rest)) => {
                    let prefix = self.buffer.len() - rest.len();
                    break (prefix, length);
                }
                Err(unsigned_varint::decode::Error::Insufficient) => {
                    let empty = self.buffer.is_empty();
                    if !self.fill().await? {
                        return if empty {
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
        // At once, so that it is not moved as it grows.
        let rest = (prefix + length).saturating_sub(self.buffer.len());
        self.buffer.reserve(rest);
        while self.buffer.len() < prefix + length {
            if !self.fill().await? {
                return Err(self.broken("it is cut off"));
            }
        }
        self.buffer.advance(prefix);
        self.offset += u64::try_from(prefix + length).unwrap_or(u64::MAX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Takes one more piece; false at the end.
    async fn fill(&mut self) -> Result<bool, Error> {
        match self.pieces.next().await {
            Some(Ok(piece)) => {
                self.buffer.extend_from_slice(&piece);
                Ok(true)
            }
            Some(Err(e)) => Err(self.broken(e.to_string())),
            None => Ok(false),
        }
    }

    fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Car {
            offset: self.offset,
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use mc_types::cid;

    fn blocks() -> Vec<Block> {
        let bytes = [&b"one"[..], b"", &[7; 100_000]];
        bytes
            .into_iter()
            .map(|b| Block::encode(cid::RAW, b.to_vec()).unwrap())
            .collect()
    }

    fn car() -> Vec<u8> {
        let mut car = header(&[]).to_vec();
        blocks()
            .iter()
            .for_each(|block| car.extend(section(block).concat()));
        car
    }

    fn read(car: &[u8], piece: usize) -> Result<Vec<Block>, Error> {
        let pieces: Vec<_> = car
            .chunks(piece)
            .map(|p| Ok::<_, Error>(Bytes::copy_from_slice(p)))
            .collect();
        let mut reader = Reader::new(stream::iter(pieces));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut blocks = Vec::new();
            while let Some(block) = reader.next().await? {
                blocks.push(block);
            }
            Ok(blocks)
        })
    }

    #[test]
    fn blocks_survive_however_the_stream_is_cut_into_pieces() {
        for piece in [1, 2, 3, 1000, 1 << 20] {
            assert_eq!(read(&car(), piece).unwrap(), blocks());
        }
    }

    #[test]
    fn truncation_is_noticed_except_between_sections() {
        let car = car();
        let boundaries: Vec<usize> = blocks()
            .iter()
            .scan(header(&[]).len(), |at, block| {
                let here = *at;
                *at += section(block).concat().len();
                Some(here)
            })
            .collect();
        for length in (0..200).chain(car.len() - 50..car.len()) {
            let result = read(&car[..length], 4096);
            assert_eq!(
                result.is_ok(),
                boundaries.contains(&length),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn flipped_bytes_never_give_another_block() {
        let good = car();
        for position in 0..good.len().min(400) {
            let mut bad = good.clone();
            bad[position] ^= 1;
            if let Ok(read) = read(&bad, 4096) {
                assert!(read.iter().all(|b| cid::verify(b.cid(), b.bytes()).is_ok()));
            }
        }
    }

    #[test]
    fn oversized_section_is_refused_before_it_is_read() {
        let mut car = BytesMut::from(&header(&[])[..]);
        put_length(&mut car, usize::MAX >> 1);
        let error = read(&car, 4096).unwrap_err();
        assert!(matches!(error, Error::Car { .. }), "{error}");
    }
}
