//! A way for packets that can be led elsewhere, and watched.

use libp2p::Multiaddr;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};
use tokio::net::UdpSocket;

/// Passes packets between one port and the last peer that sent any.
pub(crate) struct Way(Arc<Shared>);

struct Shared {
    end: AtomicU16,
    retries: AtomicUsize,
}

impl Way {
    /// A way to a port, and the address at its other end.
    pub(crate) async fn to(port: u16) -> (Self, Multiaddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let beginning = socket.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            end: AtomicU16::new(port),
            retries: AtomicUsize::new(0),
        });
        tokio::spawn(pass(socket, Arc::clone(&shared)));
        let address = format!("/ip4/127.0.0.1/udp/{beginning}/quic-v1");
        (Self(shared), address.parse().unwrap())
    }

    /// Leads to another port. What the former one sends is lost.
    pub(crate) fn lead_to(&self, port: u16) {
        self.0.end.store(port, Ordering::SeqCst);
    }

    /// Packets from its end that ask the peer to show where it is (RFC 9000 §17.2.5).
    pub(crate) fn retries(&self) -> usize {
        self.0.retries.load(Ordering::SeqCst)
    }
}

async fn pass(socket: UdpSocket, shared: Arc<Shared>) {
    let mut packet = vec![0; 1 << 16];
    let mut peer: Option<SocketAddr> = None;
    let mut ends = vec![];
    loop {
        let (length, from) = socket.recv_from(&mut packet).await.unwrap();
        let end = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.end.load(Ordering::SeqCst)));
        if !ends.contains(&end) {
            ends.push(end);
        }
        let to = if from == end {
            if packet.first().is_some_and(|first| first & 0xf0 == 0xf0) {
                shared.retries.fetch_add(1, Ordering::SeqCst);
            }
            peer
        } else if ends.contains(&from) {
            None
        } else {
            peer = Some(from);
            Some(end)
        };
        if let (Some(to), Some(packet)) = (to, packet.get(..length)) {
            socket.send_to(packet, to).await.unwrap();
        }
    }
}
