//! What this node publishes in the DHT, and what it keeps there for others.

use super::EventLoop;
use crate::{
    behaviour::PROVIDE_EVERY,
    dht::{Class, EPOCH, Entry, Guard, RecordKind, Refusal, Refused},
    identity::Identity,
};
use libp2p::{
    PeerId,
    kad::{self, RecordKey, store::RecordStore},
};
use mc_types::{Clock, SystemClock};
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// Between two looks at what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Registrations in the index that are kept for others.
const MAX_REGISTRATIONS: usize = 65_536;
/// How many things are announced again in one round.
const AGAIN_PER_TICK: usize = 4;
/// How long an announcement of a DAG is believed, unless it is repeated.
const PROVIDER_TTL: Duration = PROVIDE_EVERY.saturating_mul(3);
/// The length of the keys of this network's own entries and index. Keys of DAGs are multihashes, and longer.
const OWN_KEY_BYTES: usize = 32;

#[derive(Debug)]
pub(super) struct Records {
    identity: Identity,
    network: String,
    guard: Guard,
    /// Registrations and announcements of others, and when they end.
    provided: HashMap<(RecordKey, PeerId), Instant>,
    /// Keys of the index under which this node is registered, and until when.
    registered: HashMap<RecordKey, Instant>,
    /// Keys that this node must announce again as their provider.
    again: VecDeque<RecordKey>,
    swept: Instant,
}

impl Records {
    pub(super) fn new(identity: Identity, network: String) -> Self {
        Self {
            identity,
            guard: Guard::new(network.clone()),
            network,
            provided: HashMap::new(),
            registered: HashMap::new(),
            again: VecDeque::new(),
            swept: Instant::now(),
        }
    }

    pub(super) fn refused(&self) -> Refused {
        self.guard.refused()
    }

    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Entry, Refusal> {
        Entry::open(&self.network, key, sealed, SystemClock.now())
    }
}

impl EventLoop {
    pub(super) fn publish(
        &mut self,
        (kind, subject): (RecordKind, String),
        grant: Option<(u64, Vec<u8>)>,
        body: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), Refusal> {
        let Records {
            identity, network, ..
        } = &self.records;
        let key = kind.key(network, &subject);
        let now = (SystemClock.now(), ttl);
        let entry = Entry::new(identity, (kind, subject), grant, body, now);
        let value = entry.seal(identity, network)?;
        // Nobody would keep what this node itself would not.
        self.records.open(&key, &value)?;
        let record = kad::Record {
            key: RecordKey::new(&key),
            value,
            publisher: None,
            expires: Some(Instant::now() + ttl.min(kind.longest())),
        };
        let put = self
            .swarm
            .behaviour_mut()
            .kad
            .put_record(record, kad::Quorum::One);
        if let Err(error) = put {
            tracing::debug!(%error, "not published");
        }
        Ok(())
    }

    pub(super) fn register(&mut self, classes: &[Class]) {
        let now = SystemClock.now();
        let own = crate::identity::node_id(self.swarm.local_peer_id());
        let until = Instant::now() + EPOCH * 2;
        for class in classes {
            let key = RecordKey::new(&class.key(&self.records.network, &own, now));
            if self.records.registered.contains_key(&key) {
                continue;
            }
            let kad = &mut self.swarm.behaviour_mut().kad;
            match kad.start_providing(key.clone()) {
                Ok(_) => drop(self.records.registered.insert(key, until)),
                Err(error) => tracing::debug!(%error, "not registered"),
            }
        }
    }

    /// Announces again what this node provides, when that is due, so that others know its current addresses.
    pub(super) fn provide_again(&mut self) {
        let store = self.swarm.behaviour_mut().kad.store_mut();
        self.records.again = store.provided().map(|record| record.key.clone()).collect();
    }

    /// Says some of it.
    pub(super) fn provide_some_again(&mut self) {
        let some = self.records.again.len().min(AGAIN_PER_TICK);
        for key in self.records.again.drain(..some) {
            if let Err(error) = self.swarm.behaviour_mut().kad.start_providing(key) {
                tracing::debug!(%error, "not provided again");
            }
        }
    }

    /// Keeps an entry for others, if it is one.
    pub(super) fn put_for(&mut self, bearer: PeerId, mut record: kad::Record) {
        if !self.records.guard.may_bring(bearer) {
            return;
        }
        let now = SystemClock.now();
        let taken = self
            .records
            .guard
            .take(record.key.as_ref(), &record.value, now);
        let Ok(expires) = taken else {
            return;
        };
        record.expires = Some(Instant::now() + expires.since(now));
        if let Err(error) = self.swarm.behaviour_mut().kad.store_mut().put(record) {
            tracing::debug!(%error, "entry not kept");
        }
    }

    /// Records that a peer has a DAG, or is idle. Such a record costs little and is only a hint.
    pub(super) fn provide_for(&mut self, mut record: kad::ProviderRecord) {
        let full = self.records.provided.len() >= MAX_REGISTRATIONS;
        if full || !self.records.guard.may_bring(record.provider) {
            return;
        }
        let is_own = record.key.as_ref().len() == OWN_KEY_BYTES;
        let ttl = if is_own { EPOCH * 2 } else { PROVIDER_TTL };
        let until = Instant::now() + ttl;
        record.expires = Some(until);
        let entry = (record.key.clone(), record.provider);
        let store = self.swarm.behaviour_mut().kad.store_mut();
        match store.add_provider(record) {
            Ok(()) => drop(self.records.provided.insert(entry, until)),
            Err(error) => tracing::debug!(%error, "provider record not kept"),
        }
    }

    /// Forgets what has expired.
    pub(super) fn sweep_records(&mut self, now: Instant) {
        if now.saturating_duration_since(self.records.swept) < SWEEP_EVERY {
            return;
        }
        self.records.swept = now;
        let records = &mut self.records;
        let kad = &mut self.swarm.behaviour_mut().kad;
        for key in records.guard.sweep(SystemClock.now()) {
            kad.store_mut().remove(&RecordKey::new(&key));
        }
        for ((key, provider), _) in records.provided.extract_if(|_, until| *until <= now) {
            kad.store_mut().remove_provider(&key, &provider);
        }
        for (key, _) in records.registered.extract_if(|_, until| *until <= now) {
            kad.stop_providing(&key);
            records.again.retain(|other| *other != key);
        }
    }
}
