//! What must hold before the tests are run.

use crate::{command::cargo, deny, features, layers};
use anyhow::Result;
use mc_artifacts::root;

/// Workspaces of their own, since they are compiled in another way.
const GUESTS: &[&str] = &[
    "examples",
    "conformance/guests",
    "conformance/fuzz",
    "conformance/libp2p-quic",
];

/// Both of the others, and what libraries are used.
pub(crate) fn run() -> Result<()> {
    check()?;
    clippy()?;
    deny::check()
}

/// What needs no compiler.
pub(crate) fn check() -> Result<()> {
    cargo(&root(), &["fmt", "--all", "--check"])?;
    for guests in GUESTS {
        cargo(&root().join(guests), &["fmt", "--all", "--check"])?;
    }
    layers::check()?;
    features::check()
}

pub(crate) fn clippy() -> Result<()> {
    let clippy = [
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    cargo(&root(), &clippy)
}
