//! Layers of container images, by the digests that registries give them.
//!
//! A layer is larger than a block, and its digest is that of the whole. So it is stored as a file, and a pin named
//! after the digest keeps its root. In the DHT, peers look for the CID that the layer would have as a single block. A
//! peer only claims to have a root for a digest: this node fetches the file block by block, as any other, and accepts
//! it as the layer once the whole matches the digest.

use crate::{content::Content, error::Error};
use futures::{StreamExt, stream::FuturesUnordered};
use mc_content::unixfs;
use mc_protocol::{Request, Response};
use mc_types::{Cid, Digest, NodeId};
use sha2::{Digest as _, Sha256};
use std::{collections::HashSet, time::Duration};

/// Prefix of the pins of layers.
const PIN_PREFIX: &str = crate::pins::LAYER;
/// Connected peers that are asked for a layer before the DHT is.
const MAX_ASKED: usize = 32;
/// How long a peer may take to say which root it has.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The largest layer to fetch when the caller gives no size.
const MAX_BYTES: u64 = 64 << 30;

/// A layer that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    pub root: Cid,
    pub bytes: u64,
}

fn pin(digest: &Digest) -> String {
    format!("{PIN_PREFIX}{digest}")
}

/// The digest of the layer that a pin keeps, if it does.
pub(crate) fn of_pin(name: &str) -> Option<Digest> {
    name.strip_prefix(PIN_PREFIX)?.parse().ok()
}

impl Content {
    /// The root that this node has for a digest.
    pub(crate) async fn layer_root(&self, digest: &Digest) -> Result<Option<Cid>, Error> {
        Ok(self.store().pinned(&pin(digest)).await?)
    }

    /// Makes a file, all of which is in the store, a layer.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn add_layer(&self, root: Cid) -> Result<(Digest, Layer), Error> {
        let (digest, bytes) = self.digest(root, Vec::new(), u64::MAX, None).await?;
        self.keep_layer(&digest, root).await?;
        Ok((digest, Layer { root, bytes }))
    }

    /// Unpins a layer; returns whether it was there.
    pub(crate) async fn remove_layer(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.store().unpin(&pin(digest)).await?)
    }

    /// The layer with this digest: from the store, or from a peer. It has `bytes` bytes if given.
    ///
    /// # Errors
    ///
    /// [`mc_content::Error::NotFound`] when no peer has it, or the store's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps the blocks that were fetched, until they are collected.
    pub(crate) async fn layer(
        &self,
        digest: &Digest,
        bytes: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<Layer, Error> {
        if let Some(root) = self.layer_root(digest).await? {
            let bytes = unixfs::stat(self.store(), root).await?.file_bytes;
            return Ok(Layer { root, bytes });
        }
        let mut tried = HashSet::new();
        let connected = self.net().peers().await?;
        let connected = connected.into_iter().take(MAX_ASKED).map(|peer| peer.id);
        let near = self.roots_at(connected, digest).await;
        if let Some(layer) = self
            .first_of(near, digest, bytes, timeout, &mut tried)
            .await?
        {
            return Ok(layer);
        }
        let found = self.net().meet_providers(digest.cid()).await?;
        let far = self.roots_at(found.into_iter().map(|peer| peer.id), digest);
        let far = far.await;
        let found = self
            .first_of(far, digest, bytes, timeout, &mut tried)
            .await?;
        found.ok_or_else(|| {
            let peers = Some(tried.len());
            let cid = digest.cid();
            mc_content::Error::NotFound { cid, peers }.into()
        })
    }

    /// Which root each of some peers has for a digest, if it has one.
    async fn roots_at(
        &self,
        peers: impl IntoIterator<Item = NodeId>,
        digest: &Digest,
    ) -> Vec<(NodeId, Cid)> {
        let ask = |peer: NodeId| async move {
            let request = self
                .net()
                .request(&peer, Request::Layer { digest: *digest });
            match tokio::time::timeout(ANSWER_WITHIN, request).await {
                Ok(Ok(Response::Layer { root: Some(root) })) => Some((peer, root)),
                _ => None,
            }
        };
        let asked: FuturesUnordered<_> = peers.into_iter().map(ask).collect();
        asked.filter_map(async |answer| answer).collect().await
    }

    /// Fetches the offered files, one after the other, until one matches the digest.
    async fn first_of(
        &self,
        offered: Vec<(NodeId, Cid)>,
        digest: &Digest,
        bytes: Option<u64>,
        timeout: Option<Duration>,
        tried: &mut HashSet<(NodeId, Cid)>,
    ) -> Result<Option<Layer>, Error> {
        for (peer, root) in offered {
            if !tried.insert((peer.clone(), root)) {
                continue;
            }
            let most = bytes.unwrap_or(MAX_BYTES);
            match self.digest(root, vec![peer.clone()], most, timeout).await {
                Ok((found, length)) if found == *digest && bytes.is_none_or(|b| b == length) => {
                    self.keep_layer(digest, root).await?;
                    let bytes = length;
                    return Ok(Some(Layer { root, bytes }));
                }
                Ok((found, _)) => tracing::warn!(%peer, %digest, %found, "a false layer"),
                Err(error) => {
                    tracing::debug!(%peer, %digest, error = %mc_types::with_causes(&error), "no layer")
                }
            }
        }
        Ok(None)
    }

    /// The digest and the length of a file, which this fetches.
    async fn digest(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        most: u64,
        timeout: Option<Duration>,
    ) -> Result<(Digest, u64), mc_content::Error> {
        let source = self.source(providers, timeout);
        // One byte more than there may be is enough to know.
        let end = most.saturating_add(1);
        let mut bytes = Box::pin(unixfs::stream(source, root.into(), 0..end));
        let (mut hasher, mut length) = (Sha256::new(), 0_u64);
        while let Some(piece) = bytes.next().await.transpose()? {
            hasher.update(&piece);
            length += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        }
        if length > most {
            let limit = format!("more than {most} bytes");
            return Err(mc_content::Error::TooLarge { cid: root, limit });
        }
        Ok((Digest::new(hasher.finalize().into()), length))
    }

    async fn keep_layer(&self, digest: &Digest, root: Cid) -> Result<(), Error> {
        self.store().pin(&pin(digest), root).await?;
        // What was collected before it was pinned is fetched again.
        self.fetch(root, Vec::new(), None).await?;
        self.net().provide(digest.cid()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_of_a_layer_tells_its_digest_and_others_do_not() {
        let digest = Digest::new([7; 32]);
        assert_eq!(of_pin(&pin(&digest)), Some(digest));
        for other in ["", "job/x", &digest.to_string(), &format!("{PIN_PREFIX}x")] {
            assert_eq!(of_pin(other), None, "{other}");
        }
    }
}
