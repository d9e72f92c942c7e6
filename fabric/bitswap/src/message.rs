//! The messages of bitswap 1.2.0, field by field as the specification numbers them.

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
