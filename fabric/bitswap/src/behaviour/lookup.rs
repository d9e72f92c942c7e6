//! Looking up what peers want.

use crate::{BlockStore, server::Wanted};
use bytes::Bytes;
use futures::future::BoxFuture;
use libp2p::PeerId;
use std::sync::Arc;

/// What was found for a peer's want.
pub(super) type Lookup = BoxFuture<'static, (PeerId, Wanted, Found)>;

pub(super) enum Found {
    Block(Bytes),
    Here,
    NotHere,
}

/// Looks one want up.
pub(super) fn lookup(store: Arc<dyn BlockStore>, peer: PeerId, wanted: Wanted) -> Lookup {
    Box::pin(async move {
        let found = if wanted.have {
            store
                .has(wanted.cid)
                .await
                .map(|has| if has { Found::Here } else { Found::NotHere })
        } else {
            store
                .get(wanted.cid)
                .await
                .map(|block| block.map_or(Found::NotHere, Found::Block))
        };
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, cid = %wanted.cid, "block cannot be read");
            Found::NotHere
        });
        (peer, wanted, found)
    })
}
