//! Addresses of sockets.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::net::{IpAddr, SocketAddr};

/// The socket address of a TCP multiaddr with a port of its own.
pub(crate) fn tcp_socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) if port != 0 => Some((ip, port).into()),
        _ => None,
    }
}
