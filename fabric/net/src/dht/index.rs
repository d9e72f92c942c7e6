//! The index of idle nodes.

use super::hash::{digest, hash};
use mc_types::{NodeId, Timestamp};
use std::time::Duration;

/// A registration is valid for the period in which it was made and the next one.
pub const EPOCH: Duration = Duration::from_secs(60);
/// How many keys the nodes of a class share: the DHT keeps only twenty providers per key.
const SHARDS: u8 = 4;

/// A class of nodes. A node registers in every class that it satisfies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Any node that runs tasks.
    Any,
    /// At least 8 GiB of memory.
    Memory8,
    /// At least 32 GiB of memory.
    Memory32,
    /// At least 128 GiB of memory.
    Memory128,
}

impl Class {
    const ALL: [Self; 4] = [Self::Any, Self::Memory8, Self::Memory32, Self::Memory128];

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Memory8 => "memory8",
            Self::Memory32 => "memory32",
            Self::Memory128 => "memory128",
        }
    }

    const fn least_memory(self) -> u64 {
        match self {
            Self::Any => 0,
            Self::Memory8 => 8 << 30,
            Self::Memory32 => 32 << 30,
            Self::Memory128 => 128 << 30,
        }
    }

    /// The classes that a machine with this much memory satisfies.
    pub fn satisfied_by(memory_bytes: u64) -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(move |class| class.least_memory() <= memory_bytes)
    }

    /// The narrowest class that contains all machines with this much memory.
    #[must_use]
    pub fn of_need(memory_bytes: u64) -> Self {
        Self::satisfied_by(memory_bytes).last().unwrap_or(Self::Any)
    }

    /// Where `node` registers at `now`.
    #[must_use]
    pub fn key(self, network: &str, node: &NodeId, now: Timestamp) -> Vec<u8> {
        let shard = digest(node.as_str().as_bytes()).first().copied();
        self.shard_key(network, epoch(now), shard.unwrap_or(0) % SHARDS)
    }

    /// Where nodes may have registered that are idle at `now`.
    #[must_use]
    pub fn keys(self, network: &str, now: Timestamp) -> Vec<Vec<u8>> {
        let epochs = [epoch(now), epoch(now).saturating_sub(1)];
        let keys = |epoch| (0..SHARDS).map(move |shard| self.shard_key(network, epoch, shard));
        epochs.into_iter().flat_map(keys).collect()
    }

    fn shard_key(self, network: &str, epoch: u64, shard: u8) -> Vec<u8> {
        let (epoch, shard) = (epoch.to_string(), shard.to_string());
        hash(&["mc1", network, "idle", self.name(), &epoch, &shard])
    }
}

fn epoch(now: Timestamp) -> u64 {
    now.as_millis() / u64::try_from(EPOCH.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_found_under_the_keys_of_its_class_for_two_periods() {
        let node: NodeId = "12D3KooWNode1".parse().unwrap();
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        let own = Class::Any.key("main", &node, at(600));
        for seconds in [600, 659, 719] {
            assert!(
                Class::Any.keys("main", at(seconds)).contains(&own),
                "{seconds}"
            );
        }
        assert!(!Class::Any.keys("main", at(720)).contains(&own));
        assert!(!Class::Any.keys("other", at(600)).contains(&own));
        assert!(!Class::Memory8.keys("main", at(600)).contains(&own));
    }

    #[test]
    fn classes_are_at_least_what_is_needed() {
        assert_eq!(Class::of_need(0), Class::Any);
        assert_eq!(Class::of_need(16 << 30), Class::Memory8);
        assert_eq!(Class::satisfied_by(40 << 30).count(), 3);
    }
}
