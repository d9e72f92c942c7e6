//! The node as the HTTP API sees it.

mod blocks;
mod jobs;
mod mirrored;
mod own;
mod waiting;

use crate::{
    advert::{self, Found, Wanted},
    content::Content,
    error::Error as NodeError,
    layers::Layer,
    metrics,
    peers::Peers,
    pins,
};
use async_trait::async_trait;
use bytes::Bytes;
use mc_api::{
    BlockStat, DhtPeers, DhtRecord, ErrorBody, FsckView, GcView, Imported, JobView, LayerView,
    LogQuery, NodeQuery, NodeView, PeerAddresses, PeerView, PinView,
};
use mc_config::Config;
use mc_coordinator::Coordinator;
use mc_gateway::{
    backend::{Backend, BlockStream, Blocks, Error, LogBytes, Reach},
    metrics::Metric,
};
use mc_ledger::Ledger;
use mc_net::{Identity, Multiaddr, NetworkHandle, PeerInfo};
use mc_supervision::Supervisor;
use mc_types::{
    CheckpointRecord, Cid, Digest, ErrorCode, JobId, JobSpec, JobState, NodeId, Why, with_causes,
};
use mc_worker::Worker;
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

/// The parts of a node that the API is served from.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What it has.
    pub content: Content,
    /// Grants leases.
    pub coordinator: Coordinator,
    /// Runs tasks.
    pub worker: Worker,
    /// Where jobs are kept, for lists of them.
    pub ledger: Ledger,
    /// How workers are asked what a job has written.
    pub peers: Peers,
    /// The network.
    pub net: NetworkHandle,
    /// To whom the keys of private jobs are sealed.
    pub identity: Identity,
    /// Counts panics.
    pub tasks: Supervisor,
}

/// What the API is served from.
#[derive(Debug)]
pub(crate) struct NodeBackend {
    network: String,
    bootstrap: Vec<String>,
    content: Content,
    coordinator: Coordinator,
    worker: Worker,
    ledger: Ledger,
    peers: Peers,
    net: NetworkHandle,
    identity: Identity,
    tasks: Supervisor,
}

impl NodeBackend {
    pub(crate) fn new(config: &Config, parts: Parts) -> Self {
        Self {
            network: config.network.clone(),
            bootstrap: config.bootstrap(),
            content: parts.content,
            coordinator: parts.coordinator,
            worker: parts.worker,
            ledger: parts.ledger,
            peers: parts.peers,
            net: parts.net,
            identity: parts.identity,
            tasks: parts.tasks,
        }
    }
}

impl From<NodeError> for ErrorBody {
    fn from(error: NodeError) -> Self {
        Self {
            code: error.code(),
            message: with_causes(&error),
            hint: error.hint(),
        }
    }
}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        Self(error.into())
    }
}

/// An error of a part, with the code and the hint that users see.
fn refuse(error: impl Into<NodeError>) -> Error {
    error.into().into()
}

/// A node that was found in the DHT. It counts as connected if it has answered.
fn view(found: Found) -> PeerView {
    let Found {
        peer,
        lends,
        is_verified,
    } = found;
    PeerView {
        id: peer.id,
        this_node: false,
        connected: is_verified,
        relayed: peer.is_relayed,
        addresses: peer.addresses,
        agent: peer.agent,
        rtt_us: None,
        slots_total: Some(lends.slots_total),
        slots_free: Some(lends.slots_free),
        cpus: Some(lends.cpus),
        memory_bytes: Some(lends.memory_bytes),
        labels: lends.labels,
    }
}

