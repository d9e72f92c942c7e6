//! Telling coordinators what this node lends: at once when they connect or ask, often while they have work, and
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

/// How often it is said to coordinators that have work, in case it was not heard.
const EVERY: Duration = Duration::from_secs(4);
/// One of so many times it is said to all others too.
const ALL_ONE_OF: u32 = 8;
/// How long an announcement that was not heard is kept back before it is said once more.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Answers that may wait to be looked at.
const ANSWERS: usize = 256;

/// To whom something is to be said.
enum Due {
    /// Those that have connected.
    Newcomers,
    /// This coordinator.
    One(NodeId),
    /// Those that have work.
    Wanting,
    /// Those that have work and this node itself; if set, all others too.
    Regular { all: bool },
}

/// Tells coordinators what this node lends, for as long as nodes are told by `connected`, or until `stopping`; and the worker
/// who has connected.
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
            // Those that were missed ask again.
            Ok(node) = solicitations.recv() => Due::One(node),
            _ = every.tick() => {
                turn = turn.wrapping_add(1);
                Due::Regular { all: turn.is_multiple_of(ALL_ONE_OF) }
            }
            // Coordinators count what they granted themselves. A slot that another one's job has
            // given back they can only learn from here.
            Ok(()) = free.changed() => {
                let is_free = *free.borrow_and_update() > 0;
                let was_free = std::mem::replace(&mut was_free, is_free);
                if !is_free || was_free {
                    continue;
                }
                Due::Wanting
            }
            // The same of memory that another one's job has given back, while slots were free all the time.
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

/// Tells a node what this one lends, and takes note whether it wants to hear more. If it is not heard, it is said again
/// soon.
async fn say(
    peers: Arc<dyn Exchange>,
    (node, announcement): (NodeId, Announcement),
    wanted: mpsc::Sender<(NodeId, bool)>,
) {
    let request = Request::Announce(announcement);
    let mut heard = peers.request(&node, request.clone()).await;
    if heard.is_err() {
        // A node that has just connected may not know yet who this is.
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
    // Nobody listens any more when the node is stopping.
    let _ = wanted.send((node, wants)).await;
}
