//! Frames on a stream, and CIDs in them.

use crate::{
    config::{MAX_BLOCK_BYTES, MAX_CID_BYTES, MAX_ITEMS, MAX_MESSAGE_BYTES},
    items,
    message::{Message, Payload},
};
use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use mc_types::{Cid, Verified, cid::Version};
use prost::Message as _;
use std::io::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

/// The protocol's name on the wire.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");

/// Bytes of the longest length prefix that is accepted: 2^28 is more than any message may have.
const MAX_PREFIX_BYTES: usize = 4;
/// How much is read at once of a message whose length is only claimed.
const READ_BYTES: usize = 64 << 10;

/// What a message says, for those who look at the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Entries of its want-list.
    pub wants: usize,
    /// Its blocks, verified; others are left out.
    pub blocks: Vec<(Cid, Bytes)>,
    /// What it says about blocks that are or are not there.
    pub presences: usize,
}

/// Reads a message; `None` when the stream ends before one begins.
///
/// # Errors
///
/// The stream's; [`ErrorKind::InvalidData`] for what is no message, or too large for one.
pub async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<Frame>> {
    let Some(message) = read(stream).await? else {
        return Ok(None);
    };
    let block = |payload: &Payload| Some(verified(payload)?.into_parts());
    Ok(Some(Frame {
        wants: message.wantlist.map_or(0, |list| list.entries.len()),
        blocks: message.payload.iter().filter_map(block).collect(),
        presences: message.presences.len(),
    }))
}

/// The next message; `None` when the stream ends before one begins.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<Message>> {
    read_within(stream, &Semaphore::new(MAX_MESSAGE_BYTES)).await
}

/// As [`read`], where a long message waits as [`read_rest`] says.
async fn read_within<S: AsyncRead + Unpin>(
    stream: &mut S,
    room: &Semaphore,
) -> Result<Option<Message>> {
    match read_length(stream).await? {
        Some(length) => read_rest(stream, length, room).await.map(Some),
        None => Ok(None),
    }
}

/// What comes after the length of a message. A long one waits until `room` has as many permits as it has bytes.
pub(crate) async fn read_rest<S: AsyncRead + Unpin>(
    stream: &mut S,
    length: usize,
    room: &Semaphore,
) -> Result<Message> {
    if length > MAX_MESSAGE_BYTES {
        return Err(invalid(format!("a message of {length} bytes")));
    }
    let permits = if length > READ_BYTES { length } else { 0 };
    let permits = u32::try_from(permits).unwrap_or(u32::MAX);
    let _room = room.acquire_many(permits).await.map_err(Error::other)?;
    let mut bytes = Vec::new();
    // Memory is taken as bytes arrive, not as the length promises: at most as much again. Once it is more than a few
    // bytes, the room for all of it is reserved, so that it need not be moved.
    while bytes.len() < length {
        let begin = bytes.len();
        let next = (begin + begin.max(READ_BYTES)).min(length);
        let reserved = if begin == 0 { next } else { length };
        bytes.reserve_exact(reserved - begin);
        bytes.resize(next, 0);
        let room = bytes.get_mut(begin..).unwrap_or_default();
        stream.read_exact(room).await?;
    }
    let items = items::count(&bytes);
    if items.is_none_or(|items| items > MAX_ITEMS) {
        return Err(invalid(format!("a message of {items:?} items")));
    }
    Message::decode(Bytes::from(bytes)).map_err(|e| invalid(e.to_string()))
}

/// How long the next message is; `None` when the stream ends before one begins.
pub(crate) async fn read_length<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<usize>> {
    let mut length = 0;
    for position in 0..MAX_PREFIX_BYTES {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if position == 0 {
                Ok(None)
            } else {
                Err(ErrorKind::UnexpectedEof.into())
            };
        }
        let [byte] = byte;
        length |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some(length));
        }
    }
    Err(invalid("a length of too many bytes".to_owned()))
}

/// Writes a message and pushes it out.
pub(crate) async fn write<S: AsyncWrite + Unpin>(stream: &mut S, message: &Message) -> Result<()> {
    match message.payload.as_slice() {
        // A block is not copied once more.
        [block] if message.wantlist.is_none() && message.presences.is_empty() => {
            stream.write_all(&head_of(message, block)).await?;
            stream.write_all(&block.data).await?;
        }
        _ => {
            let bytes = message.encode_length_delimited_to_vec();
            stream.write_all(&bytes).await?;
        }
    }
    stream.flush().await
}

/// The frame of a message with one block, up to the bytes of the block, which come last.
fn head_of(message: &Message, block: &Payload) -> Vec<u8> {
    /// Fields of the message, and of the payload in it, with their wire types.
    const PAYLOAD: u8 = 3 << 3 | 2;
    const PREFIX: u8 = 1 << 3 | 2;
    const DATA: u8 = 2 << 3 | 2;
    let mut before_data = vec![PREFIX];
    put_length(&mut before_data, block.prefix.len());
    before_data.extend_from_slice(&block.prefix);
    before_data.push(DATA);
    put_length(&mut before_data, block.data.len());
    // The other fields first, so that the block can be last.
    let mut inner = Message {
        payload: Vec::new(),
        ..message.clone()
    }
    .encode_to_vec();
    inner.push(PAYLOAD);
    put_length(&mut inner, before_data.len() + block.data.len());
    inner.extend_from_slice(&before_data);
    let mut head = Vec::with_capacity(inner.len() + MAX_PREFIX_BYTES);
    put_length(&mut head, inner.len() + block.data.len());
    head.extend_from_slice(&inner);
    head
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    bytes.extend_from_slice(unsigned_varint::encode::usize(length, &mut buffer));
}

