//! The peers in this node's configuration. The node dials them until they are connected, and logs what prevents a
//! connection, since an operator waits for it.

use super::{EventLoop, discovery::Redial};
use crate::{ConnectError, behaviour::network_of, error::innermost, identity::node_id};
use libp2p::{
    Multiaddr, PeerId, TransportError,
    multiaddr::Protocol,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// After this time an unchanged reason is logged again.
const SAY_AGAIN: Duration = Duration::from_secs(600);
/// How many logged reasons are remembered. Several may take turns, when a peer has several addresses. A peer that has a
/// new reason each time is logged each time.
const MAX_SAID: usize = 8;

/// A bootstrap address, when it may be dialled again, and why the last dial failed.
#[derive(Debug)]
struct Entry {
    address: Multiaddr,
    /// The peer that it leads to: the one that it names, or else the last one that answered.
    peer: Option<PeerId>,
    redial: Redial,
    dial: Option<ConnectionId>,
    /// The reasons that were logged, and when; the newest last. Empty once the peer was connected.
    troubles: Vec<(String, Instant)>,
}

#[derive(Debug)]
pub(super) struct Bootstrap(Vec<Entry>);

impl Bootstrap {
    pub(super) fn new(addresses: Vec<Multiaddr>) -> Self {
        let entry = |address: Multiaddr| Entry {
            peer: named(&address),
            address,
            redial: Redial::default(),
            dial: None,
            troubles: Vec::new(),
        };
        Self(addresses.into_iter().map(entry).collect())
    }

    fn dialled_by(&mut self, connection: ConnectionId) -> Option<&mut Entry> {
        let mut entries = self.0.iter_mut();
        entries.find(|entry| entry.dial == Some(connection))
    }

    /// A dialled address was answered.
    pub(super) fn answered(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(entry) = self.dialled_by(connection) {
            entry.peer = Some(peer);
        }
    }

    /// A peer of this network is connected.
    pub(super) fn met(&mut self, peer: PeerId) {
        for entry in self.0.iter_mut().filter(|entry| entry.peer == Some(peer)) {
            if !std::mem::take(&mut entry.troubles).is_empty() {
                tracing::warn!(address = %entry.address, "a bootstrap peer is connected after all");
            }
        }
    }
}

impl Entry {
    fn fails(&mut self, reason: String) {
        if self.is_news(&reason, Instant::now()) {
            tracing::warn!(address = %self.address, %reason, "a bootstrap peer cannot be used; it is tried again");
        }
    }

    /// Whether a reason has not been logged recently. It counts as logged from now on.
    fn is_news(&mut self, reason: &str, now: Instant) -> bool {
        self.troubles
            .retain(|(_, said)| now.saturating_duration_since(*said) < SAY_AGAIN);
        if self.troubles.iter().any(|(known, _)| known == reason) {
            return false;
        }
        if self.troubles.len() >= MAX_SAID {
            self.troubles.remove(0);
        }
        self.troubles.push((reason.to_owned(), now));
        true
    }
}

/// The peer that an address names.
fn named(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| match part {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
}

/// Why a dial failed, in few words.
pub(super) fn reason(error: &DialError) -> String {
    let DialError::Transport(failures) = error else {
        return error.to_string();
    };
    let cause = |(_, failure): &(Multiaddr, TransportError<std::io::Error>)| innermost(failure);
    let causes: BTreeSet<String> = failures.iter().map(cause).collect();
    causes.into_iter().collect::<Vec<_>>().join(", ")
}

impl EventLoop {
    /// Dials bootstrap peers that are not connected, when they are due.
    pub(super) fn redial_bootstrap(&mut self, now: Instant) {
        for entry in &mut self.bootstrap.0 {
            let is_connected = |peer: PeerId| self.swarm.is_connected(&peer);
            if entry.peer.is_some_and(is_connected) {
                entry.redial = Redial::default();
                continue;
            }
            if !entry.redial.is_due(now) {
                continue;
            }
            let options = DialOpts::from(entry.address.clone());
            entry.dial = Some(options.connection_id());
            match self.swarm.dial(options) {
                // All nodes may have the same list of peers, so this node itself may be in it.
                Ok(()) | Err(DialError::LocalPeerId { .. }) => {}
                // It is being dialled for another reason.
                Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => entry.fails(reason(&error)),
            }
        }
    }

    /// A dial failed, perhaps that of a bootstrap peer.
    pub(super) fn bootstrap_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let Some(entry) = self.bootstrap.dialled_by(connection) else {
            return;
        };
        match error {
            DialError::LocalPeerId { .. } | DialError::Aborted => {}
            DialError::WrongPeerId { obtained, .. } => {
                entry.fails(format!("another node answers there: {}", node_id(obtained)));
            }
            error => entry.fails(reason(error)),
        }
    }

    /// A connected peer is of another network.
    pub(super) fn bootstrap_is_foreign(&mut self, peer: PeerId, protocol_version: &str) {
        let node = node_id(&peer);
        let reason = self.foreign(node, protocol_version).to_string();
        let entries = self.bootstrap.0.iter_mut();
        for entry in entries.filter(|entry| entry.peer == Some(peer)) {
            entry.fails(reason.clone());
        }
    }

    /// What is logged about a peer of this name that is not of this network.
    pub(super) fn foreign(&self, node: mc_types::NodeId, protocol_version: &str) -> ConnectError {
        match network_of(protocol_version) {
            Some(theirs) => ConnectError::OtherNetwork {
                node,
                theirs: theirs.to_owned(),
                ours: self.options.network.clone(),
            },
            None => ConnectError::Foreign { node },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of two addresses of a peer of another network could not be reached, and each try logged both reasons.
    #[test]
    fn troubles_that_take_turns_are_said_once_in_a_while() {
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let mut bootstrap = Bootstrap::new(vec![address]);
        let entry = bootstrap.0.first_mut().unwrap();
        let start = Instant::now();
        let mut said = |reason: &str, after: Duration| entry.is_news(reason, start + after);
        let soon = Duration::from_secs(1);
        assert!(said("refused", Duration::ZERO));
        assert!(said("another network", Duration::ZERO));
        assert!(!said("refused", soon) && !said("another network", soon));
        assert!(said("refused", SAY_AGAIN));
        for n in 0..MAX_SAID {
            assert!(said(&n.to_string(), SAY_AGAIN));
        }
        assert_eq!(entry.troubles.len(), MAX_SAID);
    }

    #[test]
    fn trouble_is_told_in_few_words() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let at = |port: u16| -> (Multiaddr, TransportError<std::io::Error>) {
            let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
            (address, TransportError::Other(refused()))
        };
        let error = DialError::Transport(vec![at(1), at(2)]);
        assert_eq!(reason(&error), refused().to_string());
    }
}
