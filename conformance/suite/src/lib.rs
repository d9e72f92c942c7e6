//! mc-conformance
