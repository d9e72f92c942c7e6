//! A way for packets that can be led elsewhere.

use libp2p::Multiaddr;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::net::UdpSocket;

/// Passes packets between one port and the last peer that sent any.
pub(crate) struct Way(Arc<AtomicU16>);

impl Way {
    /// A way to a port, and the address at its other end.
    pub(crate) async fn to(port: u16) -> (Self, Multiaddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let beginning = socket.local_addr().unwrap().port();
        let end = Arc::new(AtomicU16::new(port));
        tokio::spawn(pass(socket, Arc::clone(&end)));
        let address = format!("/ip4/127.0.0.1/udp/{beginning}/quic-v1");
        (Self(end), address.parse().unwrap())
    }

    /// Leads to another port. What the former one sends is lost.
    pub(crate) fn lead_to(&self, port: u16) {
        self.0.store(port, Ordering::SeqCst);
    }
}

async fn pass(socket: UdpSocket, end: Arc<AtomicU16>) {
    let mut packet = vec![0; 1 << 16];
    let mut peer: Option<SocketAddr> = None;
    let mut ends = vec![];
    loop {
        let (length, from) = socket.recv_from(&mut packet).await.unwrap();
        let end = SocketAddr::from((Ipv4Addr::LOCALHOST, end.load(Ordering::SeqCst)));
        if !ends.contains(&end) {
            ends.push(end);
        }
        let to = if from == end {
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
