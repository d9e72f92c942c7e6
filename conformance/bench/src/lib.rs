//! mc-bench
