//! mc-node
