//! Peers that keep blocks in memory.

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use mc_net::{BlockStore, DhtMode, Identity, Multiaddr, NetworkHandle, Options, StoreError};
use mc_types::{Cid, NodeId, cid};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Blocks that are asked for at a time, as a node does.
const TOGETHER: usize = 36;

/// How a peer answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Behaving {
    Well,
    /// It never answers.
    Silently,
    /// It sends something else.
    Falsely,
}

#[derive(Debug)]
struct Memory {
    blocks: Mutex<HashMap<Cid, Bytes>>,
    how: Behaving,
    served: AtomicUsize,
}

impl Memory {
    fn keep(&self, cid: Cid, bytes: Bytes) {
        let blocks = self.blocks.lock();
        let mut blocks = blocks.unwrap_or_else(PoisonError::into_inner);
        blocks.insert(cid, bytes);
    }

    fn look(&self, cid: &Cid) -> Option<Bytes> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.get(cid).cloned()
    }
}

/// The memory of a peer, as the network sees it.
#[derive(Debug)]
struct Shared(Arc<Memory>);

impl BlockStore for Shared {
    fn get(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        let found = self.0.look(&cid);
        match self.0.how {
            Behaving::Silently => std::future::pending().boxed(),
            Behaving::Falsely => {
                let lie = found.map(|bytes| vec![0; bytes.len()].into());
                std::future::ready(Ok(lie)).boxed()
            }
            Behaving::Well => {
                if found.is_some() {
                    self.0.served.fetch_add(1, Ordering::Relaxed);
                }
                std::future::ready(Ok(found)).boxed()
            }
        }
    }

    fn has(&self, cid: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        std::future::ready(Ok(self.0.look(&cid).is_some())).boxed()
    }
}

/// Blocks of 1 MiB, each another.
pub(super) fn blocks(count: usize) -> Vec<(Cid, Bytes)> {
    let block = |number: u32| {
        let mut bytes = vec![7; 1 << 20];
        for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        (cid::of(cid::RAW, &bytes), Bytes::from(bytes))
    };
    (0..).take(count).map(block).collect()
}

/// A running peer.
pub(super) struct Peer {
    client: NetworkHandle,
    id: NodeId,
    address: Multiaddr,
    memory: Arc<Memory>,
}

impl Peer {
    pub(super) async fn start(
        transport: &str,
        how: Behaving,
        blocks: &[(Cid, Bytes)],
        known: &[&Self],
    ) -> Result<Self> {
        let memory = Arc::new(Memory {
            blocks: Mutex::new(blocks.iter().cloned().collect()),
            how,
            served: AtomicUsize::new(0),
        });
        let listen = match transport {
            "quic" => "/ip4/127.0.0.1/udp/0/quic-v1",
            _ => "/ip4/127.0.0.1/tcp/0",
        };
        let identity = Identity::generate();
        let id = identity.node_id();
        let options = Options {
            network: "bench".to_owned(),
            listen: vec![listen.parse()?],
            bootstrap: Vec::new(),
            peer_cache: None,
            mdns: false,
            dht: DhtMode::Server,
            relay: false,
            ipfs: false,
            ipfs_dht: Vec::new(),
            agent: "bench".to_owned(),
            fetch_timeout: Duration::from_secs(30),
        };
        let started =
            mc_net::start(identity, options, Arc::new(Shared(Arc::clone(&memory)))).await?;
        let addresses = started.client.addresses().await?;
        let address = addresses.first().cloned().context("an address")?;
        for peer in known {
            started.client.connect(peer.address.clone()).await?;
        }
        Ok(Self {
            client: started.client,
            id,
            address,
            memory,
        })
    }

    /// Fetches blocks, and keeps nothing of them, as the other end of a raw stream.
    pub(super) async fn fetch(
        &self,
        blocks: &[(Cid, Bytes)],
        providers: &[&Self],
    ) -> Result<Duration> {
        self.fetch_and(false, blocks, providers).await
    }

    /// Fetches blocks, and gives to others what it has by then.
    pub(super) async fn fetch_and_give(
        &self,
        blocks: &[(Cid, Bytes)],
        providers: &[&Self],
    ) -> Result<Duration> {
        self.fetch_and(true, blocks, providers).await
    }

    async fn fetch_and(
        &self,
        keeps: bool,
        blocks: &[(Cid, Bytes)],
        providers: &[&Self],
    ) -> Result<Duration> {
        let begin = Instant::now();
        let providers = providers.iter().map(|peer| peer.id.clone()).collect();
        let session = self.client.session(providers, None).await?;
        // In an order of its own, as nodes do it.
        let mut cids: Vec<_> = blocks.iter().map(|(cid, _)| *cid).collect();
        cids.sort_by_cached_key(|cid| {
            cid::of(
                cid::RAW,
                &[&cid.to_bytes(), self.id.as_str().as_bytes()].concat(),
            )
        });
        let session = &session;
        let fetch = |cid: Cid| async move {
            let block = session.get(cid).await?;
            if keeps {
                self.memory.keep(cid, block.into_parts().1);
                self.client.blocks_added(vec![cid]).await;
            }
            Ok::<_, anyhow::Error>(())
        };
        let mut fetches = stream::iter(cids).map(fetch).buffer_unordered(TOGETHER);
        while let Some(fetched) = fetches.next().await {
            fetched?;
        }
        Ok(begin.elapsed())
    }

    /// Blocks that it gave to others.
    pub(super) fn served(&self) -> usize {
        self.memory.served.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let client = self.client.clone();
        tokio::spawn(async move { client.shutdown().await });
    }
}
