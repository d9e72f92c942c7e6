//! Running other programs.

use anyhow::{Context, Result, ensure};
use std::{path::Path, process::Command};

/// Runs cargo in a directory.
pub(crate) fn cargo(dir: &Path, args: &[&str]) -> Result<()> {
    let mut cargo = mc_artifacts::cargo();
    succeed(cargo.args(args).current_dir(dir))
}

/// Runs a command to its end.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
