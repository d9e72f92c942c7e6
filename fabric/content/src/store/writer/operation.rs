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
    /// Records that `keys` were used, as far as they exist, and answers for each whether it exists. Spares them for a
    /// while from now on if requested.
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
    /// Such an operation has a commit of its own. Look-ups see only committed state, so a put in the same commit would
    /// believe that a block is stored while it is being removed.
    pub(super) const fn removes_blocks(&self) -> bool {
        matches!(self, Self::Remove { .. } | Self::Sweep { .. })
    }

    /// Whether it is durable once it is answered. Blocks that can be fetched again, and records of use, need not be
    /// durable; they become so with the next durable operation.
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
