//! Nothing but tests of `mc-quic` against `libp2p-quic`, which others use: `cargo xtask libp2p-quic`.
