//! Announces to coordinators what this node lends: at once when they connect or ask, often while they have work, and
//! seldom otherwise.

use crate::Worker;
use mc_protocol::{Announcement, Exchange, Request, Response};
use mc_supervision::Supervisor;
use mc_types::NodeId;
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often coordinators that have work get an announcement, in case the last one was lost.
const EVERY: Duration = Duration::from_secs(4);
/// One in this many rounds goes to all other coordinators, too.
const ALL_ONE_OF: u32 = 8;
/// The pause before an announcement is repeated that was not answered.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// How many answers may wait to be read.
const ANSWERS: usize = 256;

/// Who gets an announcement.
enum Due {
    /// Coordinators that have just connected.
    Newcomers,
    /// This coordinator.
    One(NodeId),
    /// All that have work.
    Wanting,
    /// All that have work, and this node itself; if set, all others, too.
    Regular { all: bool },
}

/// Announces to coordinators what `worker` lends, and tells `worker` which nodes have connected. Returns when `stopping`
/// is cancelled, or when nobody updates `connected` any more.
pub async fn announce(
    worker: Worker,
    mut connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    (tasks, stopping): (Supervisor, CancellationToken),
) {
    let peers = worker.peers();
    let mut free = worker.free_slots();
    let mut solicitations = worker.solicitations();
    let (answers, mut answered) = mpsc::channel(ANSWERS);
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: Arc<BTreeSet<NodeId>> = Arc::default();
    let mut wanting: HashSet<NodeId> = HashSet::new();
    let (mut was_free, mut turn) = (true, 0_u32);
    loop {
        let due = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            changed = connected.changed() => match changed {
                Ok(()) => Due::Newcomers,
                Err(_) => return,
            },
            Some((node, wants)) = answered.recv() => {
                if wants {
                    wanting.insert(node);
                } else {
                    wanting.remove(&node);
                }
                continue;
            }
            // Coordinators whose question was lost ask again.
            Ok(node) = solicitations.recv() => Due::One(node),
            _ = every.tick() => {
                turn = turn.wrapping_add(1);
                Due::Regular { all: turn.is_multiple_of(ALL_ONE_OF) }
            }
            // A coordinator counts its own grants. Only the worker can tell it that a job of another one has freed a slot.
            Ok(()) = free.changed() => {
                let is_free = *free.borrow_and_update() > 0;
                let was_free = std::mem::replace(&mut was_free, is_free);
                if !is_free || was_free {
                    continue;
                }
                Due::Wanting
            }
            // The same for memory, when a slot was free all the time.
            () = worker.has_room() => Due::Wanting,
        };
        let now = connected.borrow_and_update().clone();
        for gone in known.difference(&now) {
            wanting.remove(gone);
        }
        for node in now.difference(&known) {
            worker.met(node.clone());
        }
        let is_told = |node: &&NodeId| {
            let new = !known.contains(*node);
            new || match &due {
                Due::Newcomers => false,
                Due::One(one) => one == *node,
                Due::Wanting => wanting.contains(*node),
                Due::Regular { all } => *all || wanting.contains(*node),
            }
        };
        let own = matches!(due, Due::Regular { .. }).then(|| peers.local());
        for node in now.iter().filter(is_told).chain(own) {
            let said = say(
                Arc::clone(&peers),
                (node.clone(), worker.announcement_to(node)),
                answers.clone(),
            );
            tasks.serve("announcement", said);
        }
        if let Due::One(node) = due
            && now.contains(&node)
        {
            wanting.insert(node);
        }
        known = now;
    }
}

/// Sends an announcement to a node, and passes on whether the node wants more of them. Without an answer it is sent
/// again soon.
async fn say(
    peers: Arc<dyn Exchange>,
    (node, announcement): (NodeId, Announcement),
    wanted: mpsc::Sender<(NodeId, bool)>,
) {
    let request = Request::Announce(announcement);
    let mut heard = peers.request(&node, request.clone()).await;
    if heard.is_err() {
        // A node that has just connected may not know this one yet.
        tokio::time::sleep(AGAIN_AFTER).await;
        heard = peers.request(&node, request).await;
    }
    let wants = match heard {
        Ok(answer) => answer == Response::Wanted,
        Err(error) => {
            tracing::debug!(%error, "announcement not heard");
            true
        }
    };
    // The receiver is gone when the node stops.
    let _ = wanted.send((node, wants)).await;
}
