//! Where disconnected peers listened: a connection attempt there shows whether their process has ended.

use super::{EventLoop, links::ip};
use crate::{address::tcp_socket, identity::peer_id};
use libp2p::{PeerId, core::ConnectedPoint};
use mc_types::NodeId;
use std::{collections::VecDeque, net::SocketAddr};

/// How many peers are remembered: as many as may disconnect within a second.
const MAX_GONE: usize = 1024;
/// Places of one peer.
const MAX_PLACES: usize = 4;

/// The recently disconnected peers, the newest last.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<(PeerId, Vec<SocketAddr>)>);

impl EventLoop {
    /// Records where a peer listened whose last connection was just closed. Only addresses of the machine that the
    /// connection led to count: seen from here, the peer's other addresses may belong to another machine.
    pub(super) fn note_where(&mut self, id: &PeerId, point: &ConnectedPoint) {
        let gone = &mut self.gone.0;
        // An old address says nothing about where it listened this time.
        gone.retain(|(other, _)| other != id);
        let Some(peer) = self.peers.get(id).filter(|_| !point.is_relayed()) else {
            return;
        };
        let machine = ip(point.get_remote_address());
        let is_there = |place: &SocketAddr| Some(place.ip()) == machine;
        let places = peer
            .addresses
            .iter()
            .filter_map(tcp_socket)
            .filter(is_there);
        let places = places.take(MAX_PLACES).collect();
        if gone.len() >= MAX_GONE {
            gone.pop_front();
        }
        gone.push_back((*id, places));
    }

    /// Where a recently disconnected peer listened; empty if unknown, or if the peer has come back.
    pub(super) fn places_of(&self, node: &NodeId) -> Vec<SocketAddr> {
        let gone = peer_id(node).filter(|peer| !self.swarm.is_connected(peer));
        let entry = gone.and_then(|peer| self.gone.0.iter().find(|(id, _)| *id == peer));
        entry.map(|(_, places)| places.clone()).unwrap_or_default()
    }
}
