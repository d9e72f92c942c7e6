//! Guards what this node stores for others: only valid entries, and a bounded number from each publisher.

use super::entry::{Entry, Refusal};
use libp2p::PeerId;
use mc_types::{NodeId, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// Entries that are kept of one publisher.
const MAX_OF_PUBLISHER: usize = 1024;
/// How many entries, and registrations in the index, one peer may store per [`PERIOD`].
const MAX_OF_BEARER: u32 = 200;
const PERIOD: Duration = Duration::from_secs(10);

/// How many entries were refused, by reason.
pub type Refused = BTreeMap<Refusal, u64>;

/// Looks at what others want to be stored.
#[derive(Debug)]
pub(crate) struct Guard {
    network: String,
    /// What is kept for others, by key.
    kept: HashMap<Vec<u8>, Entry>,
    of_publisher: HashMap<NodeId, usize>,
    brought: HashMap<PeerId, u32>,
    period: Instant,
    refused: Refused,
}

impl Guard {
    pub(crate) fn new(network: String) -> Self {
        Self {
            network,
            kept: HashMap::new(),
            of_publisher: HashMap::new(),
            brought: HashMap::new(),
            period: Instant::now(),
            refused: Refused::new(),
        }
    }

    /// Whether `bearer` may bring something more now.
    pub(crate) fn may_bring(&mut self, bearer: PeerId) -> bool {
        if self.period.elapsed() >= PERIOD {
            self.brought.clear();
            self.period = Instant::now();
        }
        let brought = self.brought.entry(bearer).or_default();
        *brought += 1;
        let may = *brought <= MAX_OF_BEARER;
        if !may {
            self.count(Refusal::Flooded);
        }
        may
    }

    /// Accepts an envelope if it is valid; returns when it expires.
    pub(crate) fn take(
        &mut self,
        key: &[u8],
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let taken = self.try_take(key, sealed, now);
        if let Err(refusal) = &taken {
            self.count(*refusal);
        }
        taken
    }

    fn try_take(
        &mut self,
        key: &[u8],
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<Timestamp, Refusal> {
        let entry = Entry::open(&self.network, key, sealed, now)?;
        if let Some(known) = self.kept.get(key)
            && known.expires > now
            && !entry.supersedes(known)
        {
            return Err(Refusal::Replayed);
        }
        let known = self.kept.get(key).map(|known| known.publisher.clone());
        if known.as_ref() != Some(&entry.publisher) {
            let count = self
                .of_publisher
                .entry(entry.publisher.clone())
                .or_default();
            if *count >= MAX_OF_PUBLISHER {
                return Err(Refusal::Flooded);
            }
            *count += 1;
            if let Some(known) = known {
                self.forget_one_of(&known);
            }
        }
        let expires = entry.expires;
        self.kept.insert(key.to_vec(), entry);
        Ok(expires)
    }

    /// Forgets what has expired; returns the keys of that.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> Vec<Vec<u8>> {
        let gone = self.kept.extract_if(|_, entry| entry.expires <= now);
        let gone: Vec<_> = gone.collect();
        for (_, entry) in &gone {
            self.forget_one_of(&entry.publisher);
        }
        gone.into_iter().map(|(key, _)| key).collect()
    }

    fn forget_one_of(&mut self, publisher: &NodeId) {
        if let Some(count) = self.of_publisher.get_mut(publisher) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_publisher.remove(publisher);
            }
        }
    }

    fn count(&mut self, refusal: Refusal) {
        tracing::debug!(%refusal, "a DHT entry was refused");
        *self.refused.entry(refusal).or_default() += 1;
    }

    pub(crate) fn refused(&self) -> Refused {
        self.refused.clone()
    }
}

#[cfg(test)]
mod tests;
