//! How connections are set up. But for the bytes that may be unread, the limits are those of `libp2p-quic`, so that peers
//! see no difference.

use crate::{Error, tls};
use libp2p::identity::Keypair;
use quinn::{
    ClientConfig, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;
use std::{sync::Arc, time::Duration};

/// How long a peer may take until it has said who it is.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Handshakes that a listener begins with peers that may not be where they say that they are. While there are more,
/// others must show first that packets reach them there, which takes them a round trip (RFC 9000 §8.1). So
/// packets with false addresses keep nobody out, although a node has few places for handshakes.
pub(crate) const HANDSHAKES: usize = 16;
/// After this time without a packet a connection is given up, in milliseconds.
const IDLE_MILLISECONDS: u32 = 10_000;
/// After this time without one, a packet is sent for the connection's sake.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Streams that a peer may have open in one connection.
const STREAMS: u32 = 256;
/// How many unread bytes a peer may send on one stream and on all of them, and so within one round trip: 160 MB/s at 50
/// ms. They take memory; a node that fetches allows 128 MiB in all.
const STREAM_BYTES: u32 = 6_000_000;
const CONNECTION_BYTES: u32 = 8_000_000;
/// What is asked of the system for packets that wait in a socket. It gives less where its limit
/// (`net.core.rmem_max`, `net.core.wmem_max`) is less.
pub(crate) const SOCKET_BYTES: usize = 4 << 20;
/// Tell these uses of the node's key from each other and from all others.
const RESET_KEY: &[u8] = b"libp2p quic stateless reset key";
const CONNECTION_ID_KEY: &[u8] = b"mc-wasm quic connection id key";

/// The settings of a [`crate::Transport`].
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) client: ClientConfig,
    pub(crate) server: ServerConfig,
    pub(crate) endpoint: EndpointConfig,
}

impl Config {
    /// For the node that has this key.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`] when no certificate can be made for the key.
    pub fn new(key: &Keypair) -> Result<Self, Error> {
        let failed = |e: &dyn std::fmt::Display| Error::Certificate(e.to_string());
        let (client, server) = tls::configs(key)?;
        let client = QuicClientConfig::try_from(client).map_err(|e| failed(&e))?;
        let server = QuicServerConfig::try_from(server).map_err(|e| failed(&e))?;
        let transport = Arc::new(transport());
        let mut client = ClientConfig::new(Arc::new(client));
        client.transport_config(Arc::clone(&transport));
        let mut server = ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport);
        // libp2p does not learn of addresses that change.
        server.migration(false);
        Ok(Self {
            client,
            server,
            endpoint: endpoint(key),
        })
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLISECONDS))))
        .stream_receive_window(VarInt::from_u32(STREAM_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_BYTES))
        .allow_spin(false);
    transport
}

/// A node that starts again under the same key recognises what its peers still send to the process before, and tells
/// them that it is gone. For that, the key of connection ids must come from the node's key, too. Peers may find that
/// key out.
fn endpoint(key: &Keypair) -> EndpointConfig {
    let mut endpoint = EndpointConfig::default();
    endpoint.supported_versions(vec![1]);
    // Keys of some kinds give none; then such peers wait until the connection is idle for too long.
    if let (Some(reset), Some([a, b, c, d, e, f, g, h, ..])) = (
        key.derive_secret(RESET_KEY),
        key.derive_secret(CONNECTION_ID_KEY),
    ) {
        let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &reset);
        endpoint.reset_key(Arc::new(reset));
        let id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id)));
    }
    endpoint
}
