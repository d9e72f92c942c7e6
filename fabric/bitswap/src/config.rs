//! The bounds within which this side stays.

use std::time::Duration;

/// Bounds and times. Every one of them limits what a peer can make this node spend.
#[derive(Debug, Clone)]
pub struct Config {
    /// Blocks that are asked from one peer before it has sent any: enough to keep a fast link busy
    /// with blocks of a mebibyte.
    pub window: usize,
    /// After this time without any block from a peer that was asked, the next one is asked.
    pub stall_timeout: Duration,
    /// Wants of one peer that are kept; further ones are ignored.
    pub max_wants_per_peer: usize,
    /// How many bytes may be on their way to one peer before more is looked up for it: bytes of blocks, and of answers
    /// about what is here.
    pub max_outgoing_bytes_per_peer: usize,
    /// How many answers without a block (what is here and what is not) one peer is given in a second.
    pub max_presences_per_second: u32,
    /// Blocks that are read from the store at a time, for all peers together.
    pub max_store_reads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: 32,
            stall_timeout: Duration::from_secs(5),
            max_wants_per_peer: 4096,
            max_outgoing_bytes_per_peer: 4 << 20,
            max_presences_per_second: 20_000,
            max_store_reads: 16,
        }
    }
}

/// Largest message that is read, in bytes: what js-libp2p sends at most.
pub(crate) const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Largest block that is accepted, in bytes.
pub(crate) const MAX_BLOCK_BYTES: usize = 2 << 20;
/// Most entries of one want-list.
pub(crate) const MAX_ENTRIES: usize = 4096;
/// Most entries, blocks and presences of one message: more than there is room for with CIDs of the usual hashes.
pub(crate) const MAX_ITEMS: usize = 1 << 17;
/// Longest CID, in bytes.
pub(crate) const MAX_CID_BYTES: usize = 128;
/// Inbound streams of one connection that are read at the same time; others wait.
pub(crate) const MAX_INBOUND_STREAMS: usize = 64;
/// Inbound streams of one connection that may wait. Yamux itself allows hardly more.
pub(crate) const MAX_WAITING_STREAMS: usize = 512;
/// Items that are read from one connection in a second: entries of want-lists, blocks, and what is and is not there.
pub(crate) const MAX_ENTRIES_PER_SECOND: u32 = 100_000;
/// Bytes of messages that are being read from one connection, all streams together.
pub(crate) const MAX_READING_BYTES: usize = 32 << 20;
/// Entries of our own want-lists that wait to be sent over one connection. A peer that lets more wait does not read.
pub(crate) const MAX_QUEUED_ENTRIES: usize = 4 * MAX_ENTRIES;
/// What an item of a message takes in memory beside its bytes.
pub(crate) const ITEM_BYTES: usize = 128;
/// How long a message may take to be sent or, once it has begun, to come; and how many bytes of it a slow line is expected
/// to take in a second.
pub(crate) const SEND_WITHIN: Duration = Duration::from_secs(60);
pub(crate) const SLOWEST_BYTES_PER_SECOND: u64 = 16 << 10;
/// Broken messages of one connection after which it is no longer read.
pub(crate) const MAX_BROKEN_MESSAGES: usize = 16;