fn invalid(reason: String) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

/// The CID of a want or a presence.
pub(crate) fn parse_cid(bytes: &[u8]) -> Option<Cid> {
    if bytes.len() > MAX_CID_BYTES {
        None
    } else {
        Cid::try_from(bytes).ok()
    }
}

/// The block as it is sent.
pub(crate) fn payload(cid: &Cid, data: Bytes) -> Payload {
    let mut prefix = Vec::new();
    for number in [
        u64::from(cid.version()),
        cid.codec(),
        cid.hash().code(),
        u64::from(cid.hash().size()),
    ] {
        let mut buffer = unsigned_varint::encode::u64_buffer();
        prefix.extend_from_slice(unsigned_varint::encode::u64(number, &mut buffer));
    }
    Payload { prefix, data }
}

/// A received block under the CID that it hashes to; `None` for a hash function that is not accepted, or a
/// block that is too large.
pub(crate) fn verified(payload: &Payload) -> Option<Verified<Bytes>> {
    if payload.data.len() > MAX_BLOCK_BYTES {
        return None;
    }
    let (version, rest) = unsigned_varint::decode::u64(&payload.prefix).ok()?;
    let (codec, rest) = unsigned_varint::decode::u64(rest).ok()?;
    let (hash, _) = unsigned_varint::decode::u64(rest).ok()?;
    let version = match version {
        0 => Version::V0,
        1 => Version::V1,
        _ => return None,
    };
    Verified::hash(version, codec, hash, payload.data.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, io::Cursor};
    use mc_types::cid;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn blocks_keep_their_cid_through_prefix_and_bytes() {
        let v1 = cid::of(cid::RAW, b"bytes");
        let v0 = Cid::new_v0(*v1.hash()).unwrap();
        for cid in [v0, v1, cid::of(cid::DAG_CBOR, b"bytes")] {
            let hashed = |bytes| *verified(&payload(&cid, bytes)).unwrap().cid();
            assert_eq!(hashed(Bytes::from_static(b"bytes")), cid);
            assert_ne!(hashed(Bytes::from_static(b"other")), cid);
        }
    }

    #[test]
    fn a_block_is_framed_as_any_message_is() {
        let cid = cid::of(cid::RAW, b"bytes");
        for length in [0, 1, 127, 128, 20_000, 1 << 20] {
            let message = Message {
                payload: vec![payload(&cid, vec![7; length].into())],
                pending_bytes: 12_345,
                ..Message::default()
            };
            let mut frame = Cursor::new(Vec::new());
            block_on(write(&mut frame, &message)).unwrap();
            frame.set_position(0);
            let read = block_on(read(&mut frame)).unwrap();
            assert_eq!(read, Some(message), "{length} bytes");
        }
    }

    #[test]
    fn oversized_and_truncated_frames_are_errors() {
        let huge = [0xff, 0xff, 0xff, 0x7f, 0];
        assert!(block_on(read(&mut Cursor::new(huge))).is_err());
        assert!(block_on(read(&mut Cursor::new([0xff; 10]))).is_err());
        assert!(block_on(read(&mut Cursor::new([0x05, 1, 2]))).is_err());
        assert!(block_on(read(&mut Cursor::new([]))).unwrap().is_none());
    }

    /// Empty ones take two bytes each on the wire, and dozens in memory.
    #[test]
    fn a_message_of_more_items_than_fit_is_refused() {
        for (items, is_good) in [(MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
            let message = Message {
                payload: vec![Payload::default(); items],
                ..Message::default()
            };
            let frame = message.encode_length_delimited_to_vec();
            let read = block_on(read(&mut Cursor::new(frame)));
            assert_eq!(read.is_ok(), is_good, "{items}");
        }
    }

    #[test]
    fn long_messages_wait_for_room_and_short_ones_do_not() {
        let payload = |length: usize| Payload {
            prefix: vec![1],
            data: vec![0; length].into(),
        };
        let frame = |length: usize| {
            let message = Message {
                payload: vec![payload(length)],
                ..Message::default()
            };
            Cursor::new(message.encode_length_delimited_to_vec())
        };
        let room = Semaphore::new(3 * READ_BYTES);
        let taken = room.try_acquire_many(2 * 65_536).unwrap();
        let mut long = frame(2 * READ_BYTES - 100);
        let mut waiting = Box::pin(read_within(&mut long, &room));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(block_on(read_within(&mut frame(READ_BYTES - 100), &room)).is_ok());
        drop(taken);
        assert!(waiting.now_or_never().unwrap().unwrap().is_some());
        assert_eq!(room.available_permits(), 3 * READ_BYTES);
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let mut state = 1_u64;
        for length in 0..2_000_usize {
            let mut bytes = unsigned_varint::encode::usize(length, &mut [0; 10]).to_vec();
            bytes.extend((0..length).map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                state.to_be_bytes()[0]
            }));
            if let Ok(Some(message)) = block_on(read(&mut Cursor::new(bytes))) {
                for payload in &message.payload {
                    let _ = verified(payload);
                }
            }
        }
    }
}
