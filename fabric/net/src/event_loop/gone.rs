//! Where peers listened that have gone: there one can see whether their process has ended.

use super::{EventLoop, links::ip};
use crate::{address::tcp_socket, identity::peer_id};
use libp2p::{PeerId, core::ConnectedPoint};
use mc_types::NodeId;
use std::{collections::VecDeque, net::SocketAddr};

/// Peers that are remembered: as many as may go within a second.
const MAX_GONE: usize = 1024;
/// Places of one peer.
const MAX_PLACES: usize = 4;

/// Those that have gone of late, the newest last.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<(PeerId, Vec<SocketAddr>)>);

impl EventLoop {
    /// Takes note of where a peer listened whose last connection has just been closed. Only the addresses of the very
    /// machine that the connection led to are of use: seen from here, the peer's other addresses may be another
    /// machine's.
    pub(super) fn note_where(&mut self, id: &PeerId, point: &ConnectedPoint) {
        let gone = &mut self.gone.0;
        // Where it listened the last time says nothing of where it listened now.
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

    /// Where a peer listened that has gone lately and has not come back; empty if that is not known.
    pub(super) fn places_of(&self, node: &NodeId) -> Vec<SocketAddr> {
        let gone = peer_id(node).filter(|peer| !self.swarm.is_connected(peer));
        let entry = gone.and_then(|peer| self.gone.0.iter().find(|(id, _)| *id == peer));
        entry.map(|(_, places)| places.clone()).unwrap_or_default()
    }
}
