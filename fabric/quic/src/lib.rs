//! QUIC as a transport of libp2p: `/ip4/…/udp/…/quic-v1`.
//!
//! Specifications: RFC 9000, <https://github.com/libp2p/specs/tree/master/quic> and, for who the
//! peer is, <https://github.com/libp2p/specs/blob/master/tls/tls.md>. quinn does QUIC, rustls with ring the handshake,
//! and `certificate.rs` says which certificates are good: `libp2p-tls`, which does too, insists on aws-lc, a minute of
//! compiling C for what ring does. `libp2p-quic`, which puts them together too, was left for three things that
//! it cannot be told:
//!
//! * **Which cipher is preferred.** There ChaCha20 always is. Where the processor has instructions for AES, that
//!   takes a quarter of the time of a transfer more than AES-GCM (`tls.rs`).
//! * **How large the socket's buffers are.** With the system's default of 208 KiB one packet in seventy is
//!   lost at full speed on loopback; that is a pause of the sender each time (`config.rs`).
//! * **What a stream does that the peer has told to stop.** go-libp2p tells so at once of streams on which only it
//!   writes, and means no harm by it (`stream.rs`).
//!
//! # Invariants
//!
//! * A connection is given out only when the peer has proved that it has the key of its id.
//! * Nothing that a peer sends makes this panic, and what it may have unread is bounded by [`Config`].

mod address;
mod certificate;
mod config;
mod connection;
mod error;
mod listener;
mod punch;
mod stream;
mod tls;
mod transport;

pub use config::Config;
pub use connection::Connection;
pub use error::Error;
pub use stream::Stream;
pub use transport::Transport;
