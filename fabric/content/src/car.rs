//! CAR version 1: a header and then blocks, each with its CID.
//!
//! Format: <https://ipld.io/specs/transport/car/carv1/>. The list of roots may be empty here, since
//! whoever streams a DAG bottom-up learns its root last. Version 2, which other software writes into files, is read too:
//! version 1 with something around it, an index above all, which is passed over
//! (<https://ipld.io/specs/transport/car/carv2/>).

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
/// What says in version 2 where the blocks are: 16 bytes of traits, and where they begin, how many bytes they have and
/// where the index begins, of 8 bytes each.
const PLACES_BYTES: usize = 40;
const TRAITS_BYTES: usize = 16;

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
    around: Around,
    /// Bytes of version 1 that are left, where that is known.
    left: Option<u64>,
    /// Whether all pieces were taken.
    is_over: bool,
}

/// What version 2 has around version 1, as far as it was read.
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
            // Whoever sends an index after the blocks is not cut off.
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

    /// Reads one part of what comes before the blocks.
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

    /// Version 2 around version 1: where that begins, how long it is said to be, and what follows it.
    fn wrapped(begins: u64, bytes: u64, index: &[u8]) -> Vec<u8> {
        let mut wrapped = b"\x0a\xa1\x67version\x02".to_vec();
        wrapped.extend([0; TRAITS_BYTES]);
        for place in [begins, bytes, begins + bytes] {
            wrapped.extend(place.to_le_bytes());
        }
        wrapped.resize(usize::try_from(begins).unwrap().max(51), 0);
        wrapped.extend(car());
        wrapped.extend(index);
        wrapped
    }

    #[test]
    fn version_2_has_the_blocks_that_version_1_in_it_has() {
        let length = u64::try_from(car().len()).unwrap();
        for begins in [51, 52, 2000] {
            let index = [0x81_u8, 8, 0, 0xff].repeat(50);
            let wrapped = wrapped(begins, length, &index);
            for piece in [1, 7, 1000, 1 << 20] {
                assert_eq!(read(&wrapped, piece).unwrap(), blocks(), "{begins} {piece}");
            }
        }
    }

    #[test]
    fn version_2_that_contradicts_itself_is_refused() {
        let length = u64::try_from(car().len()).unwrap();
        let whole = wrapped(60, length, b"");
        for end in [11, 30, 51, 55, 60, 62, whole.len() - 1] {
            assert!(read(&whole[..end], 4096).is_err(), "{end} bytes");
        }
        let reason = |car: &[u8]| read(car, 4096).unwrap_err().to_string();
        assert!(reason(&wrapped(50, length, b"")).contains("begin before its end"));
        assert!(reason(&wrapped(0, 0, b"")).contains("begin before its end"));
        assert!(reason(&wrapped(51, 0, b"")).contains("it is empty"));
        assert!(reason(&wrapped(51, length - 1, b"")).contains("after the blocks"));
        assert!(reason(&wrapped(51, length + 1, b"")).contains("cut off"));
        // One version 2 in another.
        let mut twice = wrapped(51, 1 << 40, b"");
        twice.truncate(51);
        twice.extend(wrapped(51, length, b""));
        assert!(reason(&twice).contains("only CAR versions 1 and 2"));
    }

    #[test]
    fn oversized_section_is_refused_before_it_is_read() {
        let mut car = BytesMut::from(&header(&[])[..]);
        put_length(&mut car, usize::MAX >> 1);
        let error = read(&car, 4096).unwrap_err();
        assert!(matches!(error, Error::Car { .. }), "{error}");
    }
}
