//! Telling coordinators what this node lends: at once when they connect or ask, often while they have work, and
//! seldom otherwise.

use crate::{peers::Peers, worker::Worker};
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

/// Tells coordinators what this node lends, and this node's own coordinator who has gone.
pub(crate) async fn run(
    peers: Peers,
    worker: Worker,
    mut connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    (tasks, stopping): (Supervisor, CancellationToken),
) {
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
            peers.gone(gone).await;
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
            peers.announce(&tasks, node, worker.announcement_to(node), &answers);
        }
        if let Due::One(node) = due
            && now.contains(&node)
        {
            wanting.insert(node);
        }
        known = now;
    }
}
