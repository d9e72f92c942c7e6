//! Multiaddrs of QUIC.

use libp2p::{Multiaddr, multiaddr::Protocol};
use std::net::{IpAddr, SocketAddr};

/// The socket that `/ip4|ip6/…/udp/…/quic-v1` names; `/p2p/…` may follow, which the swarm looks at. None for any other
/// address.
pub(crate) fn parse(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Udp(port) = parts.next()? else {
        return None;
    };
    let Protocol::QuicV1 = parts.next()? else {
        return None;
    };
    // Whatever else follows, a relay for one, belongs to another transport.
    let only_peer = matches!(parts.next(), None | Some(Protocol::P2p(_)));
    (only_peer && parts.next().is_none()).then(|| SocketAddr::new(ip, port))
}

/// The address of a socket.
pub(crate) fn of(socket: SocketAddr) -> Multiaddr {
    Multiaddr::from(socket.ip())
        .with(Protocol::Udp(socket.port()))
        .with(Protocol::QuicV1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::PeerId;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for socket in ["127.0.0.1:7781", "[2001:db8::1]:0"] {
            let socket = socket.parse().unwrap();
            assert_eq!(parse(&of(socket)), Some(socket));
            let named = of(socket).with(Protocol::P2p(PeerId::random()));
            assert_eq!(parse(&named), Some(socket));
        }
    }

    #[test]
    fn what_is_not_quic_is_left_to_others() {
        for other in [
            "",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/7781",
            "/ip4/127.0.0.1/tcp/7781",
            "/ip4/127.0.0.1/udp/7781/quic",
            "/dns/localhost/udp/7781/quic-v1",
            "/ip4/127.0.0.1/udp/7781/quic-v1/webtransport",
            "/ip4/127.0.0.1/udp/7781/quic-v1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit",
        ] {
            assert_eq!(parse(&other.parse().unwrap()), None, "{other}");
        }
    }
}
