//! What must hold before the tests are run.

use crate::{error_pages, layers};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Workspaces of their own, since they are compiled in another way.
const GUESTS: &[&str] = &["examples", "conformance/guests", "conformance/fuzz"];

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn run() -> Result<()> {
    cargo(&root(), &["fmt", "--all", "--check"])?;
    for guests in GUESTS {
        cargo(&root().join(guests), &["fmt", "--all", "--check"])?;
    }
    layers::check()?;
    error_pages::check()?;
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

/// Runs cargo in a directory.
pub(crate) fn cargo(dir: &Path, args: &[&str]) -> Result<()> {
    let text = args.join(" ");
    let status = mc_artifacts::cargo().args(args).current_dir(dir).status();
    let status = status.with_context(|| format!("cargo {text}"))?;
    ensure!(status.success(), "cargo {text} failed in {}", dir.display());
    Ok(())
}
