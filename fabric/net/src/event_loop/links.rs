//! The connections with each peer: there may be several, made in different ways.

use crate::reach::is_global;
use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};
use std::{collections::HashMap, net::IpAddr};

/// A connection.
#[derive(Debug)]
struct Link {
    id: ConnectionId,
    address: Multiaddr,
    /// Whether that address means the same everywhere.
    is_outside: bool,
    /// Whether it leads over another peer.
    is_relayed: bool,
    /// Whether this node made it.
    is_outbound: bool,
    /// Whether there was a connection over another peer before, by which both sides may have arranged this one.
    is_arranged: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<PeerId, Vec<Link>>);

impl Links {
    pub(super) fn opened(&mut self, peer: PeerId, id: ConnectionId, point: &ConnectedPoint) {
        let links = self.0.entry(peer).or_default();
        let is_arranged = links.iter().any(|link| link.is_relayed);
        let address = point.get_remote_address().clone();
        links.push(Link {
            id,
            is_outside: ip(&address).is_some_and(is_global),
            address,
            is_relayed: point.is_relayed(),
            is_outbound: point.is_dialer(),
            is_arranged,
        });
    }

    pub(super) fn closed(&mut self, peer: &PeerId, id: ConnectionId) {
        if let Some(links) = self.0.get_mut(peer) {
            links.retain(|link| link.id != id);
            if links.is_empty() {
                self.0.remove(peer);
            }
        }
    }

    fn of(&self, peer: &PeerId) -> &[Link] {
        self.0.get(peer).map_or(&[], Vec::as_slice)
    }

    /// Whether all connections with a peer lead over another one.
    pub(super) fn is_relayed(&self, peer: &PeerId) -> bool {
        let links = self.of(peer);
        !links.is_empty() && links.iter().all(|link| link.is_relayed)
    }

    /// Connections over another peer that are not needed, since there is a direct one.
    pub(super) fn detours(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let links = self.of(peer);
        if links.iter().all(|link| link.is_relayed) {
            return Vec::new();
        }
        let detours = links.iter().filter(|link| link.is_relayed);
        detours.map(|link| link.id).collect()
    }

    /// All direct connections with a peer but the first.
    pub(super) fn extra(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let direct = self.of(peer).iter().filter(|link| !link.is_relayed);
        direct.skip(1).map(|link| link.id).collect()
    }

    /// Whether it was a peer that connected to this node, without help.
    pub(super) fn were_begun_by(&self, peer: &PeerId) -> bool {
        let first = self.of(peer).first();
        first.is_some_and(|link| !(link.is_outbound || link.is_relayed || link.is_arranged))
    }

    /// The address at which this node reached a peer directly.
    pub(super) fn address(&self, peer: &PeerId) -> Option<&Multiaddr> {
        let mut direct = self.of(peer).iter().filter(|link| !link.is_relayed);
        direct
            .find(|link| link.is_outbound)
            .map(|link| &link.address)
    }

    /// Whether some peer has an address that means the same everywhere.
    pub(super) fn lead_outside(&self) -> bool {
        let mut direct = self.0.values().flatten().filter(|link| !link.is_relayed);
        direct.any(|link| link.is_outside)
    }
}

/// The IP address that a multiaddr begins with.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}
