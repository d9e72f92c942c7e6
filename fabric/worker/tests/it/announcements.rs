//! Who is told what is lent.

use crate::{
    network::{Network, node},
    world::{SLOTS, World},
};
use mc_protocol::{Announcement, Request};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a node was told last.
fn told(network: &Network, letter: char) -> Option<Announcement> {
    let asked = network.asked();
    asked.iter().rev().find_map(|(of, request)| match request {
        Request::Announce(announcement) if *of == node(letter) => Some(announcement.clone()),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn coordinators_hear_what_is_lent_when_they_connect_and_when_a_slot_is_free_again() {
    let world = World::new();
    let (connected, nodes) = watch::channel(Arc::new(BTreeSet::new()));
    let stopping = CancellationToken::new();
    let with = (world.supervisor.clone(), stopping.clone());
    let announcing = tokio::spawn(mc_worker::announce(world.worker.clone(), nodes, with));
    connected.send_replace(Arc::new(BTreeSet::from([node('A'), node('B')])));
    let all_free = |letter| {
        move |network: &Network| {
            told(network, letter).is_some_and(|lends| lends.slots_free == SLOTS)
        }
    };
    world.network.until("A is told", all_free('A')).await;
    world.network.until("B is told", all_free('B')).await;
    for n in 1..=u64::from(SLOTS) {
        world.begin(n, "waits");
    }
    // It is said again to those that have work, with the jobs that are theirs.
    let none_free = |network: &Network| {
        told(network, 'A').is_some_and(|lends| lends.slots_free == 0 && lends.yours.len() == 4)
    };
    world
        .network
        .until("A is told that it is busy", none_free)
        .await;
    world.cancel(1);
    let is_free = |network: &Network| told(network, 'A').is_some_and(|lends| lends.slots_free == 1);
    let told_within = world.network.until("A is told of the free slot", is_free);
    let within = tokio::time::timeout(Duration::from_secs(1), told_within).await;
    assert!(within.is_ok(), "it is told at once");
    stopping.cancel();
    announcing.await.unwrap();
}
