//! Making way for a connection from behind another router (DCUtR).
//!
//! Packets to the peer open this side's router for packets from it; the connection itself is the peer's to
//! begin. Specification: <https://github.com/libp2p/specs/blob/master/relay/DCUtR.md>.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

/// Of one packet. Its bytes are random, so that nobody takes them for anything.
const PACKET_BYTES: usize = 64;
/// Between two packets, in milliseconds.
const PAUSE: std::ops::RangeInclusive<u64> = 10..=200;

/// Sends packets until it is dropped or cannot. The socket must not block.
pub(crate) async fn punch(socket: UdpSocket, peer: SocketAddr) -> io::Error {
    loop {
        let packet: [u8; PACKET_BYTES] = rand::random();
        match socket.send_to(&packet, peer) {
            // A full socket lets packets pass soon, and they may be lost anyway.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return error,
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(PAUSE))).await;
    }
}
