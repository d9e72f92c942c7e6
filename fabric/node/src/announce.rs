//! Announces to coordinators what this node lends: at once when they connect or ask, often while they have work, and
//! rarely otherwise.

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

/// How often coordinators with work get the announcement again, in case one was lost.
const EVERY: Duration = Duration::from_secs(4);
/// All other coordinators get one announcement out of this many.
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
    /// Coordinators with work, and this node itself; if set, all others too.
    Regular { all: bool },
}

/// Announces to coordinators what this node lends, and tells this node's own coordinator which peers have gone.
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
            // A coordinator counts its own grants. It learns only from announcements that another coordinator's job has
            // freed a slot.
            Ok(()) = free.changed() => {
                let is_free = *free.borrow_and_update() > 0;
                let was_free = std::mem::replace(&mut was_free, is_free);
                if !is_free || was_free {
                    continue;
                }
                Due::Wanting
            }
            // The same for memory that another coordinator's job has freed, while slots were free all the time.
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
