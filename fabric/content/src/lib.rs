//! mc-content
