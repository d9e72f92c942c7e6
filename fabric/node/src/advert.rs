//! What this node says of itself in the DHT, and how others are found there.

use crate::{content::Content, worker::Worker};
use mc_net::{
    Client, PeerInfo,
    dht::{Class, EPOCH, Kind},
};
use mc_protocol::{Advert, Announcement, Request, Response};
use mc_types::NodeId;
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often it is said, and for how long it holds: two may be lost.
const EVERY: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(180);
/// How long a node waits after its start before it says anything: many come for one command.
const FIRST: Duration = Duration::from_secs(3);
/// How long a candidate may take to be connected to and to answer.
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
    /// Whether it said so itself just now, rather than in the DHT of late.
    pub is_verified: bool,
}

/// Says what this node is, and while it is idle, registers it as such.
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
            // Only that it is idle again: that it is busy, whoever asks it hears.
            Ok(()) = free.changed() => {}
        }
        let lends = worker.announcement();
        if *free.borrow_and_update() > 0 && lends.slots_total > 0 {
            let classes = Class::satisfied_by(lends.lent.total.memory_bytes).collect();
            net.register(classes).await;
        }
    }
}

async fn say(net: &Client, lends: &Announcement) {
    let advert = Advert {
        lends: lends.clone(),
    };
    let Ok(body) = mc_protocol::encode(&advert) else {
        return;
    };
    let what = (Kind::Node, net.local_id().to_string());
    if let Err(refusal) = net.publish(what, None, body, TTL).await {
        tracing::warn!(%refusal, "this node cannot be described in the DHT; are its labels too long?");
    }
}

/// Looks in the DHT for nodes, and asks each of them. One that does not answer is given as it last
/// described itself.
pub(crate) async fn find(net: &Client, wanted: &Wanted) -> Result<Vec<Found>, mc_net::Error> {
    let class = Class::of_need(wanted.memory_bytes);
    let candidates = net.find_registered(class).await?;
    let own = net.local_id().clone();
    let others = candidates.into_iter().filter(|peer| peer.id != own);
    let asked = others.take(MAX_CANDIDATES).map(|peer| ask(net, peer));
    let answers = futures::future::join_all(asked).await;
    let fits = |found: &Found| wanted.fits(&found.lends);
    Ok(answers.into_iter().flatten().filter(fits).collect())
}

async fn ask(net: &Client, peer: PeerInfo) -> Option<Found> {
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

async fn described(net: &Client, node: &NodeId) -> Option<Announcement> {
    let entry = net.lookup(Kind::Node, node.as_str()).await.ok()??;
    let advert: Advert = mc_protocol::decode(&entry.body).ok()?;
    Some(advert.lends)
}
