//! What is to be written.

use crate::{Block, Error};
use mc_types::{Cid, Timestamp};
use tokio::sync::oneshot;

pub(super) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Something to be written.
pub(in crate::store) enum Operation {
    Put {
        blocks: Vec<Block>,
        /// A pin that is set with them.
        pin: Option<(String, Cid)>,
        /// Whether they are spared for a while, so that there is time to pin them.
        spare: bool,
        reply: Reply<()>,
    },
    /// Notes that those of `keys` that are there were used, and says of each whether it is there. If they are to be
    /// spared, they are spared for a while from now on.
    Renew {
        keys: Vec<Vec<u8>>,
        spare: bool,
        reply: Reply<Vec<bool>>,
    },
    Remove {
        keys: Vec<Vec<u8>>,
        reply: Reply<()>,
    },
    Sweep {
        keys: Vec<Vec<u8>>,
        marked_at: u64,
        spare_since: Timestamp,
        reply: Reply<Option<u64>>,
    },
    Pin {
        name: String,
        root: Cid,
        reply: Reply<()>,
    },
    Unpin {
        name: String,
        reply: Reply<bool>,
    },
    PinGeneration {
        reply: Reply<u64>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

impl Operation {
    /// Such an operation has a commit of its own. Whether a block is there is looked up in what is committed. A put in
    /// the same commit would take a block for stored that is just being removed.
    pub(super) const fn removes_blocks(&self) -> bool {
        matches!(self, Self::Remove { .. } | Self::Sweep { .. })
    }

    /// Whether it is durable once it is answered. Blocks that can be had again, and notes of what was used, need not be
    /// durable; they become so with the next operation that is.
    pub(super) const fn is_promised(&self) -> bool {
        !matches!(
            self,
            Self::Put {
                pin: None,
                spare: false,
                ..
            } | Self::Renew { spare: false, .. }
        )
    }
}

pub(super) fn send<T>(reply: Reply<T>, value: Result<T, Error>) {
    // A caller that went away does not want to know.
    let _ = reply.send(value);
}