/// `name=value`, separated by commas.
fn labels(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let pairs = text.split(',').filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::new(ErrorCode::Usage, format!("{pair:?} is not name=value")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.map(pair).collect()
}

fn addresses(peer: PeerInfo) -> PeerAddresses {
    PeerAddresses {
        id: peer.id,
        addresses: peer.addresses,
    }
}

const fn layer_view(digest: Digest, layer: Layer) -> LayerView {
    LayerView {
        digest,
        cid: layer.root,
        size: layer.bytes,
    }
}

#[async_trait]
impl Backend for NodeBackend {
    async fn submit(&self, id: Option<JobId>, job: JobSpec) -> Result<JobView, Error> {
        let submitted = self.coordinator.submit(id, job).await;
        let (job, why) = submitted.map_err(refuse)?;
        Ok(JobView {
            waiting_for: why.and_then(|why| why.line()),
            ..JobView::from(&job)
        })
    }

    async fn job(
        &self,
        id: JobId,
        seen: Option<JobState>,
        wait: Option<Duration>,
    ) -> Result<JobView, Error> {
        let job = match wait {
            Some(wait) => self.coordinator.wait(id, seen, wait).await,
            None => self.coordinator.job(id).await,
        };
        match job.map_err(refuse)?.as_ref() {
            Some(job) => Ok(self.view(job).await),
            None => self.mirrored(id, seen, wait).await,
        }
    }

    async fn jobs(&self, state: Option<JobState>, limit: u32) -> Result<Vec<JobView>, Error> {
        let jobs = self.ledger.list(state, limit).await.map_err(refuse)?;
        self.views(&jobs).await
    }

    async fn why(&self, id: JobId) -> Result<Why, Error> {
        let job = self.record(id).await?;
        if job.state.is_terminal() {
            let message = format!("job {id} does not wait: it is {}", job.state);
            return Err(Error::new(ErrorCode::NotFound, message));
        }
        self.coordinator.why(id).await.map_err(refuse)
    }

    async fn jobs_between(
        &self,
        ids: RangeInclusive<JobId>,
        limit: u32,
    ) -> Result<Vec<JobId>, Error> {
        let found = self.ledger.between(&ids, limit).await;
        let found = found.map_err(refuse)?;
        Ok(found.into_iter().map(|job| job.id).collect())
    }

    async fn cancel(&self, id: JobId) -> Result<JobView, Error> {
        match self.coordinator.cancel(id).await.map_err(refuse)? {
            Some(job) => Ok(JobView::from(&job)),
            None => Err(self.not_here(id).await),
        }
    }

    async fn checkpoints(&self, id: JobId) -> Result<Vec<CheckpointRecord>, Error> {
        self.record(id).await?;
        self.coordinator.checkpoints(id).await.map_err(refuse)
    }

    async fn checkpoint(&self, id: JobId) -> Result<CheckpointRecord, Error> {
        let job = self.record(id).await?;
        let taken = self.coordinator.checkpoint_now(&job).await;
        taken.map_err(refuse)
    }

    async fn migrate(&self, id: JobId, to: NodeId) -> Result<JobView, Error> {
        let job = self.record(id).await?;
        let moved = self.coordinator.migrate(&job, to).await;
        moved.map_err(refuse)?;
        Ok(self.view(&self.record(id).await?).await)
    }

    async fn logs(&self, id: JobId, wanted: LogQuery) -> Result<LogBytes, Error> {
        self.follow(id, wanted).await
    }

    fn panicked(&self, reason: &str) {
        self.tasks.panicked("request", reason);
    }

    async fn metrics(&self) -> Result<Vec<Metric>, Error> {
        let lent = self.worker.announcement();
        let stats = self.coordinator.stats().await.map_err(refuse)?;
        let mut all = metrics::of_scheduler(&stats);
        let counts = self.ledger.counts().await.map_err(refuse)?;
        all.extend(metrics::of_ledger(counts));
        all.extend(metrics::of_dht(&self.net.refused().await.map_err(refuse)?));
        all.push(metrics::of_tasks(self.tasks.panics()));
        let counts = self.worker.counts();
        all.extend(metrics::of_worker(
            lent.slots_total,
            lent.slots_free,
            self.worker.unacknowledged(),
            counts,
        ));
        Ok(all)
    }

    async fn node(&self) -> Result<NodeView, Error> {
        let lent = self.worker.announcement();
        let peers = self.net.peers().await.map_err(refuse)?.len();
        let ipfs_peers = self.net.ipfs_peers().await.map_err(refuse)?;
        let addresses = self.net.addresses().await.map_err(refuse)?;
        Ok(NodeView {
            id: self.net.local_id().clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.clone(),
            bootstrap: self.bootstrap.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            slots_total: lent.slots_total,
            slots_free: lent.slots_free,
            cpus: lent.cpus,
            memory_bytes: lent.memory_bytes,
            peers: u32::try_from(peers).unwrap_or(u32::MAX),
            ipfs_peers: u32::try_from(ipfs_peers).unwrap_or(u32::MAX),
            reachability: self.net.reachability().await.map_err(refuse)?,
        })
    }

    async fn nodes(&self) -> Result<Vec<PeerView>, Error> {
        let own = self.node().await?;
        let workers = self.coordinator.workers().await;
        let offers: BTreeMap<_, _> = workers.into_iter().map(|w| (w.id, w.offer)).collect();
        let this = PeerView {
            id: own.id,
            this_node: true,
            connected: true,
            relayed: false,
            addresses: own.addresses,
            agent: None,
            rtt_us: None,
            slots_total: Some(own.slots_total),
            slots_free: Some(own.slots_free),
            cpus: Some(own.cpus),
            memory_bytes: Some(own.memory_bytes),
            labels: self.worker.announcement().labels,
        };
        let peer = |peer: PeerInfo| {
            let offer = offers.get(&peer.id);
            PeerView {
                this_node: false,
                connected: true,
                relayed: peer.is_relayed,
                addresses: peer.addresses,
                agent: peer.agent,
                rtt_us: peer.rtt.and_then(|rtt| u64::try_from(rtt.as_micros()).ok()),
                slots_total: offer.map(|offer| offer.slots_total),
                slots_free: offer.map(|offer| offer.slots_free),
                cpus: offer.map(|offer| offer.cpus),
                memory_bytes: offer.map(|offer| offer.lent.total.memory_bytes),
                labels: offer.map(|offer| offer.labels.clone()).unwrap_or_default(),
                id: peer.id,
            }
        };
        let peers = self.net.peers().await.map_err(refuse)?;
        Ok(std::iter::once(this)
            .chain(peers.into_iter().map(peer))
            .collect())
    }

    async fn find_nodes(&self, query: NodeQuery) -> Result<Vec<PeerView>, Error> {
        if query.gpu {
            // No node lends GPUs yet, and so none says that it has one.
            return Ok(Vec::new());
        }
        let wanted = Wanted {
            idle: query.idle,
            memory_bytes: query.memory_bytes,
            labels: labels(&query.labels)?,
        };
        let found = advert::find(&self.net, &wanted).await.map_err(refuse)?;
        Ok(found.into_iter().map(view).collect())
    }

    async fn add_layer(&self, cid: Cid) -> Result<LayerView, Error> {
        let (digest, layer) = self.content.add_layer(cid).await?;
        Ok(layer_view(digest, layer))
    }

    async fn layer(
        &self,
        digest: Digest,
        size: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<LayerView, Error> {
        let layer = self.content.layer(&digest, size, timeout).await?;
        Ok(layer_view(digest, layer))
    }

    async fn remove_layer(&self, digest: Digest) -> Result<(), Error> {
        if self.content.remove_layer(&digest).await? {
            return Ok(());
        }
        let message = format!("there is no layer {digest}");
        Err(Error::new(ErrorCode::NotFound, message))
    }

    async fn connect(&self, address: String) -> Result<(), Error> {
        let multiaddr: Multiaddr = address.parse().map_err(|e| {
            let message = format!("{address:?} is not a multiaddr: {e}");
            Error::new(ErrorCode::Usage, message)
        })?;
        let connected = self.net.connect(multiaddr).await;
        connected.map_err(|error| {
            let refusal = Error::new(error.code(), with_causes(&error));
            match error.hint() {
                Some(hint) => refusal.with_hint(hint),
                None => refusal,
            }
        })
    }

    async fn import(&self, blocks: BlockStream) -> Result<Imported, Error> {
        self.import_blocks(blocks).await
    }

    async fn lacking(&self, cids: Vec<Cid>) -> Result<Vec<Cid>, Error> {
        self.content.store().lacking(cids).await.map_err(refuse)
    }

    async fn missing(&self, roots: Vec<Cid>) -> Result<Vec<Cid>, Error> {
        let mut missing = Vec::new();
        for root in roots {
            let lacks = mc_content::missing(self.content.store(), root, 1)
                .await
                .map_err(refuse)?;
            if !lacks.is_empty() {
                missing.push(root);
            }
        }
        Ok(missing)
    }

    fn blocks(&self, reach: Reach) -> Blocks {
        match reach {
            Reach::Local => Blocks::new(self.content.store().clone()),
            Reach::Network { timeout } => Blocks::new(self.content.source(Vec::new(), timeout)),
        }
    }

    async fn block(&self, cid: Cid) -> Result<Bytes, Error> {
        let found = self.content.store().get(&cid).await.map_err(refuse)?;
        found.ok_or_else(|| blocks::unknown(&cid))
    }

    async fn block_stat(&self, cid: Cid) -> Result<BlockStat, Error> {
        let size = self.content.store().size(&cid).await.map_err(refuse)?;
        size.map(|size| BlockStat { cid, size })
            .ok_or_else(|| blocks::unknown(&cid))
    }

    async fn remove_block(&self, cid: Cid) -> Result<(), Error> {
        self.content.store().remove(&cid).await.map_err(refuse)
    }

    async fn pin(&self, name: String, cid: Cid) -> Result<PinView, Error> {
        self.pin_dag(name, cid).await
    }

    async fn unpin(&self, name: String) -> Result<(), Error> {
        pins::check_is_free(&name)?;
        if self.content.store().unpin(&name).await.map_err(refuse)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::NotFound,
            format!("there is no pin {name:?}"),
        ))
    }

    async fn pins(&self) -> Result<Vec<PinView>, Error> {
        let pins = self.content.store().pins().await.map_err(refuse)?;
        Ok(pins
            .into_iter()
            .map(|(name, cid)| PinView { name, cid })
            .collect())
    }

    async fn gc(&self, now: bool) -> Result<GcView, Error> {
        let store = self.content.store();
        let report = match now {
            true => store.gc_now().await,
            false => store.gc().await,
        };
        let report = report.map_err(refuse)?;
        Ok(GcView {
            removed_blocks: report.removed_blocks,
            removed_bytes: report.removed_bytes,
            kept_blocks: report.kept_blocks,
            recent_blocks: report.recent_blocks,
            recent_bytes: report.recent_bytes,
            grace_ms: u64::try_from(store.gc_grace().as_millis()).unwrap_or(u64::MAX),
        })
    }

    async fn fsck(&self) -> Result<FsckView, Error> {
        let report = self.content.store().fsck().await.map_err(refuse)?;
        Ok(FsckView {
            blocks: report.blocks,
            bytes: report.bytes,
            corrupt: report.corrupt,
            incomplete_pins: report.incomplete_pins,
        })
    }

    async fn dht_providers(&self, cid: Cid) -> Result<DhtPeers, Error> {
        let found = self.net.find_providers(cid).await.map_err(refuse)?;
        Ok(DhtPeers {
            peers: found.into_iter().map(addresses).collect(),
        })
    }

    async fn dht_peers(&self) -> Result<DhtPeers, Error> {
        let known = self.net.routing_table().await.map_err(refuse)?;
        Ok(DhtPeers {
            peers: known.into_iter().map(addresses).collect(),
        })
    }

    async fn dht_record(&self, key: String) -> Result<DhtRecord, Error> {
        let record = self
            .net
            .record(key.clone().into_bytes())
            .await
            .map_err(refuse)?;
        let Some(record) = record else {
            let message = format!("the DHT has no record {key:?}");
            return Err(Error::new(ErrorCode::NotFound, message));
        };
        let value_hex = record
            .value
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(DhtRecord {
            key,
            value_hex,
            publisher: record.publisher,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_protocol::Announcement;

    #[test]
    fn labels_are_names_and_values_with_commas_between_them() {
        let read = labels("room=attic,,formula=a=b,").unwrap();
        let all = [("formula", "a=b"), ("room", "attic")];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, BTreeMap::from(all));
        assert_eq!(labels("").unwrap(), BTreeMap::new());
        let refused = labels("room=attic,cellar").unwrap_err();
        assert_eq!(refused.0.code, ErrorCode::Usage);
        assert!(refused.0.message.contains("cellar"), "{refused}");
    }

    #[test]
    fn errors_keep_their_code_their_causes_and_what_to_do() {
        let refused = refuse(mc_coordinator::Error::Overloaded);
        assert_eq!(refused.0.code, ErrorCode::Overloaded);
        assert!(refused.0.hint.is_some());
        let path = "/d".into();
        let source = std::io::Error::other("no luck");
        let refused = refuse(NodeError::Io { path, source });
        assert_eq!(refused.0.message, "cannot use /d: no luck");
        assert_eq!(refused.0.hint, None);
    }

    #[test]
    fn a_node_that_was_found_is_connected_only_if_it_has_answered() {
        let found = |is_verified| Found {
            peer: PeerInfo {
                id: "12D3KooWa".parse().unwrap(),
                addresses: vec!["/ip4/192.0.2.1/tcp/1".to_owned()],
                agent: None,
                rtt: None,
                is_relayed: true,
            },
            lends: Announcement {
                slots_total: 4,
                slots_free: 1,
                ..Announcement::default()
            },
            is_verified,
        };
        let said = view(found(false));
        assert!(!said.connected && !said.this_node && said.relayed);
        assert_eq!((said.slots_total, said.slots_free), (Some(4), Some(1)));
        assert!(view(found(true)).connected);
    }
}
