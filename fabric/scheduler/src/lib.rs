//! mc-scheduler
