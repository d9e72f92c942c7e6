//! The messages of bitswap 1.2.0, field by field as the specification numbers them.

use crate::config::ITEM_BYTES;
use prost::Message as _;

/// Messages are sent as one up to this length, in bytes: small blocks cost more by the message than by the byte.
const TOGETHER_BYTES: usize = 64 << 10;

/// A message: wants, blocks, or both.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(message, optional, tag = "1")]
    pub(crate) wantlist: Option<Wantlist>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) payload: Vec<Payload>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) presences: Vec<Presence>,
    #[prost(int32, tag = "5")]
    pub(crate) pending_bytes: i32,
}

impl Message {
    /// How much memory the answers in it take while they wait to be sent.
    pub(crate) fn answer_bytes(&self) -> usize {
        let blocks = self.payload.iter().map(|block| block.data.len());
        let presences = self.presences.iter().map(|presence| presence.cid.len());
        blocks
            .chain(presences)
            .map(|bytes| bytes + ITEM_BYTES)
            .sum()
    }

    /// Entries of its want-list.
    pub(crate) fn wants(&self) -> usize {
        self.wantlist.as_ref().map_or(0, |list| list.entries.len())
    }

    /// Adds to this message what `other` was to say after it; returns `other` if the result would be too long.
    pub(crate) fn absorb(&mut self, other: Self) -> Result<(), Self> {
        let replaces = |message: &Self| message.wantlist.as_ref().is_some_and(|list| list.full);
        let is_long = self.encoded_len() + other.encoded_len() > TOGETHER_BYTES;
        if is_long || replaces(self) || replaces(&other) {
            return Err(other);
        }
        if let Some(list) = other.wantlist {
            let own = self.wantlist.get_or_insert_default();
            own.entries.extend(list.entries);
        }
        if !other.payload.is_empty() {
            self.pending_bytes = other.pending_bytes;
        }
        self.payload.extend(other.payload);
        self.presences.extend(other.presences);
        Ok(())
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Wantlist {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<Entry>,
    /// Whether this replaces what was wanted before.
    #[prost(bool, tag = "2")]
    pub(crate) full: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) cid: Vec<u8>,
    #[prost(int32, tag = "2")]
    pub(crate) priority: i32,
    #[prost(bool, tag = "3")]
    pub(crate) cancel: bool,
    #[prost(int32, tag = "4")]
    pub(crate) want_type: i32,
    #[prost(bool, tag = "5")]
    pub(crate) send_dont_have: bool,
}

/// A block: the CID without its digest, and the bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) prefix: Vec<u8>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: bytes::Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Presence {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) cid: Vec<u8>,
    #[prost(int32, tag = "2")]
    pub(crate) kind: i32,
}

pub(crate) const WANT_BLOCK: i32 = 0;
pub(crate) const WANT_HAVE: i32 = 1;
pub(crate) const HAVE: i32 = 0;
pub(crate) const DONT_HAVE: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn block(length: usize) -> Message {
        let payload = Payload {
            prefix: vec![1],
            data: vec![0; length].into(),
        };
        Message {
            payload: vec![payload],
            pending_bytes: 7,
            ..Message::default()
        }
    }

    fn wants(count: usize, full: bool) -> Message {
        let entries = vec![Entry::default(); count];
        Message {
            wantlist: Some(Wantlist { entries, full }),
            ..Message::default()
        }
    }

    #[test]
    fn small_messages_become_one_that_says_the_same() {
        let mut message = wants(2, false);
        for other in [block(10), block(20), wants(3, false)] {
            message.absorb(other).unwrap();
        }
        let lengths: Vec<_> = message.payload.iter().map(|p| p.data.len()).collect();
        assert_eq!(lengths, [10, 20]);
        assert_eq!(message.wantlist.as_ref().unwrap().entries.len(), 5);
        assert_eq!(message.pending_bytes, 7);
        let apart = block(10).answer_bytes() + block(20).answer_bytes();
        assert_eq!(message.answer_bytes(), apart);
    }

    #[test]
    fn long_ones_and_whole_wantlists_stay_apart() {
        let long = block(TOGETHER_BYTES);
        assert_eq!(block(1).absorb(long.clone()), Err(long));
        let whole = wants(1, true);
        assert_eq!(block(1).absorb(whole.clone()), Err(whole));
        assert!(wants(1, true).absorb(wants(1, false)).is_err());
    }
}
