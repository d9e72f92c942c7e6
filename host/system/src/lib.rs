//! mc-system
