//! Peers that are late or silent: what they were asked is asked from others, too.

use super::{Ask, Client, Peer};
use std::time::Instant;

/// Peers that a want is asked from at a time.
const MAX_ASKED: usize = 2;

impl Client {
    /// Asks another peer for what takes much longer than usual.
    pub(super) fn ask_second(&mut self, now: Instant) {
        let fastest = self.peers.values().filter_map(Peer::pace).min();
        let mut late = Vec::new();
        for peer in self.peers.values() {
            let asked = peer
                .asked
                .iter()
                .filter(|(_, since)| peer.is_late(**since, now, fastest));
            late.extend(asked.map(|(cid, _)| *cid));
        }
        for cid in late {
            let asked = self.wants.get(&cid).map_or(0, |want| want.asked.len());
            if (1..MAX_ASKED).contains(&asked)
                && let Some(peer) = self.fastest(&self.candidates(&cid))
            {
                tracing::debug!(%peer, %cid, "late, asking another too");
                self.ask_from(peer, cid, now);
            }
        }
    }

    /// Asks nobody any longer who has sent nothing for a while.
    pub(super) fn pass_over_silent(&mut self, now: Instant) {
        let timeout = self.config.stall_timeout;
        let is_over = |since: Instant| now.saturating_duration_since(since) >= timeout;
        let mut silent = Vec::new();
        for (id, peer) in &self.peers {
            let over = |since: Instant| {
                let since = peer.last_block.map_or(since, |last| last.max(since));
                is_over(since)
            };
            let asked = peer.asked.iter().filter(|(_, since)| over(**since));
            silent.extend(asked.map(|(cid, _)| (*id, *cid)));
        }
        for (cid, want) in &self.wants {
            let probed = want.probed.iter().filter(|(id, _)| !want.has.contains(*id));
            let probed = probed.filter(|(_, since)| is_over(**since));
            silent.extend(probed.map(|(id, _)| (*id, *cid)));
        }
        for (peer, cid) in silent {
            tracing::debug!(%peer, %cid, "no answer, asking another");
            self.failed(&peer, cid);
            self.tell(peer, Ask::Cancel(cid));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Config,
        client::{
            Ask, Client,
            testing::{LONG, cids, wants},
        },
    };
    use libp2p::PeerId;
    use mc_types::{Cid, cid};
    use std::{
        collections::{HashMap, VecDeque},
        time::{Duration, Instant},
    };

    #[test]
    fn who_has_brought_nothing_is_measured_by_those_who_have() {
        let mut client = Client::new(Config {
            window: 2,
            ..Config::default()
        });
        let (silent, good) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [silent, good] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        for cid in cids(4) {
            client.want(session, cid);
        }
        let begun = Instant::now();
        let round = client.round(begun, false);
        assert_eq!((wants(&round, &silent), wants(&round, &good)), (2, 2));
        let later = |millis| begun + Duration::from_millis(millis);
        let nobody = client.round(later(200), true);
        assert!(nobody.asks.is_empty(), "nobody has brought anything");
        for ask in &round.asks[&good] {
            if let Ask::Want(cid) = ask {
                client.received(&good, (cid, LONG), later(210));
            }
        }
        let round = client.round(later(250), true);
        assert!(round.asks.is_empty(), "not longer than the good one took");
        let round = client.round(later(2000), true);
        assert_eq!(wants(&round, &good), 2, "what the silent one was asked");
    }

    #[test]
    fn the_faster_of_two_is_asked_more() {
        let mut client = Client::new(Config::default());
        let (slow, fast) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [slow, fast] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        let all: Vec<_> = (0..1000_u32)
            .map(|n| cid::of(cid::RAW, &n.to_le_bytes()))
            .collect();
        all.iter().for_each(|cid| client.want(session, *cid));
        let begun = Instant::now();
        let mut queues: HashMap<PeerId, VecDeque<Cid>> = HashMap::new();
        let mut brought: HashMap<PeerId, usize> = HashMap::new();
        // The fast one brings a block each millisecond, the slow one every ten.
        for millis in 0..400 {
            let now = begun + Duration::from_millis(millis);
            for (peer, asks) in client.round(now, millis % 250 == 0).asks {
                for ask in asks {
                    if let Ask::Want(cid) = ask {
                        queues.entry(peer).or_default().push_back(cid);
                    }
                }
            }
            for (peer, every) in [(fast, 1), (slow, 10)] {
                if millis % every == 0
                    && let Some(cid) = queues.entry(peer).or_default().pop_front()
                {
                    *brought.entry(peer).or_default() += 1;
                    client.received(&peer, (&cid, LONG), now);
                }
            }
        }
        assert!(brought[&fast] >= 390, "{brought:?}");
        assert!(brought[&slow] >= 30, "{brought:?}");
    }
}
