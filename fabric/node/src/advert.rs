//! This node's advert in the DHT, and the search for other nodes there.

use crate::content::Content;
use mc_net::{
    NetworkHandle, PeerInfo,
    dht::{Class, EPOCH, RecordKind},
};
use mc_protocol::{Advert, Announcement, Request, Response};
use mc_types::NodeId;
use mc_worker::Worker;
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often the advert is published, and how long it is valid: two may be lost.
const EVERY: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(180);
/// How long a node waits after its start before it publishes anything: many nodes live for one command only.
const FIRST: Duration = Duration::from_secs(3);
/// How long connecting to a candidate and its answer may take together.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Candidates that are asked.
const MAX_CANDIDATES: usize = 64;

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub idle: bool,
    pub memory_bytes: u64,
    pub labels: BTreeMap<String, String>,
}

impl Wanted {
    fn fits(&self, lends: &Announcement) -> bool {
        let labelled = |(name, value): (&String, &String)| lends.labels.get(name) == Some(value);
        lends.slots_total > 0
            && (!self.idle || lends.slots_free > 0)
            && lends.lent.total.memory_bytes >= self.memory_bytes
            && self.labels.iter().all(labelled)
    }
}

/// A node that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub peer: PeerInfo,
    pub lends: Announcement,
    /// Whether it answered just now itself, rather than published an advert recently.
    pub is_verified: bool,
}

/// Publishes this node's advert, and registers the node as idle while it is.
pub(crate) async fn run(content: Content, worker: Worker, stopping: CancellationToken) {
    let net = content.net();
    let mut free = worker.free_slots();
    if stopping
        .run_until_cancelled(tokio::time::sleep(FIRST))
        .await
        .is_none()
    {
        return;
    }
    let mut every = tokio::time::interval(EVERY.min(EPOCH));
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = every.tick() => say(net, &worker.announcement()).await,
            // Only when it is idle again: a searcher that asks it learns that it is busy.
            Ok(()) = free.changed() => {}
        }
        let lends = worker.announcement();
        if *free.borrow_and_update() > 0 && lends.slots_total > 0 {
            let classes = Class::satisfied_by(lends.lent.total.memory_bytes).collect();
            net.register(classes).await;
        }
    }
}

async fn say(net: &NetworkHandle, lends: &Announcement) {
    let advert = Advert {
        lends: lends.clone(),
    };
    let Ok(body) = mc_protocol::encode(&advert) else {
        return;
    };
    let what = (RecordKind::Node, net.local_id().to_string());
    if let Err(refusal) = net.publish(what, None, body, TTL).await {
        tracing::warn!(%refusal, "this node cannot be described in the DHT; are its labels too long?");
    }
}

/// Searches the DHT for nodes, and asks each of them. For a node that does not answer, returns its last advert.
pub(crate) async fn find(
    net: &NetworkHandle,
    wanted: &Wanted,
) -> Result<Vec<Found>, mc_net::Error> {
    let class = Class::of_need(wanted.memory_bytes);
    let candidates = net.find_registered(class).await?;
    let own = net.local_id().clone();
    let others = candidates.into_iter().filter(|peer| peer.id != own);
    let asked = others.take(MAX_CANDIDATES).map(|peer| ask(net, peer));
    let answers = futures::future::join_all(asked).await;
    let fits = |found: &Found| wanted.fits(&found.lends);
    Ok(answers.into_iter().flatten().filter(fits).collect())
}

async fn ask(net: &NetworkHandle, peer: PeerInfo) -> Option<Found> {
    let answer = net.request_within(&peer.id, Request::Describe, ANSWER_WITHIN);
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(Response::Described(lends))) => Some(Found {
            peer,
            lends,
            is_verified: true,
        }),
        _ => Some(Found {
            lends: described(net, &peer.id).await?,
            peer,
            is_verified: false,
        }),
    }
}

async fn described(net: &NetworkHandle, node: &NodeId) -> Option<Announcement> {
    let entry = net.lookup(RecordKind::Node, node.as_str()).await.ok()??;
    let advert: Advert = mc_protocol::decode(&entry.body).ok()?;
    Some(advert.lends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_fits_if_it_has_all_that_is_wanted() {
        let mut lends = Announcement {
            slots_total: 2,
            labels: [("room".to_owned(), "attic".to_owned())].into(),
            ..Announcement::default()
        };
        lends.lent.total.memory_bytes = 8 << 30;
        let any = Wanted::default();
        assert!(any.fits(&lends));
        assert!(!any.fits(&Announcement::default()), "it runs nothing");
        let idle = Wanted {
            idle: true,
            ..Wanted::default()
        };
        assert!(!idle.fits(&lends));
        lends.slots_free = 1;
        assert!(idle.fits(&lends));
        let memory = |gibibytes: u64| Wanted {
            memory_bytes: gibibytes << 30,
            ..Wanted::default()
        };
        assert!(memory(8).fits(&lends) && !memory(9).fits(&lends));
        let in_room = |room: &str| Wanted {
            labels: [("room".to_owned(), room.to_owned())].into(),
            ..Wanted::default()
        };
        assert!(in_room("attic").fits(&lends) && !in_room("cellar").fits(&lends));
    }
}
