//! mc-ledger
