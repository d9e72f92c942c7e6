//! The DHT of IPFS, beside that of this network. This node announces roots there and looks for providers. It is only a
//! client and keeps nothing for others.

use super::{EventLoop, ipfs_peers::peer_of, queries::key};
use crate::client::SessionKey;
use libp2p::{
    PeerId,
    kad::{
        self, GetProvidersOk, QueryId, QueryResult,
        store::{MemoryStore, RecordStore},
    },
    swarm::dial_opts::{DialOpts, PeerCondition},
};
use mc_types::Cid;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How many searches run at a time. Further ones use only this network's DHT.
const MAX_SEARCHES: usize = 256;
/// How many providers a search looks for; more make no fetch faster.
const MAX_PROVIDERS: usize = 20;
/// How often its first peers are dialled while none of its members is connected.
const DIAL_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct IpfsDht {
    searches: HashMap<QueryId, SessionKey>,
    dialled: Option<Instant>,
}

impl EventLoop {
    fn ipfs_kad(&mut self) -> Option<&mut kad::Behaviour<MemoryStore>> {
        self.swarm.behaviour_mut().ipfs_kad.as_mut()
    }

    /// Announces there that this node has a DAG: now, and again before that expires.
    pub(super) fn announce_to_ipfs(&mut self, cid: &Cid) {
        if let Some(kad) = self.ipfs_kad()
            && let Err(error) = kad.start_providing(key(cid))
        {
            tracing::debug!(%cid, %error, "not announced to IPFS");
        }
    }

    /// Announces everything again, so that others know this node's current addresses.
    pub(super) fn announce_again(&mut self) {
        let Some(kad) = self.ipfs_kad() else {
            return;
        };
        let provided: Vec<_> = kad.store_mut().provided().map(|r| r.key.clone()).collect();
        for key in provided {
            if let Err(error) = kad.start_providing(key) {
                tracing::debug!(%error, "not announced to IPFS again");
            }
        }
    }

    /// Looks for providers on behalf of a session.
    pub(super) fn find_in_ipfs(&mut self, cid: &Cid, session: SessionKey) {
        if self.ipfs_dht.searches.len() >= MAX_SEARCHES {
            return;
        }
        if let Some(kad) = self.ipfs_kad() {
            let query = kad.get_providers(key(cid));
            self.ipfs_dht.searches.insert(query, session);
        }
    }

    pub(super) fn ipfs_kad_event(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed {
            id, result, step, ..
        } = event
        else {
            return;
        };
        let session = match step.last {
            true => self.ipfs_dht.searches.remove(&id),
            false => self.ipfs_dht.searches.get(&id).copied(),
        };
        if let Some(session) = session
            && let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders {
                providers, ..
            })) = result
        {
            for peer in providers.into_iter().take(MAX_PROVIDERS) {
                self.provider_found(session, peer);
            }
        }
    }

    /// A member is connected, so earlier announcements can reach the DHT through it.
    pub(super) fn met_ipfs_dht(&mut self, peer: PeerId) {
        let is_first = self.ipfs_kad().is_some_and(|kad| {
            let known = kad.kbuckets().map(|bucket| bucket.num_entries());
            known.sum::<usize>() <= 1
        });
        if is_first {
            tracing::info!(%peer, "connected to the DHT of IPFS");
            if let Some(Err(error)) = self.ipfs_kad().map(kad::Behaviour::bootstrap) {
                tracing::debug!(%error, "no way through the DHT of IPFS");
            }
            self.announce_again();
        }
    }

    /// Dials the first peers, as long as none is connected.
    pub(super) fn join_ipfs_dht(&mut self, now: Instant) {
        let rested = |last: Instant| now.saturating_duration_since(last) >= DIAL_EVERY;
        if self.options.ipfs_dht.is_empty() || !self.ipfs_dht.dialled.is_none_or(rested) {
            return;
        }
        self.ipfs_dht.dialled = Some(now);
        let first = self.options.ipfs_dht.clone();
        let with_peer = first.into_iter().filter_map(|a| Some((peer_of(&a)?, a)));
        let first: Vec<_> = with_peer.collect();
        if first.iter().any(|(peer, _)| self.swarm.is_connected(peer)) {
            return;
        }
        for (peer, address) in first {
            if let Some(kad) = self.ipfs_kad() {
                kad.add_address(&peer, address.clone());
            }
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(vec![address])
                .build();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(%peer, %error, "not dialled");
            }
        }
    }
}
