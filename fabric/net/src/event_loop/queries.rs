//! The DHT.

use super::EventLoop;
use crate::{
    client::{DhtRecord, PeerInfo},
    dht::Entry,
    identity::node_id,
};
use libp2p::{
    Multiaddr, PeerId,
    kad::{self, GetProvidersOk, GetRecordOk, QueryId, QueryResult, RecordKey},
};
use mc_types::Cid;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::oneshot;

/// How many providers a search looks for; more make no fetch faster.
const MAX_PROVIDERS: usize = 20;

/// Who waits for a query.
enum Waiting {
    Providers {
        found: BTreeSet<PeerId>,
        /// Whether to connect to them. Their addresses are known only during the search.
        meet: bool,
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    Fetch {
        session: mc_bitswap::SessionId,
    },
    Record {
        reply: Option<oneshot::Sender<Option<DhtRecord>>>,
    },
    Entry {
        best: Option<Entry>,
        reply: oneshot::Sender<Option<Entry>>,
    },
}

#[derive(Default)]
pub(super) struct Queries(HashMap<QueryId, Waiting>);

/// The DHT's key of a CID: its multihash, as in IPFS.
pub(super) fn key(cid: &Cid) -> RecordKey {
    RecordKey::new(&cid.hash().to_bytes())
}

impl EventLoop {
    pub(super) fn provide(&mut self, cid: &Cid) {
        if let Err(error) = self.swarm.behaviour_mut().kad.start_providing(key(cid)) {
            tracing::debug!(%cid, %error, "not provided");
        }
    }

    pub(super) fn find_providers(
        &mut self,
        cid: &Cid,
        meet: bool,
        reply: oneshot::Sender<Vec<PeerInfo>>,
    ) {
        let query = self.swarm.behaviour_mut().kad.get_providers(key(cid));
        let waiting = Waiting::Providers {
            found: BTreeSet::new(),
            meet,
            reply,
        };
        self.queries.0.insert(query, waiting);
    }

    /// Looks for providers on behalf of a session.
    pub(super) fn find_for_session(&mut self, cid: &Cid, session: mc_bitswap::SessionId) {
        let query = self.swarm.behaviour_mut().kad.get_providers(key(cid));
        self.queries.0.insert(query, Waiting::Fetch { session });
        self.find_in_ipfs(cid, session);
    }

    pub(super) fn find_registered(&mut self, key: &[u8], reply: oneshot::Sender<Vec<PeerInfo>>) {
        let key = RecordKey::new(&key);
        let query = self.swarm.behaviour_mut().kad.get_providers(key);
        let waiting = Waiting::Providers {
            found: BTreeSet::new(),
            meet: true,
            reply,
        };
        self.queries.0.insert(query, waiting);
    }

    pub(super) fn lookup(&mut self, key: Vec<u8>, reply: oneshot::Sender<Option<Entry>>) {
        let key = RecordKey::new(&key);
        let query = self.swarm.behaviour_mut().kad.get_record(key);
        let waiting = Waiting::Entry { best: None, reply };
        self.queries.0.insert(query, waiting);
    }

    pub(super) fn get_record(&mut self, key: Vec<u8>, reply: oneshot::Sender<Option<DhtRecord>>) {
        let query = self
            .swarm
            .behaviour_mut()
            .kad
            .get_record(RecordKey::new(&key));
        self.queries
            .0
            .insert(query, Waiting::Record { reply: Some(reply) });
    }

    pub(super) fn routing_table(&mut self) -> Vec<PeerInfo> {
        let mut peers = Vec::new();
        for bucket in self.swarm.behaviour_mut().kad.kbuckets() {
            for entry in bucket.iter() {
                let addresses = entry.node.value.iter().map(ToString::to_string).collect();
                let id = node_id(entry.node.key.preimage());
                peers.push(PeerInfo {
                    id,
                    addresses,
                    agent: None,
                    rtt: None,
                    is_relayed: false,
                });
            }
        }
        peers
    }

    fn known_addresses(&mut self, id: &PeerId) -> Vec<Multiaddr> {
        let connected = self.peers.get(id).map(|peer| peer.addresses.clone());
        connected.unwrap_or_else(|| {
            let bucket = self.swarm.behaviour_mut().kad.kbucket(*id);
            let entries = bucket.iter().flat_map(|bucket| bucket.iter());
            let entry = entries
                .into_iter()
                .find(|entry| entry.node.key.preimage() == id);
            entry
                .map(|entry| entry.node.value.iter().cloned().collect())
                .unwrap_or_default()
        })
    }

    pub(super) fn kad_event(&mut self, event: kad::Event) {
        match event {
            kad::Event::RoutingUpdated {
                peer,
                is_new_peer: true,
                addresses,
                ..
            } => {
                self.found(peer, addresses.iter().cloned().collect());
            }
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.query_progressed(id, result, step.last);
            }
            kad::Event::InboundRequest {
                request:
                    kad::InboundRequest::PutRecord {
                        source,
                        record: Some(record),
                        ..
                    },
            } => self.put_for(source, record),
            kad::Event::InboundRequest {
                request:
                    kad::InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => self.provide_for(record),
            _ => {}
        }
    }

    fn query_progressed(&mut self, id: QueryId, result: QueryResult, last: bool) {
        let Some(mut waiting) = self.queries.0.remove(&id) else {
            return;
        };
        let mut enough = last;
        match (&mut waiting, result) {
            (
                Waiting::Providers { found, meet, .. },
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                if *meet {
                    for peer in providers.iter().take(MAX_PROVIDERS.min(self.room())) {
                        self.meet(*peer);
                    }
                }
                found.extend(providers);
                enough |= found.len() >= MAX_PROVIDERS;
            }
            (
                Waiting::Fetch { session },
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                let session = *session;
                for peer in providers.into_iter().take(MAX_PROVIDERS) {
                    self.provider_found(session, peer);
                }
            }
            (
                Waiting::Record { reply },
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))),
            ) => {
                let publisher = found.record.publisher.as_ref().map(node_id);
                let record = DhtRecord {
                    value: found.record.value,
                    publisher,
                };
                reply.take().map(|reply| reply.send(Some(record)));
                enough = true;
            }
            (
                Waiting::Entry { best, .. },
                QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))),
            ) => {
                // An answer may be a lie.
                let record = &found.record;
                let opened = self.records.open(record.key.as_ref(), &record.value);
                if let Ok(entry) = opened
                    && best.as_ref().is_none_or(|best| entry.supersedes(best))
                {
                    *best = Some(entry);
                }
            }
            _ => {}
        }
        if !enough {
            self.queries.0.insert(id, waiting);
            return;
        }
        if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
            query.finish();
        }
        self.query_ended(waiting);
    }

    fn query_ended(&mut self, waiting: Waiting) {
        match waiting {
            Waiting::Providers { found, reply, .. } => {
                let info = |id: PeerId| PeerInfo {
                    id: node_id(&id),
                    addresses: self
                        .known_addresses(&id)
                        .iter()
                        .map(ToString::to_string)
                        .collect(),
                    agent: None,
                    rtt: None,
                    is_relayed: self.links.is_relayed(&id),
                };
                let found = found.into_iter().map(info).collect();
                // The caller may have lost interest.
                let _ = reply.send(found);
            }
            Waiting::Record { reply } => {
                reply.map(|reply| reply.send(None));
            }
            Waiting::Entry { best, reply } => drop(reply.send(best)),
            Waiting::Fetch { session } => self.search_ended(session),
        }
    }
}
