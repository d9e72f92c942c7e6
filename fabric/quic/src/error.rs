//! What can go wrong with a connection.

use std::{io, net::SocketAddr};

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed or has ended.
    #[error("the QUIC connection failed")]
    Connection(#[from] quinn::ConnectionError),
    /// It cannot even be begun.
    #[error("no QUIC connection can be begun")]
    Connect(#[from] quinn::ConnectError),
    /// The socket cannot be used.
    #[error("the UDP socket failed")]
    Socket(#[from] io::Error),
    /// The certificate for this node cannot be made.
    #[error("no certificate can be made: {0}")]
    Certificate(String),
    /// The peer did not prove who it is in the way that libp2p has for it.
    #[error("the peer has no certificate of libp2p")]
    Unidentified,
    /// The peer took too long.
    #[error("the QUIC handshake took too long")]
    HandshakeTimeout,
    /// This node waits for a connection from there already.
    #[error("a connection from {0} is waited for already")]
    Punching(SocketAddr),
}
