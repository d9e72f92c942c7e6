//! mc-bitswap
