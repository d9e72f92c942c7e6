//! What is kept in the DHT: signed entries that expire.
//!
//! An entry is canonical DAG-CBOR inside a libp2p signed envelope (RFC 0002), at most [`MAX_ENTRY_BYTES`] long.
//! `mc-protocol` defines its body, the claim about its subject. Its key is the SHA-256 of network, kind and subject, so
//! a node that stores the entry can check by itself that it belongs under that key:
//!
//! | kind | subject | published by | lives for at most |
//! |---|---|---|---|
//! | node | the node | that node | 5 minutes |
//! | completion | the job | the worker, with the grant that its coordinator signed | 48 hours |
//! | task | the job | its coordinator: who speaks of a job first, until that expires | 1 hour |
//!
//! Besides, the DHT has an index of idle nodes: provider records under the key of a class, a period of [`EPOCH`] and a
//! shard. They only name candidates; a searcher asks the candidates themselves.

mod entry;
mod grant;
mod guard;
mod hash;
mod index;

pub use entry::{Entry, MAX_ENTRY_BYTES, RecordKind, Refusal};
pub use grant::{open_grant, seal_grant};
pub(crate) use guard::Guard;
pub use guard::Refused;
pub use index::{Class, EPOCH};
