//! Symbolic links of strangers.

use clap::ValueEnum;

/// `--links`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Links {
    /// Nothing is written.
    Refuse,
    /// They are left out.
    Skip,
    /// They are written as they are.
    Keep,
}
